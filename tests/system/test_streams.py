"""What a step's tasks write reaches srun's output, every byte, whatever srun still sends them."""

from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.system.running import running


def test_long_output_survives_input_that_nobody_reads(local_cluster: LocalCluster) -> None:
    """The task never reads its stdin; srun forwards it all the same."""
    done = local_cluster.run("srun", "-n1", "seq", "1", "300000", input="unread\n" * 200_000, limit_s=120)

    assert done.stdout == "".join(f"{number}\n" for number in range(1, 300_001))


def test_a_number_that_is_no_rank_of_the_step_is_a_file(local_cluster: LocalCluster, tmp_path: Path) -> None:
    """Over two components as well, whose ranks are those of the one step."""
    rank = ("sh", "-c", "echo $SLURM_PROCID")
    parts = ("-n1", *rank, ":", "-n2", *rank)

    assert local_cluster.run("srun", "-n2", "-o1", *rank, cwd=tmp_path).stdout == "1\n"
    assert local_cluster.run("srun", "-o2", *parts, cwd=tmp_path).stdout == "2\n"
    assert list(tmp_path.iterdir()) == []
    assert local_cluster.run("srun", "-n2", "-o7", *rank, cwd=tmp_path).stdout == ""
    assert local_cluster.run("srun", "-o3", *parts, cwd=tmp_path).stdout == ""
    assert {file.name: sorted(file.read_text().split()) for file in tmp_path.iterdir()} == {
        "7": ["0", "1"],
        "3": ["0", "1", "2"],
    }


@pytest.mark.slow
def test_much_output_of_several_tasks_arrives_whole_and_in_order_at_a_slow_reader(local_cluster: LocalCluster) -> None:
    """100 MiB of three tasks on two nodes.  While nobody reads, the tasks stand still and srun's memory is bounded."""
    lines = 350_000
    script = f'seq -f "$SLURM_PROCID %0100.0f" 1 {lines}'
    with running(local_cluster, "srun", "-N2", "-n3", "sh", "-c", script) as srun:
        local_cluster.wait_until(lambda: _are_blocked(local_cluster), "the tasks wait for their reader")
        peak_mib = _peak_mib(srun.pid)
        assert srun.stdout is not None
        found = [0] * 3
        for line in srun.stdout:
            rank, number = line.split()
            found[int(rank)] += 1
            assert int(number) == found[int(rank)], "a line is lost, doubled, or out of order"
        assert srun.wait(30) == 0

    assert found == [lines] * 3
    assert peak_mib < 64


def _are_blocked(cluster: LocalCluster) -> bool:
    """Tell whether all three tasks wait in a write."""
    pids = cluster.run("pgrep", "-x", "seq", check=False).stdout.split()
    waits = [Path(f"/proc/{pid}/wchan").read_text() for pid in pids]
    return len(waits) == 3 and all("pipe" in wait for wait in waits)


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
