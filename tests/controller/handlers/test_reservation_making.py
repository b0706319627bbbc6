"""Making reservations: which nodes and cores they get, and what is refused."""

import pytest
from msgspec.structs import replace

from tests.reservation_builder import ANNS, Site


def test_a_new_one_is_called_after_the_first_whom_it_is_for() -> None:
    site = Site(nodes=3)

    first = site.revise("create", **ANNS, nodecnt="1")
    second = site.revise("create", accounts="physics,chem", starttime="now", duration="1:00:00", nodecnt="1")

    assert [*first.lines, *second.lines] == ["Reservation created: ann_1", "Reservation created: physics_2"]
    assert site.kept["ann_1"].nodes == ("n1",)
    assert site.kept["physics_2"].nodes == ("n2",)
    site.check_replay()


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        pytest.param({"nodes": "n9"}, "invalid_node", id="a node that is none"),
        pytest.param({"nodecnt": "9"}, "reservation_nodes", id="more nodes than there are"),
        pytest.param({"corecnt": "99"}, "reservation_nodes", id="more cores than there are"),
        pytest.param({"nodes": "n1", "users": ""}, "reservation_nobody", id="for nobody"),
        pytest.param({"nodes": "n1", "starttime": "now-2hours"}, "reservation_time", id="over already"),
        pytest.param({}, "invalid_node", id="of no nodes"),
        pytest.param({"nodes": "n1", "partitionname": "none"}, "invalid_partition", id="a partition that is none"),
        pytest.param({"nodecnt": "1", "features": "gold"}, "invalid_feature", id="a feature that no node has"),
        pytest.param({"nodes": "n1", "licenses": "matlab:1"}, "invalid_licenses", id="a license that is none"),
        pytest.param({"nodes": "n1", "flags": "golden"}, "reservation_flags", id="a flag that is none"),
        pytest.param({"nodes": "n1", "flags": "daily,hourly"}, "reservation", id="two periods"),
        pytest.param({"nodes": "n1", "flags": "daily,time_float"}, "reservation", id="floating and repeating"),
        pytest.param(
            {"nodes": "n1", "flags": "hourly", "duration": "61"}, "reservation_time", id="longer than its hour"
        ),
        pytest.param({"nodes": "n1", "flags": "any_nodes"}, "reservation", id="any nodes and some nodes"),
        pytest.param({"nodes": "n1", "users": "ann,-bob"}, "invalid_user", id="letting in and keeping out"),
        pytest.param({"nodes": "n1", "shoes": "2"}, "reservation", id="a key that is none"),
    ],
)
def test_what_is_refused(keys: dict[str, str], code: str) -> None:
    site = Site(nodes=3)

    assert site.refused("create", **(ANNS | keys)).code == code


def test_a_name_is_given_once() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    assert site.refused("create", **ANNS, nodes="n2").code == "reservation_name"


def test_another_reservation_in_the_way_is_named() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    refusal = site.refused("create", "r2", **ANNS, nodes="n[1-2]")

    assert refusal.code == "reservation_overlap"
    assert refusal.message == (
        "node n1: reservation 'r1' has it from 13:46 to 14:46; Flags=OVERLAP or MAINT would let both have it"
    )
    assert site.keep("r2", nodes="n1", starttime="now+1hour").nodes == ("n1",)


def test_a_job_that_runs_into_it_is_named() -> None:
    site = Site(nodes=2)
    site.start(limit_s=1200, nodes=2)

    refusal = site.refused("create", **(ANNS | {"starttime": "now+10minutes"}), nodes="n1")

    assert refusal.code == "reservation_nodes"
    assert refusal.message == ("node n1: job 1 runs there until 14:06; Flags=IGNORE_JOBS would not wait for it")
    assert "2 nodes asked, 0 of 2 in partition batch" in site.refused("create", **ANNS, nodecnt="2").message
    assert site.keep(nodes="n1", starttime="now+20minutes").nodes == ("n1",)


def test_nodes_that_are_free_then_are_taken_first() -> None:
    site = Site(nodes=3)
    site.start(limit_s=7200)
    site.keep("other", nodes="n2")

    assert site.keep(nodecnt="1").nodes == ("n3",)
    refusal = site.refused("create", "r2", **(ANNS | {"starttime": "now+65minutes"}), nodecnt="3")
    assert refusal.message == (
        "3 nodes asked, 2 of 3 in partition batch can be had in that time; n1: job 1 runs there until 15:46; "
        "NodeCnt=2 would fit"
    )


def test_cores_are_taken_from_as_few_nodes_as_hold_them() -> None:
    site = Site(nodes=3, cpus=4)

    kept = site.keep(corecnt="6")

    assert [(share.node, share.cores) for share in kept.core_shares] == [("n1", "0-3"), ("n2", "0-1")]
    assert (kept.core_count, kept.partition) == (6, "batch")
    assert [(share.node, share.cores) for share in site.keep("r2", corecnt="5").core_shares] == [
        ("n2", "2-3"),
        ("n3", "0-2"),
    ]
    assert [
        share.core_count for share in site.keep("r3", starttime="now+2hours", corecnt="5", nodecnt="2").core_shares
    ] == [3, 2]


def test_cores_node_by_node() -> None:
    site = Site(nodes=2)

    kept = site.keep(nodes="n[1-2]", corecnt="1,3")

    assert [(share.node, share.core_count) for share in kept.core_shares] == [("n1", 1), ("n2", 3)]
    assert site.refused("create", "r2", **ANNS, nodes="n1", corecnt="4").message.startswith(
        "node n1: 4 cores asked, 3 are free in that time"
    )


def test_tres_says_the_same() -> None:
    site = Site(nodes=3, licenses={"matlab": 4})

    kept = site.keep(tres="node=2,license/matlab=3,bb/nvme=5")

    assert (kept.nodes, kept.licenses, kept.burst_buffer) == (("n1", "n2"), (("matlab", 3),), "nvme:5")
    refusal = site.refused("create", "r2", **ANNS, flags="any_nodes", licenses="matlab:2")
    assert refusal.message.endswith(
        "2 of license 'matlab' asked, 4 exist, 3 of them are in other reservations then; 1 would fit"
    )


def test_all_of_a_partition() -> None:
    site = Site(nodes=3)
    site.add_partition("small", nodes=("n2", "n3"))

    assert site.keep(partitionname="small").nodes == ("n2", "n3")
    assert site.keep("r2", nodes="ALL", flags="overlap").nodes == ("n1", "n2", "n3")


def test_features_choose_the_nodes() -> None:
    site = Site(nodes=3)
    nodes = [*site.node_records]
    nodes[2] = replace(nodes[2], features=("fast",))
    site.configure(nodes=tuple(nodes))
    site.register("n1", "n2", "n3")

    assert site.keep(nodecnt="1", features="fast").nodes == ("n3",)
    assert "1 of 3" in site.refused("create", "r2", **ANNS, nodecnt="2", features="fast", flags="overlap").message
