"""-N, -n, -w and --ntasks-per-node together: a table of what Slurm 22.05 made of them on nodes n1 to n3."""

from __future__ import annotations

import pytest

from sluice_cli.draft import OptionError
from sluice_cli.node_counts import NodeCounts, settle_in_job, settle_nodes

ABC = ("n1", "n2", "n3")


def settle(low: int, high: int, named: tuple[str, ...], ntasks: int = 0, per_node: int = 0, command: str = "sbatch"):
    return settle_nodes(NodeCounts(low, high, named, per_node), ntasks, is_srun=command == "srun")


@pytest.mark.parametrize("command", ["sbatch", "srun"])
@pytest.mark.parametrize(
    ("low", "high", "named", "ntasks", "per_node", "counts", "names", "is_warned"),
    [
        # low and high are 1 and 0 without -N.
        pytest.param(1, 0, (), 0, 0, (1, 0), "", False, id="nothing"),
        pytest.param(2, 2, (), 0, 0, (2, 2), "", False, id="-N2"),
        pytest.param(1, 0, (), 5, 0, (1, 0), "", False, id="-n5"),
        pytest.param(2, 2, (), 1, 0, (1, 1), "", True, id="-N2 -n1"),
        pytest.param(2, 3, (), 1, 0, (1, 1), "", True, id="-N2-3 -n1"),
        pytest.param(1, 4, (), 1, 0, (1, 4), "", False, id="-N1-4 -n1"),
        pytest.param(1, 0, (), 5, 3, (2, 0), "", False, id="-n5 --ntasks-per-node=3"),
        pytest.param(1, 0, ABC, 0, 0, (3, 0), "n1 n2 n3", False, id="-w of 3"),
        pytest.param(1, 0, ABC, 5, 0, (3, 0), "n1 n2 n3", False, id="-w of 3, -n5"),
        pytest.param(1, 0, ABC, 3, 0, (3, 0), "n1 n2 n3", False, id="-w of 3, -n3"),
        pytest.param(1, 0, ABC, 2, 0, (2, 0), "n1 n2", True, id="-w of 3, -n2"),
        pytest.param(1, 0, ABC, 1, 3, (1, 0), "n1", True, id="-w of 3, -n1 --ntasks-per-node=3"),
        pytest.param(1, 0, ("n3", "n1"), 1, 0, (1, 0), "n1", True, id="-n drops the last by name, not by place"),
        pytest.param(1, 0, ("n10", "n2"), 1, 0, (1, 0), "n2", True, id="numbers are compared as numbers"),
        pytest.param(1, 0, ("n1", "n1", "n2"), 2, 0, (2, 0), "n1 n1 n2", False, id="a name twice is one node"),
        pytest.param(1, 1, ("n1", "n1"), 0, 0, (1, 1), "n1 n1", False, id="-N1, a name twice"),
        pytest.param(2, 2, ("n1",), 0, 0, (2, 2), "n1", False, id="-N2, -w of 1"),
        pytest.param(2, 2, ("n1",), 1, 0, (1, 1), "n1", True, id="-N2 -n1, -w of 1"),
        pytest.param(3, 4, ("n1", "n2"), 0, 0, (3, 4), "n1 n2", False, id="-N3-4, -w of 2"),
        pytest.param(3, 4, ("n1", "n2"), 1, 0, (1, 1), "n1", True, id="-N3-4 -n1, -w of 2"),
        pytest.param(3, 4, ABC, 2, 0, (2, 2), "n1 n2", True, id="-N3-4 -n2, -w of 3"),
        pytest.param(1, 2, ("n2", "n3"), 1, 0, (1, 1), "n2", True, id="-N1-2 -n1, -w of 2"),
        pytest.param(1, 4, ABC, 5, 0, (3, 4), "n1 n2 n3", False, id="-N1-4 -n5, -w of 3"),
    ],
)
def test_counts_and_names_of_all_commands(
    command: str,
    low: int,
    high: int,
    named: tuple[str, ...],
    ntasks: int,
    per_node: int,
    counts: tuple[int, int],
    names: str,
    is_warned: bool,
) -> None:
    settled, lines = settle(low, high, named, ntasks, per_node, command)

    assert ((settled.low, settled.high), " ".join(settled.named)) == (counts, names)
    assert any("can't run" in line for line in lines) == is_warned


def test_the_warning_tells_the_nodes_that_it_would_have_been() -> None:
    _, lines = settle(1, 0, ABC, 2)

    assert lines == ["Warning: can't run 2 processes on 3 nodes, setting nnodes to 2"]


@pytest.mark.parametrize(("low", "high", "ntasks"), [(1, 1, 0), (2, 2, 5), (1, 2, 1)], ids=str)
def test_more_names_than_nodes_are_refused_by_sbatch_and_salloc(low: int, high: int, ntasks: int) -> None:
    with pytest.raises(OptionError) as refusal:
        settle(low, high, ABC, ntasks)

    assert refusal.value.lines == (f"-w names 3 nodes, -N allows {high}", f"invalid number of nodes (-N 3-{high})")


@pytest.mark.parametrize(
    ("low", "high", "named", "ntasks", "counts", "names"),
    [
        pytest.param(1, 1, ("n1", "n2"), 0, (1, 1), "n1", id="-N1"),
        pytest.param(1, 1, ("n3", "n1"), 0, (1, 1), "n3", id="-N1 keeps the first of the list"),
        pytest.param(1, 1, ("n3", "n1"), 2, (1, 1), "n3", id="-N1 -n2"),
        pytest.param(1, 2, ABC, 0, (2, 2), "n1 n2", id="-N1-2"),
        pytest.param(2, 2, ABC, 1, (1, 1), "n1", id="-N2 -n1"),
    ],
)
def test_srun_drops_the_surplus_of_the_list(
    low: int, high: int, named: tuple[str, ...], ntasks: int, counts: tuple[int, int], names: str
) -> None:
    settled, lines = settle(low, high, named, ntasks, command="srun")

    assert ((settled.low, settled.high), " ".join(settled.named)) == (counts, names)
    assert lines[0] == (
        f"error: Required nodelist includes more nodes than permitted by max-node count ({len(named)} > {high}). "
        "Eliminating nodes from the nodelist."
    )


CAN_NOT = (
    "Warning: can't honor --ntasks-per-node set to {} which doesn't match the requested tasks {} with the number of "
    "requested nodes {}. Ignoring --ntasks-per-node."
)


@pytest.mark.parametrize(
    ("low", "high", "named", "ntasks", "per_node", "low_settled", "nodes_warned"),
    [
        pytest.param(1, 0, (), 4, 1, 4, 0, id="-n4 --ntasks-per-node=1"),
        pytest.param(1, 1, (), 2, 1, 1, 1, id="-N1 -n2 --ntasks-per-node=1"),
        pytest.param(1, 1, (), 2, 3, 1, 0, id="-N1 -n2 --ntasks-per-node=3"),
        pytest.param(2, 2, (), 4, 1, 2, 2, id="-N2 -n4 --ntasks-per-node=1"),
        pytest.param(2, 2, (), 4, 2, 2, 0, id="-N2 -n4 --ntasks-per-node=2"),
        pytest.param(2, 2, (), 4, 3, 2, 2, id="-N2 -n4 --ntasks-per-node=3, where they would fit"),
        pytest.param(2, 2, (), 3, 2, 2, 2, id="-N2 -n3 --ntasks-per-node=2, where they would fit"),
        pytest.param(2, 2, (), 3, 3, 2, 0, id="-N2 -n3 --ntasks-per-node=3"),
        pytest.param(3, 3, (), 2, 1, 2, 0, id="-N3 -n2 --ntasks-per-node=1"),
        pytest.param(1, 2, (), 5, 2, 1, 1, id="-N1-2 -n5 --ntasks-per-node=2, by the least number"),
        pytest.param(1, 0, ("n1",), 3, 1, 1, 1, id="-w of 1, -n3 --ntasks-per-node=1"),
        pytest.param(1, 0, ("n1",), 3, 2, 1, 1, id="-w of 1, -n3 --ntasks-per-node=2"),
        pytest.param(1, 0, ("n1", "n2"), 3, 1, 3, 0, id="-w of 2, -n3 --ntasks-per-node=1 takes a third node"),
        pytest.param(1, 1, ("n1", "n2"), 2, 1, 1, 1, id="-N1, -w of 2, -n2 --ntasks-per-node=1"),
    ],
)
def test_srun_passes_over_tasks_per_node_that_do_not_come_out(
    low: int, high: int, named: tuple[str, ...], ntasks: int, per_node: int, low_settled: int, nodes_warned: int
) -> None:
    settled, lines = settle(low, high, named, ntasks, per_node, "srun")

    warned = [CAN_NOT.format(per_node, ntasks, nodes_warned)] if nodes_warned else []
    assert [line for line in lines if "can't honor" in line] == warned
    assert (settled.low, settled.ntasks_per_node) == (low_settled, 0 if nodes_warned else per_node)


def test_the_tasks_per_node_are_a_maximum_for_the_other_commands() -> None:
    settled, lines = settle(1, 1, (), 2, 1)

    assert (settled.ntasks_per_node, lines) == (1, [])
    assert settle(1, 0, ("n1",), 3, 1)[0].low == 3


@pytest.mark.parametrize(
    ("high", "ntasks", "per_node", "nodes", "nodes_warned"),
    [
        pytest.param(0, 3, 1, 2, 2, id="a task over"),
        pytest.param(2, 3, 1, 2, 2, id="a task over with -N2"),
        pytest.param(1, 2, 1, 3, 1, id="-N1 of a job of 3"),
        pytest.param(0, 4, 2, 2, 0, id="they fit"),
        pytest.param(5, 4, 2, 2, 0, id="a wider -N than the job"),
        pytest.param(0, 0, 1, 2, 0, id="no -n"),
        pytest.param(0, 9, 0, 2, 0, id="no --ntasks-per-node"),
    ],
)
def test_tasks_over_find_no_further_node_in_a_job(
    high: int, ntasks: int, per_node: int, nodes: int, nodes_warned: int
) -> None:
    settled, lines = settle_in_job(NodeCounts(1, high, (), per_node), ntasks, nodes)

    assert lines == ([CAN_NOT.format(per_node, ntasks, nodes_warned)] if nodes_warned else [])
    assert settled.ntasks_per_node == (0 if nodes_warned else per_node)
