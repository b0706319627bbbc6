"""What each flag of a reservation does."""

import pytest
from msgspec.structs import replace

from tests.reservation_builder import Site


@pytest.mark.parametrize("flag", ["maint", "overlap"])
def test_maint_and_overlap_may_share_nodes(flag: str) -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")

    assert site.keep("r2", nodes="n1", flags=flag).nodes == ("n1",)


def test_ignore_jobs_begins_on_nodes_in_use() -> None:
    site = Site(nodes=1)
    site.start(limit_s=7200)

    assert site.keep(nodes="n1", flags="ignore_jobs").nodes == ("n1",)


def test_static_alloc_keeps_a_node_that_fails() -> None:
    site = Site(nodes=3)
    site.keep(nodecnt="1", flags="static_alloc")

    site.lose("n1")

    assert site.kept["r1"].nodes == ("n1",)


@pytest.mark.parametrize("flags", ["", "replace_down"])
def test_otherwise_a_node_that_fails_is_replaced(flags: str) -> None:
    site = Site(nodes=3)
    site.keep(nodecnt="1", flags=flags)

    site.lose("n1")

    assert site.kept["r1"].nodes == ("n2",)
    site.check_replay()


def test_a_drained_node_is_replaced_and_a_silent_one_is_not() -> None:
    site = Site(nodes=3)
    site.keep(nodecnt="1")

    site.lose("n1", is_final=False)
    assert site.kept["r1"].nodes == ("n1",)
    site.update_nodes("n1", State="DRAIN", Reason="x")
    assert site.kept["r1"].nodes == ("n2",)


def test_named_nodes_are_never_replaced() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    site.lose("n1")

    assert site.kept["r1"].nodes == ("n1",)
    assert site.kept["r1"].flags == ("SPEC_NODES",)


def test_replace_keeps_so_many_nodes_idle() -> None:
    site = Site(nodes=3)
    site.keep(nodecnt="1", flags="replace")

    job_id = site.start(reservation="r1", limit_s=600)

    assert site.job(job_id).nodes == ("n1",)
    assert site.kept["r1"].nodes == ("n2",)


def test_part_nodes_follows_its_partition() -> None:
    site = Site(nodes=2)
    site.add_partition("small", nodes=("n1",))
    site.keep(partitionname="small", nodes="ALL", flags="part_nodes")

    site.configure(partitions=(site.partition_records[0], replace(site.partition_records[1], nodes=("n1", "n2"))))

    assert site.kept["r1"].nodes == ("n1", "n2")


def test_purge_comp_removes_what_nobody_uses() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", flags="purge_comp=10")
    job_id = site.start(reservation="r1", limit_s=1200)

    site.pass_time(700)
    assert site.kept
    site.end_script(job_id)
    site.pass_time(599)
    assert site.kept
    site.pass_time(2)
    assert not site.kept


def test_first_cores_are_the_lowest() -> None:
    site = Site(nodes=1)

    assert site.keep(corecnt="2", flags="first_cores").core_shares[0].cores == "0-1"
