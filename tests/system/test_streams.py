"""What a step's tasks write reaches srun's output, every byte, whatever srun still sends them."""

from sluice.testing import LocalCluster


def test_long_output_survives_input_that_nobody_reads(local_cluster: LocalCluster) -> None:
    """The task never reads its stdin; srun forwards it all the same."""
    done = local_cluster.run("srun", "-n1", "seq", "1", "300000", input="unread\n" * 200_000, limit_s=120)

    assert done.stdout == "".join(f"{number}\n" for number in range(1, 300_001))
