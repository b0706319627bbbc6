"""The tables of keys: complete, consistent with the records, and with the reference files in etc/."""

import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from sluice.config import light
from sluice.config.key import Table
from sluice.config.load import inspect, load
from sluice.config.records import GresLine, NodeConfig, PartitionConfig
from sluice.config.schema import CGROUP, CLUSTER, GRES_LINE, NODE, PARTITION, TABLES_BY_FILE
from sluice.config.settings import Settings
from sluice.model.confinement import CgroupSettings

ETC = Path(__file__).parents[3] / "etc"
EXAMPLES = {
    "sluice.conf": "sluice.conf.example",
    "gres.conf": "gres.conf.example",
    "cgroup.conf": "cgroup.conf.example",
    "topology.conf": "topology.conf.example",
}
ALL_TABLES = [table for tables in TABLES_BY_FILE.values() for table in tables]


@pytest.mark.parametrize("table", ALL_TABLES, ids=lambda table: table.what)
def test_every_default_is_a_value_of_its_kind(table: Table) -> None:
    for key in table.settable():
        if key.default:
            key.parse(key.default)


def test_the_defaults_of_settings_are_the_defaults_of_the_table() -> None:
    filled_in_later = {"prolog_epilog_timeout_s": None, "nodes_max": None}
    from_table = msgspec.convert(CLUSTER.defaults() | filled_in_later, Settings, strict=True)
    assert from_table == Settings()


@pytest.mark.parametrize(
    ("table", "record"), [(CLUSTER, Settings), (CGROUP, CgroupSettings)], ids=["settings", "cgroup settings"]
)
def test_every_field_is_set_by_a_key_and_every_key_sets_a_field(table: Table, record: type[msgspec.Struct]) -> None:
    assert {key.field for key in table if key.has_effect} == set(record.__struct_fields__)


@pytest.mark.parametrize(
    ("table", "record", "not_fields"),
    [
        pytest.param(NODE, NodeConfig, {"sockets_per_board"}, id="node"),
        pytest.param(PARTITION, PartitionConfig, {"priority"}, id="partition"),
        pytest.param(GRES_LINE, GresLine, set(), id="gres"),
    ],
)
def test_keys_of_lines_set_fields_of_their_record(
    table: Table, record: type[msgspec.Struct], not_fields: set[str]
) -> None:
    assert {key.field for key in table if key.has_effect} - not_fields <= set(record.__struct_fields__)


def test_the_light_module_has_the_defaults_of_the_table() -> None:
    assert int(CLUSTER.get("SlurmctldPort").default) == light.DEFAULT_CONTROLLER_PORT
    assert CLUSTER.get("SluiceControllerSocket").default == light.DEFAULT_CONTROLLER_SOCKET
    assert CLUSTER.get("SluiceAgentSocket").default == light.DEFAULT_AGENT_SOCKET


def test_an_unknown_name_finds_its_nearest_key() -> None:
    assert CLUSTER.find("slurmdtimeout") is CLUSTER.get("SlurmdTimeout")
    assert CLUSTER.find("BOOT_TIME") is None
    assert NODE.nearest("RealMemroy") == "RealMemory"


def written_keys(text: str) -> set[str]:
    """Return the keys of a reference file in lower case, commented out or not."""
    lines = [line.lstrip("# ") for line in text.splitlines() if re.match(r"(#(  )?)?[A-Za-z_0-9]+=", line)]
    return {word.partition("=")[0].lower() for line in lines for word in line.split() if "=" in word}


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_reference_file_has_every_key(file: str) -> None:
    written = written_keys((ETC / EXAMPLES[file]).read_text())
    wanted = {key.name.lower() for table in TABLES_BY_FILE[file] for key in table.settable()}
    assert wanted <= written


def test_the_reference_file_says_the_default_of_every_cluster_key() -> None:
    text = (ETC / EXAMPLES["sluice.conf"]).read_text()
    written = dict(re.findall(r"^#([A-Za-z_0-9]+)=(.*?)$", text, re.MULTILINE))
    wrong = {
        key.name: written.get(key.name)
        for key in CLUSTER.settable()
        if key.default and written.get(key.name, "").partition(" #")[0].strip('" ') != key.default
    }
    assert not wrong


def test_the_reference_files_are_a_valid_configuration(tmp_path: Path) -> None:
    for file, example in EXAMPLES.items():
        (tmp_path / file).write_text((ETC / example).read_text())
    config = load(tmp_path / "sluice.conf")
    assert not config.warnings
    assert config.partitions


def test_the_reference_file_parses_with_every_default_written_out(tmp_path: Path) -> None:
    text = (ETC / EXAMPLES["sluice.conf"]).read_text()
    # A key without default is written with nothing after it: setting it to nothing is another matter.
    written_out = re.sub(r"^#([A-Z][A-Za-z_0-9]*=[^\s].*)$", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "sluice.conf").write_text(written_out)

    inspection = inspect(tmp_path / "sluice.conf")

    assert [str(error) for error in inspection.errors] == []


def test_records_of_the_reference_have_the_types_they_declare(tmp_path: Path) -> None:
    for file, example in EXAMPLES.items():
        (tmp_path / file).write_text((ETC / example).read_text())
    config = load(tmp_path / "sluice.conf")
    for record in (config.settings, config.cgroup, *config.nodes, *config.partitions, *config.gres):
        plain = cast(Any, msgspec.to_builtins(record))
        assert msgspec.convert(plain, type(record), strict=True) == record
