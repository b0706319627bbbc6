"""What a local cluster should be like, from what was asked and what was there before."""

from pathlib import Path

import pytest

from sluice.config.load import load
from sluice.errors import ConfigError
from sluice.local.shape import Shape, Wish, compute_shape, render_conf


def shape(wish: Wish, known: Shape | None = None) -> Shape:
    return compute_shape(wish, known, machine_cpus=2, machine_memory_mib=6000)


def test_by_default_nodes_share_the_memory_and_have_all_cpus() -> None:
    assert shape(Wish()) == Shape(nodes=3, cpus=2, memory_mib=2000)


def test_what_was_asked_before_is_kept() -> None:
    known = Shape(nodes=5, cpus=8, memory_mib=100, settings={"KillWait": "3"})

    assert shape(Wish(), known) == known
    assert shape(Wish(cpus=4), known) == Shape(nodes=5, cpus=4, memory_mib=100, settings={"KillWait": "3"})


def test_another_number_of_nodes_shares_the_memory_anew() -> None:
    known = Shape(nodes=3, cpus=2, memory_mib=2000)

    assert shape(Wish(nodes=6), known) == Shape(nodes=6, cpus=2, memory_mib=1000)


def test_emulated_nodes_are_large_whatever_the_machine_is() -> None:
    emulated = shape(Wish(emulated=1000))

    assert emulated.is_emulated
    assert emulated.cpus > 2
    assert emulated.port_count == 1


def test_real_nodes_after_emulated_ones_take_nothing_over() -> None:
    known = shape(Wish(emulated=1000))

    assert shape(Wish(nodes=2), known) == Shape(nodes=2, cpus=2, memory_mib=3000)


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(Wish(nodes=3, emulated=3), id="real and emulated nodes at once"),
        pytest.param(Wish(nodes=100_000), id="more agents than a machine can run"),
        pytest.param(Wish(cpus=1_000_000), id="more CPUs than any node has"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wish: Wish) -> None:
    with pytest.raises(ConfigError):
        shape(wish)


@pytest.mark.parametrize("nodes", [1, 4])
def test_the_configuration_is_accepted_without_a_warning(tmp_path: Path, nodes: int) -> None:
    conf = tmp_path / "sluice.conf"
    wanted = Shape(nodes=nodes, cpus=4, memory_mib=1000, settings={"KillWait": "5"})
    conf.write_text(render_conf(wanted, str(tmp_path), "/tmp/run", 20_000))

    config = load(conf)

    assert [node.port for node in config.nodes] == list(range(20_001, 20_001 + nodes))
    assert {(node.cpus, node.memory_mib) for node in config.nodes} == {(4, 1000)}
    assert config.settings.kill_wait_s == 5
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("uid", "settings", "expected"),
    [
        pytest.param(0, {}, ("/tmp", "/dev/shm"), id="root can keep nodes apart"),
        pytest.param(1000, {}, (), id="others cannot"),
        pytest.param(0, {"SluicePrivateDirs": "/var/tmp"}, ("/var/tmp",), id="what was asked for goes before"),
    ],
)
def test_nodes_of_one_host_get_directories_of_their_own_for_mpi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, settings: dict[str, str], expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    conf = tmp_path / "sluice.conf"
    wanted = Shape(nodes=2, cpus=4, memory_mib=1000, settings=settings)
    conf.write_text(render_conf(wanted, str(tmp_path), "/tmp/run", 20_000))

    assert load(conf).settings.private_dirs == expected


def test_an_emulated_cluster_needs_no_port_for_its_nodes(tmp_path: Path) -> None:
    conf = tmp_path / "sluice.conf"
    conf.write_text(render_conf(shape(Wish(emulated=2000)), str(tmp_path), "/tmp/run", 20_000))

    assert len(load(conf).nodes) == 2000


@pytest.mark.parametrize("folder", ["/tmp/with blank", "/tmp/100%n", "/tmp/#1"])
def test_a_folder_that_the_grammar_cannot_hold_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        render_conf(shape(Wish()), folder, "/tmp/run", 20_000)
