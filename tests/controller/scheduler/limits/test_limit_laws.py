"""Laws of limits, on random trees of accounts, QOS and queues."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.model.job import Job
from sluice.model.qos import QosFlag
from sluice.model.usage import Holder
from sluicectld.scheduler.limits.accrue import choose_accruing
from sluicectld.scheduler.limits.book import Member
from sluicectld.scheduler.limits.excess import find_excess
from sluicectld.scheduler.limits.rules import Measure
from sluicectld.scheduler.limits.tally import Tally
from sluicectld.scheduler.limits.tres import Demand
from tests.limits_builder import Site

#: Each example makes whole sites; these suffice to find every mistake that was planted.
few = settings(max_examples=30)

ACCOUNTS = ("science", "physics", "optics", "arts")
PARENTS = {"science": "root", "physics": "science", "optics": "physics", "arts": "root"}
USERS = {"ann": ("physics", "optics"), "bob": ("optics", "arts"), "eve": ("arts",)}

small = st.none() | st.integers(0, 4)
tres_limits = st.dictionaries(st.sampled_from(["cpu", "mem", "node", "gres/gpu"]), st.integers(0, 8), max_size=2)
minutes = st.dictionaries(st.sampled_from(["cpu", "mem"]), st.integers(0, 600), max_size=1)
group_limits = {
    "group_jobs": small,
    "group_tres": tres_limits,
    "group_tres_run_minutes": minutes,
    "max_tres_per_job": tres_limits,
    "max_wall_s": st.sampled_from([None, 3600]),
}
association_limits = st.fixed_dictionaries({**group_limits, "max_jobs": small, "max_tres_run_minutes": minutes})
qos_limits = st.fixed_dictionaries(
    {**group_limits, "max_jobs_per_user": small, "max_tres_per_account": tres_limits, "min_tres_per_job": tres_limits}
)
jobs = st.fixed_dictionaries(
    {
        "who": st.sampled_from([(user, account) for user, accounts in USERS.items() for account in accounts]),
        "qos": st.sampled_from(["normal", "high"]),
        "cpus": st.integers(1, 4),
        "mem": st.integers(0, 4),
        "gpu": st.integers(0, 1),
        "limit_s": st.sampled_from([1800, 3600, 7200, None]),
    }
)
queues = st.lists(jobs, max_size=12)
site_settings = st.fixed_dictionaries(
    {
        "accounts": st.fixed_dictionaries({name: association_limits for name in ACCOUNTS}),
        "users": st.fixed_dictionaries({name: association_limits for name in USERS}),
        "high": qos_limits,
        "part": qos_limits,
        "flags": st.sampled_from([(), (QosFlag.OVER_PART_QOS,)]),
        "usage_factor": st.sampled_from([0.5, 1.0, 2.0]),
    }
)


def make_site(drawn: dict[str, Any], order: tuple[str, ...] = ACCOUNTS) -> Site:
    site = Site()
    for name in order:
        site.account(name, PARENTS[name], **drawn["accounts"][name])
    for user, accounts in USERS.items():
        for account in accounts:
            site.user(user, account, **drawn["users"][user])
    site.qos("high", drawn["flags"], usage_factor=drawn["usage_factor"], **drawn["high"])
    site.qos("part", **drawn["part"]).partition("batch", qos="part")
    return site


def make_job(site: Site, drawn: dict[str, Any]) -> tuple[Job, Demand]:
    user, account = drawn["who"]
    fields = {name: value for name, value in drawn.items() if name != "who"}
    return site.job(user, account=account, **fields)


def start_all(site: Site, queue: list[dict[str, Any]]) -> list[tuple[Job, Demand]]:
    """Start each job that no limit stops, and return those."""
    started = []
    for drawn in queue:
        job, demand = make_job(site, drawn)
        demand = site.book.intern(demand)
        if site.book.find_blocker(job, site.partitions["batch"], demand) is None:
            site.book.add_start(job, site.partitions["batch"], demand)
            started.append((job, demand))
    return started


def member_of(site: Site, job: Job) -> Member:
    return site.book.find_member(job.spec, site.partitions["batch"])


def count_anew(site: Site, started: list[tuple[Job, Demand]], holder: Holder) -> Tally:
    """Return what the holder uses, added up from its jobs by the meaning of the words alone."""
    tally = Tally()
    for job, demand in started:
        spec = job.spec
        above = [spec.account]
        while PARENTS.get(above[-1]):
            above.append(PARENTS[above[-1]])
        qoses = {spec.qos, "part"}
        is_its = {
            "association": holder.account in above and holder.user in ("", spec.user)
            if not holder.user
            else (holder.account, holder.user) == (spec.account, spec.user),
            "qos": holder.qos in qoses,
            "qos user": holder.qos in qoses and holder.user == spec.user,
            "qos account": holder.qos in qoses and holder.account == spec.account,
        }[holder.kind]
        if is_its:
            tally.add_running(demand, site.qos_table[spec.qos].usage_factor, 0.0)
    return tally


@few
@given(site_settings, queues)
def test_allowed_starts_exceed_no_limit(drawn, queue) -> None:
    """After any sequence of allowed starts every rule holds, counted anew from the jobs that run."""
    site = make_site(drawn)

    started = start_all(site, queue)

    for job, _ in started:
        for rule, _ in member_of(site, job).rules:
            tally = count_anew(site, started, rule.holder)
            if rule.measure is Measure.JOBS:
                assert tally.jobs <= rule.limit
            elif rule.measure is Measure.TRES:
                assert tally.tres.get(rule.tres, 0) <= rule.limit
            elif rule.measure is Measure.TRES_RUN_MINUTES:
                assert tally.run_seconds.get(rule.tres, 0) <= rule.limit * 60


@few
@given(site_settings, queues, jobs)
def test_a_stopped_job_would_exceed_the_limit_that_is_named(drawn, queue, last) -> None:
    """For each reason there is a rule with that word which the use of its holder, counted anew, and the job exceed."""
    site = make_site(drawn)
    started = start_all(site, queue)
    job, demand = make_job(site, last)

    blockers = site.book.find_blockers(job, site.partitions["batch"], demand)

    member = member_of(site, job)
    exceeded = {
        rule.reason
        for rule, _ in member.rules
        if find_excess(rule, count_anew(site, started, rule.holder), demand, member.terms)
    }
    assert {blocker.reason for blocker in blockers} == exceeded


@few
@given(site_settings, queues, jobs)
def test_what_blocks_goes_on_blocking_while_jobs_only_start(drawn, queue, last) -> None:
    site = make_site(drawn)
    job, demand = make_job(site, last)
    was_blocked = site.book.find_blocker(job, site.partitions["batch"], demand) is not None

    start_all(site, queue)

    again = make_site(drawn)
    start_all(again, queue)
    afresh = again.book.find_blocker(job, again.partitions["batch"], demand) is not None
    assert afresh or not was_blocked
    assert (site.book.find_blocker(job, site.partitions["batch"], demand) is not None) == afresh


@few
@given(site_settings, queues, jobs)
def test_use_elsewhere_stops_nobody(drawn, queue, last) -> None:
    """Jobs of other users in accounts that are neither above nor below, with another QOS, change no answer."""
    site = make_site(drawn | {"part": {}})
    queue = [each | {"who": ("eve", "arts"), "qos": "high"} for each in queue]
    job, demand = make_job(site, last | {"who": ("ann", "optics"), "qos": "normal"})
    before = site.book.find_blockers(job, site.partitions["batch"], demand)

    start_all(site, queue)

    assert site.book.find_blockers(job, site.partitions["batch"], demand) == before


@few
@given(site_settings, queues, st.permutations(ACCOUNTS))
def test_the_order_of_siblings_changes_nothing(drawn, queue, order) -> None:
    one, other = make_site(drawn), make_site(drawn, tuple(order))

    assert [job.id for job, _ in start_all(one, queue)] == [job.id for job, _ in start_all(other, queue)]
    assert one.book.usage() == other.book.usage()


@few
@given(site_settings, queues)
def test_removing_all_that_was_added_leaves_nothing(drawn, queue) -> None:
    site = make_site(drawn)
    started = start_all(site, queue)
    for job, _ in started:
        site.book.add_submitted(job, site.partitions["batch"])

    for job, demand in started:
        site.ends(job, demand)

    assert site.book.usage() == {}


@few
@given(st.lists(st.sampled_from(["ann", "bob"]), max_size=12), small, small)
def test_no_more_jobs_gain_age_than_limits_say_and_first_ones_first(users, group_most, most) -> None:
    site = Site().account("optics", group_jobs_accrue=group_most, max_jobs_accrue=most)
    site.user("ann", "optics").user("bob", "optics")
    waiting = [site.job(user)[0] for user in users]

    chosen = choose_accruing(site.book, [(job, site.partitions["batch"]) for job in waiting])

    assert group_most is None or len(chosen) <= group_most
    for user in ("ann", "bob"):
        accrues = [job.id in chosen for job in waiting if job.spec.user == user]
        assert most is None or sum(accrues) <= most
        assert accrues == sorted(accrues, reverse=True)
    if group_most is None and most is None:
        assert len(chosen) == len(waiting)
