"""The light reader of endpoints agrees with the whole one, and imports next to nothing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sluice.config import light
from sluice.config.load import load
from sluice.errors import ConfigError

Folder = Any


def test_endpoints_are_those_that_the_whole_reader_finds(folder: Folder) -> None:
    folder.file("sub/more.conf", 'SlurmctldHost = backup # second\nsluicecontrollersocket="/tmp/a.sock"\n')
    path = folder.write(
        settings="include sub/more.conf\n# SlurmctldHost=ghost \\\nSlurmctldPort=\\\n7000\nSlurmdPort=7001\n"
        "SluiceAgentSocket=/tmp/%n.sock\nSluiceKeyFile=keys/c.key"
    )

    endpoints = light.read_endpoints(str(path))

    settings = load(path).settings
    assert endpoints.cluster_name == settings.cluster_name
    assert endpoints.controllers == tuple((each.name, each.address) for each in settings.controllers)
    assert endpoints.controller_port == settings.slurmctld_port == 7000
    assert endpoints.controller_socket == settings.controller_socket == "/tmp/a.sock"
    assert endpoints.agent_socket == settings.agent_socket == "/tmp/%n.sock"
    assert endpoints.key_file == settings.key_file == str(folder.folder / "keys/c.key")


def test_without_keys_of_our_own_the_defaults_hold(folder: Folder) -> None:
    path = folder.write()
    endpoints = light.read_endpoints(str(path))
    settings = load(path).settings
    assert (endpoints.controller_port, endpoints.controller_socket) == (6817, "/run/sluice/sluicectld.sock")
    assert (endpoints.agent_socket, endpoints.key_file) == (settings.agent_socket, settings.key_file)


def test_the_variables_name_the_file_before_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/b/slurm.conf")
    monkeypatch.setenv("SLUICE_CONF", "/a/sluice.conf")
    assert light.find_config() == "/a/sluice.conf"
    monkeypatch.delenv("SLUICE_CONF")
    assert light.find_config() == "/b/slurm.conf"


def test_the_first_usual_place_that_has_a_file_is_taken(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in light.CONFIG_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(light, "CONFIG_PATHS", ("/nowhere/sluice.conf", str(folder.write())))
    assert light.find_config() == str(folder.folder / "sluice.conf")


def test_no_file_anywhere_says_where_it_was_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in light.CONFIG_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(light, "CONFIG_PATHS", ("/nowhere/sluice.conf",))
    with pytest.raises(ConfigError, match=r"/nowhere/sluice\.conf; set SLUICE_CONF"):
        light.find_config()


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        light.read_endpoints(str(tmp_path / "gone.conf"))


def test_a_file_that_names_no_controller_is_a_configuration_error(tmp_path: Path) -> None:
    """Else everybody would knock at the usual port, where nobody is, and hear that."""
    path = tmp_path / "noise.conf"
    path.write_bytes(b"\xff\x00 noise\n")
    with pytest.raises(ConfigError, match="SlurmctldHost is missing"):
        light.read_endpoints(str(path))


def test_a_file_that_includes_itself_ends_in_an_error(folder: Folder) -> None:
    path = folder.file("loop.conf", "Include loop.conf\n")
    with pytest.raises(ConfigError, match="files deep"):
        light.read_endpoints(str(path))


def test_paths_of_agents_have_node_and_host_name_filled_in() -> None:
    assert light.expand_path("/run/%h/sluiced-%n.sock", "n1", "rack7") == "/run/rack7/sluiced-n1.sock"


def test_the_module_imports_nothing_heavy() -> None:
    heavy = ["msgspec", "click", "typing", "dataclasses", "enum", "re", "json", "argparse", "asyncio", "logging"]
    heavy += ["pathlib", "subprocess"]
    code = f"import sys, sluice.config.light; print([name for name in {heavy!r} if name in sys.modules])"
    root = str(Path(light.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
