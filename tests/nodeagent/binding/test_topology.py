"""Where CPUs are: read from trees as the kernel shows them, and counted as the configuration does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiced.binding.topology import Cpu, Geometry, count_levels, machine, place_cpus, read_cpus
from tests.nodeagent.binding.trees import make_cpus, make_topology, write_tree


@pytest.mark.parametrize("is_interleaved", [False, True], ids=["numbered in order", "sockets in turn"])
def test_what_was_written_as_a_tree_is_read_back(tmp_path: Path, is_interleaved: bool) -> None:
    cpus = make_cpus(2, 4, 2, is_interleaved=is_interleaved)
    write_tree(tmp_path, cpus)

    assert read_cpus(str(tmp_path)) == cpus
    assert count_levels(cpus) == (2, 4, 2)


def test_cpus_that_are_off_do_not_count(tmp_path: Path) -> None:
    write_tree(tmp_path, make_cpus(1, 4, 1))
    (tmp_path / "cpu" / "online").write_text("0,2-3\n")

    assert [cpu.number for cpu in read_cpus(str(tmp_path))] == [0, 2, 3]


def test_a_machine_that_knows_no_packages_is_one_socket(tmp_path: Path) -> None:
    write_tree(tmp_path, make_cpus(1, 2, 1), has_packages=False)

    assert count_levels(read_cpus(str(tmp_path))) == (1, 2, 1)


def test_without_any_of_the_files_each_cpu_is_a_core(tmp_path: Path) -> None:
    cpus = read_cpus(str(tmp_path))

    assert cpus
    assert {cpu.socket for cpu in cpus} == {0}
    assert len({cpu.core for cpu in cpus}) == len(cpus)


def test_this_machine_has_the_cpus_that_this_process_may_use() -> None:
    import os

    numbers = {cpu.number for cpu in machine()}

    assert os.sched_getaffinity(0) <= numbers


def test_places_go_through_threads_then_cores_then_sockets() -> None:
    topology = make_topology(2, 2, 2, is_interleaved=True)

    assert [(place.socket, place.core, place.thread) for place in topology.places] == [
        (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 2, 0), (1, 2, 1), (1, 3, 0), (1, 3, 1),
    ]  # fmt: skip
    assert topology.kernel_mask(0b11) == 1 << 0 | 1 << 4
    assert topology.domains() == {0: 0x0F, 1: 0xF0}


def test_a_node_that_counts_cores_has_all_threads_of_each() -> None:
    topology = place_cpus(make_cpus(1, 4, 2), Geometry(4, 1, 4, 1))

    assert [place.mask for place in topology.places] == [0x03, 0x0C, 0x30, 0xC0]
    assert topology.threads_per_core == 1


def test_a_node_may_be_configured_smaller_than_it_is() -> None:
    topology = place_cpus(make_cpus(2, 4, 1), Geometry(3))

    assert [place.mask for place in topology.places] == [1, 2, 4]
    assert not topology.is_made_up


def test_a_node_with_more_cpus_than_the_machine_is_made_up() -> None:
    topology = place_cpus((Cpu(0, 0, 0, 0),), Geometry(8, 2, 2, 2))

    assert topology.is_made_up
    assert [(place.socket, place.core) for place in topology.places[3:5]] == [(0, 1), (1, 2)]


def test_a_made_up_node_whose_numbers_do_not_multiply_is_one_socket() -> None:
    topology = place_cpus((Cpu(0, 0, 0, 0),), Geometry(7, 2, 2, 2))

    assert {place.socket for place in topology.places} == {0}
    assert topology.threads_per_core == 1
