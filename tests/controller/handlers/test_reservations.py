"""Reservations in the engine: how they are made, changed and deleted, what each flag does, and what becomes of jobs."""

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.errors import NotPermitted, RequestError
from sluice.model.reason import Reason
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.model.states import Hold, JobState
from sluice.wire.messages import UpdateReservation
from sluicectld.permissions import Caller
from sluicectld.state import commands
from sluicectld.state.events import ReservationChanged, ReservationDeleted
from tests.engine_builder import ANN, BOB, OPERATOR, ROOT, World

HOUR_S = 3600.0
#: What most tests ask for beside the rest.
ANNS = {"users": "ann", "starttime": "now", "duration": "60"}


class Site(World):
    """A World in which reservations are made by keys; a key that ends in _plus stands for +=, _minus for -=."""

    def revise(self, action: str, name: str = "", caller: Caller = OPERATOR, **keys: str) -> Any:
        members = keys.pop("members", {})
        changes = tuple((key.replace("_plus", "+").replace("_minus", "-"), value) for key, value in keys.items())
        request = UpdateReservation(name=name, action=action, changes=changes)
        return self.do(commands.ReviseReservation(request, members), caller)

    def keep(self, name: str = "r1", caller: Caller = OPERATOR, **keys: str) -> Reservation:
        """Make a reservation for ann, from now for an hour unless told otherwise, and return it."""
        self.revise("create", name, caller, **(ANNS | keys))
        self.do(commands.Tick())
        return self.cluster.reservations[name]

    def update(self, name: str = "r1", **keys: str) -> Reservation:  # type: ignore[override]
        self.revise("update", name, **keys)
        return self.cluster.reservations[name]

    def refused(self, action: str, name: str = "r1", caller: Caller = OPERATOR, **keys: str) -> RequestError:
        with pytest.raises(RequestError) as caught:
            self.revise(action, name, caller, **keys)
        return caught.value

    @property
    def kept(self) -> dict[str, Reservation]:
        return self.cluster.reservations


# --- making one


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


# --- who may


@pytest.mark.parametrize("action", ["create", "update", "delete"])
def test_only_operators_make_change_and_delete_them(action: str) -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    refusal = site.refused(action, "r2" if action == "create" else "r1", caller=ANN)

    assert isinstance(refusal, NotPermitted)
    assert site.keep("r3", caller=ROOT, nodes="n2").name == "r3"


def test_user_delete_lets_its_users_delete_it() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", flags="user_delete")

    assert isinstance(site.refused("delete", caller=BOB), NotPermitted)
    site.revise("delete", "r1", ANN)
    assert not site.kept


def test_the_site_may_let_users_delete_what_is_theirs() -> None:
    site = Site(nodes=1, slurmctld_parameters={"user_resv_delete": ""})
    site.keep(nodes="n1")

    site.revise("delete", "r1", ANN)

    assert not site.kept


def test_jobs_name_what_exists_and_lets_them_in() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")

    with pytest.raises(RequestError) as unknown:
        site.submit(ANN, reservation="r1,r9")
    with pytest.raises(RequestError) as foreign:
        site.submit(BOB, reservation="r1")

    assert (unknown.value.code, foreign.value.code) == ("reservation", "reservation_access")
    assert unknown.value.message == "no reservation is called 'r9'; known are r1"
    assert foreign.value.message == "reservation 'r1': it is for the users ann, not 'bob'"


def test_groups_let_their_members_in() -> None:
    site = Site(nodes=1)
    site.revise(
        "create",
        "r1",
        groups="bio",
        starttime="now",
        duration="60",
        nodes="n1",
        members={"bio": ("ann",)},  # type: ignore[arg-type]
    )

    assert site.kept["r1"].members == ("ann",)
    assert site.job(site.start(ANN, reservation="r1", limit_s=600)).reservation == "r1"
    assert site.submit(BOB, reservation="r1", groups=("bio",))
    with pytest.raises(RequestError, match="for the groups bio"):
        site.submit(BOB, reservation="r1")


def test_a_partition_that_wants_reservations_takes_no_other_jobs() -> None:
    site = Site(nodes=2)
    site.add_partition("kept", requires_reservation=True)
    site.keep(nodes="n1")

    with pytest.raises(RequestError, match="ReqResv"):
        site.submit(partitions=("kept",))
    assert site.submit(partitions=("kept",), reservation="r1")


# --- its times


def test_it_begins_and_ends_by_itself() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+10minutes", duration="30")
    job_id = site.submit(reservation="r1", limit_s=600)
    site.pass_()
    assert site.job(job_id).state is JobState.PENDING

    site.pass_time(600)
    site.pass_()

    assert site.job(job_id).state is JobState.RUNNING
    site.end_script(job_id)
    site.pass_time(1800)
    assert not site.kept
    site.check_replay()


def test_jobs_inside_end_with_it() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", duration="30")
    job_id = site.start(reservation="r1", limit_s=7200)
    assert site.job(job_id).limit_s == 1800

    site.pass_time(1801)

    assert site.job(job_id).state is JobState.TIMEOUT


def test_jobs_inside_end_when_it_is_cut_short() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    job_id = site.start(reservation="r1", limit_s=3000)

    site.pass_time(300)
    site.update(endtime="now+5minutes")
    site.pass_time(301)

    assert site.job(job_id).state is JobState.TIMEOUT
    assert not site.kept


def test_one_in_force_is_ended_at_once() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    site.pass_time(300)

    site.update(endtime="now")
    site.pass_time(1)

    assert not site.kept


def test_resv_over_run_lets_them_go_on() -> None:
    site = Site(nodes=1, reservation_overrun_s=None)
    site.keep(nodes="n1", duration="30", flags="flex")
    job_id = site.start(reservation="r1", limit_s=7200)

    site.pass_time(1900)

    assert site.job(job_id).state is JobState.RUNNING


def test_a_daily_one_comes_again() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="daily")
    running = site.start(reservation="r1", limit_s=7200)
    waiting = site.submit(reservation="r1", limit_s=3000, ntasks=4)

    site.pass_time(HOUR_S + 1)

    again = site.kept["r1"]
    assert (again.start_at, again.has_begun) == (first.start_at + 86400, False)
    assert site.job(running).state is JobState.TIMEOUT
    site.clean(running)
    assert site.pass_().planned[waiting].at == again.start_at
    site.pass_time(86400 - HOUR_S)
    site.pass_()
    assert site.job(waiting).state is JobState.RUNNING


def test_times_that_passed_while_no_controller_ran_are_passed_over() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="daily")
    site.now += 3 * 86400 + 60

    site.restart()
    site.do(commands.Tick())

    assert site.kept["r1"].start_at == first.start_at + 3 * 86400
    site.do(commands.Tick())
    assert site.kept["r1"].has_begun


def test_skip_goes_on_with_the_next_time() -> None:
    site = Site(nodes=1)
    first = site.keep(nodes="n1", flags="weekly")

    assert site.update(skip="").start_at == first.start_at + 7 * 86400
    site.keep("once", nodes="n1", flags="overlap")
    assert "does not repeat" in site.refused("update", "once", skip="").message


def test_weekdays_begin_on_the_next_one() -> None:
    """The twelfth day of 1970 was a Monday; the next Saturday is the 17th."""
    site = Site(nodes=1)

    kept = site.keep(nodes="n1", flags="weekend")

    assert kept.start_at == site.now + 5 * 86400


def test_time_float_is_always_as_far_ahead() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+10minutes", flags="time_float")
    long, short = site.submit(limit_s=900), site.submit(limit_s=600)

    site.pass_time(6000)
    site.pass_()

    assert site.job(short).state is JobState.RUNNING
    assert site.job(long).state is JobState.PENDING
    assert site.kept["r1"].float_s == 600


# --- its flags


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


# --- changes


def test_users_come_and_go() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")

    assert site.update(users_plus="bob").users == ("ann", "bob")
    assert site.update(users_minus="ann").users == ("bob",)
    assert site.refused("update", users_minus="bob").code == "reservation_nobody"
    denied = site.update(users="-carl")
    assert (denied.users, denied.is_users_denied) == (("carl",), True)


def test_nodes_come_and_go() -> None:
    site = Site(nodes=4)
    site.keep(nodes="n1")

    assert site.update(nodes_plus="n3").nodes == ("n1", "n3")
    assert site.update(nodes_minus="n1").nodes == ("n3",)
    assert site.update(nodecnt="2").nodes == ("n1", "n3")
    assert site.update(nodecnt="1").nodes == ("n1",)
    assert site.update(nodes="").node_count_asked == 1


def test_flags_come_and_some_stay() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")

    assert site.update(flags_plus="maint,magnetic").flags == ("MAINT", "SPEC_NODES", "MAGNETIC")
    assert site.update(flags_minus="maint").flags == ("SPEC_NODES", "MAGNETIC")
    site.update(flags_plus="overlap")
    assert site.refused("update", flags_minus="overlap").code == "not_supported"


def test_times_change_unless_it_has_begun() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")

    assert site.update(starttime="now+2hours").duration_s == HOUR_S
    assert site.update(duration="30").duration_s == 1800
    assert site.update(duration_plus="10").duration_s == 2400
    site.keep("now", nodes="n2")
    assert site.refused("update", "now", starttime="now+5").code == "reservation_begun"
    assert site.refused("update", "nosuch", duration="5").code == "reservation"


def test_a_change_that_would_overlap_is_refused() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    site.keep("r2", nodes="n1", starttime="now+1hour")

    assert site.refused("update", "r1", duration="61").code == "reservation_overlap"


# --- its end for jobs


def test_one_that_is_in_use_is_not_deleted() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1")
    job_id = site.start(reservation="r1", limit_s=600)

    refusal = site.refused("delete")

    assert refusal.code == "reservation_in_use"
    assert refusal.message == f"1 jobs run in reservation 'r1' ({job_id}); end them first, or set its EndTime"
    assert site.refused("delete", "nosuch").code == "reservation"


def test_jobs_that_wait_for_a_deleted_one_are_held_until_released() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+1hour")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.revise("delete", "r1")

    held = site.job(job_id)
    assert (held.hold, held.reason, held.spec.reservation) == (Hold.USER, Reason.RESERVATION_DELETED, "")
    assert not site.pass_().starts
    site.change("release", job_id)
    assert site.pass_().starts
    assert site.job(job_id).reason is Reason.NONE
    site.check_replay()


def test_jobs_with_another_choice_wait_on() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")
    site.keep("r2", nodes="n2", starttime="now+1hour")
    job_id = site.submit(reservation="r1,r2", limit_s=600)

    site.revise("delete", "r1")

    assert (site.job(job_id).spec.reservation, site.job(job_id).hold) == ("r2", Hold.NONE)


def test_no_hold_jobs_after_lets_them_run_elsewhere() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", starttime="now+1hour", flags="no_hold_jobs_after")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.revise("delete", "r1")
    site.pass_()

    assert site.job(job_id).state is JobState.RUNNING


def test_a_plan_from_before_a_reservation_starts_nothing_on_its_nodes() -> None:
    site = Site(nodes=1)
    job_id = site.submit(BOB, limit_s=600)
    plan = site.plan()

    site.keep(nodes="n1")
    stale = site.do(commands.ApplyPlan(plan))

    assert stale == 1
    assert site.job(job_id).state is JobState.PENDING


def test_a_job_moves_to_another_reservation() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1", starttime="now+1hour")
    site.keep("r2", nodes="n2")
    job_id = site.submit(reservation="r1", limit_s=600)

    site.set_key(job_id, ANN, "ReservationName", "r2")
    site.pass_()

    assert site.job(job_id).reservation == "r2"
    with pytest.raises(RequestError):
        site.set_key(job_id, ANN, "ReservationName", "nosuch")
    site.set_key(job_id, ANN, "ReservationName", "")
    assert site.job(job_id).reservation == ""


def test_what_happened_is_on_the_journal() -> None:
    site = Site(nodes=1)
    site.keep(nodes="n1", duration="1")
    begun = site.happened()
    site.pass_time(60)

    assert [event.what for event in begun if isinstance(event, ReservationChanged)] == ["begin"]
    assert [event.what for event in site.happened() if isinstance(event, ReservationDeleted)] == ["end"]


def test_a_restart_knows_them() -> None:
    site = Site(nodes=2)
    site.keep(nodes="n1")
    site.keep("r2", nodes="n2", starttime="now+1hour")

    site.restart()
    site.pass_time(HOUR_S)

    assert list(site.kept) == ["r2"]
    assert site.kept["r2"].has_begun
    assert isinstance(site.job(site.submit()).spec, JobSpec)
