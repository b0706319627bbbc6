"""Priorities as numbers."""

from msgspec.structs import replace

from sluicectld.scheduler.priority import compute_priority
from sluicectld.scheduler.snapshot import Policy
from tests.builders import Cluster

WEIGHTS = Policy(
    priority_weights={"age": 1000, "jobsize": 100, "partition": 10}, max_age_s=1000.0, partition_factor_max=4
)


def test_without_weights_it_is_the_order_of_arrival():
    """The first two numbers are what Slurm 22.05 gives to jobs 1 and 2."""
    cluster = Cluster()
    jobs = [cluster.pending(), cluster.pending(), cluster.pending(nice=7)]

    numbers = [compute_priority(job, cluster.partitions["batch"], cluster.now_at, Policy()) for job in jobs]

    assert numbers == [4294901759, 4294901758, 4294901757 - 7]


def test_tasks_of_an_array_keep_their_arrays_place():
    cluster = Cluster()
    first = cluster.pending()
    task = replace(first, id=99, array_job_id=first.id)

    numbers = {compute_priority(job, cluster.partitions["batch"], 0.0, Policy()) for job in (first, task)}

    assert len(numbers) == 1


def test_factors_are_weighted_and_summed():
    cluster = Cluster(nodes=4).partition("batch", priority_job_factor=2)
    job = cluster.pending(nodes=2, nice=5)

    number = compute_priority(job, cluster.partitions["batch"], cluster.now_at + 250, WEIGHTS, total_nodes=4)

    assert number == 250 + 50 + 5 - 5


def test_age_counts_up_to_its_maximum():
    cluster = Cluster()
    job = cluster.pending()

    assert compute_priority(job, cluster.partitions["batch"], cluster.now_at + 9999, WEIGHTS) == 1000 + 2


def test_a_priority_set_by_hand_stays():
    cluster = Cluster()
    job = cluster.pending()
    job = replace(job, spec=replace(job.spec, priority=12))

    assert compute_priority(job, cluster.partitions["batch"], 0.0, WEIGHTS) == 12


def test_it_never_falls_to_zero_which_means_held():
    cluster = Cluster()
    job = cluster.pending(nice=2**40)

    assert compute_priority(job, cluster.partitions["batch"], 0.0, Policy()) == 1
