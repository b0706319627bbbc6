"""Laws of limits, on random trees of accounts, QOS and queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.model.job import Job
from sluice.model.qos import QosFlag
from sluicectld.scheduler.limits.accrue import choose_accruing
from sluicectld.scheduler.limits.tres import Demand
from tests.limits_builder import Site

#: Each example makes whole sites and queues.
few = settings(max_examples=60)

ACCOUNTS = ("science", "physics", "optics", "arts")
PARENTS = {"science": "root", "physics": "science", "optics": "physics", "arts": "root"}
USERS = {"ann": ("physics", "optics"), "bob": ("optics", "arts"), "eve": ("arts",)}

#: Limit -> its values; few of them are set at a time, so that each matters.
COUNTS = st.integers(0, 3)
TRES = st.fixed_dictionaries({}, optional={"cpu": st.integers(1, 8), "mem": st.integers(0, 6)})
MINUTES = st.fixed_dictionaries({}, optional={"cpu": st.integers(60, 400), "mem": st.integers(60, 400)})
COMMON = {
    "group_jobs": COUNTS,
    "group_tres": TRES,
    "group_tres_run_minutes": MINUTES,
    "max_tres_per_job": TRES,
    "max_wall_s": st.sampled_from([1800, 3600]),
}
ASSOCIATION = COMMON | {"max_jobs": COUNTS}
QOS = COMMON | {"max_jobs_per_user": COUNTS, "max_tres_per_account": TRES, "min_tres_per_job": TRES}
PLACES = {**dict.fromkeys((*ACCOUNTS, *USERS), ASSOCIATION), "high": QOS, "part": QOS}

jobs = st.fixed_dictionaries(
    {
        "who": st.sampled_from([(user, account) for user, accounts in USERS.items() for account in accounts]),
        "qos": st.sampled_from(["normal", "high"]),
        "cpus": st.integers(1, 4),
        "mem": st.integers(0, 4),
        "limit_s": st.sampled_from([1800, 3600, None]),
    }
)
queues = st.lists(jobs, min_size=4, max_size=10)


@st.composite
def drawn_sites(draw: st.DrawFn) -> dict[str, Any]:
    """Return the limits by place: accounts, users (in all their accounts), and two QOS."""
    limits: dict[str, dict[str, Any]] = {place: {} for place in PLACES}
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.sampled_from(sorted(PLACES)))
        name = draw(st.sampled_from(sorted(PLACES[place])))
        limits[place][name] = draw(PLACES[place][name])
    return {"limits": limits, "is_over": draw(st.booleans()), "factor": draw(st.sampled_from([1.0, 2.0]))}


site_settings = drawn_sites()


def make_site(drawn: dict[str, Any], order: tuple[str, ...] = ACCOUNTS) -> Site:
    site, limits = Site(), drawn["limits"]
    for name in order:
        site.account(name, PARENTS[name], **limits[name])
    for user, accounts in USERS.items():
        for account in accounts:
            site.user(user, account, **limits[user])
    flags = (QosFlag.OVER_PART_QOS,) if drawn["is_over"] else ()
    site.qos("high", flags, usage_factor=drawn["factor"], **limits["high"])
    return site.qos("part", **limits["part"]).partition("batch", qos="part")


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


class Recount:
    """The reasons against one job, counted from the list of running ones by the words of the manual, limit by limit."""

    def __init__(self, drawn: dict[str, Any], running: list[tuple[Job, Demand]], job: Job, demand: Demand) -> None:
        self.limits, self.factor = drawn["limits"], drawn["factor"]
        self.running, self.job, self.demand = running, job, demand
        self.qoses = ["part"] if job.spec.qos == "normal" else ["part", "high"]
        if drawn["is_over"]:
            self.qoses.reverse()
        self.reasons: set[str] = set()

    def first(self, places: list[str], field: str, tres: str = "") -> tuple[str, Any] | None:
        for place in places:
            value = self.limits[place].get(field)
            value = value.get(tres) if tres and value is not None else value
            if value is not None:
                return place, value
        return None

    def at(self, place: str) -> list[tuple[Job, Demand]]:
        """Return the running jobs of a QOS, of a user in the job's account, or in an account and below."""
        if place == "part":
            return self.running
        if place == "high":
            return [each for each in self.running if each[0].spec.qos == "high"]
        spec = self.job.spec
        if place in USERS:
            return [each for each in self.running if (each[0].spec.user, each[0].spec.account) == (place, spec.account)]
        return [each for each in self.running if place in above(each[0].spec.account)]

    def group(
        self, field: str, word: str, amount: Callable[[Job, Demand], float], tres: str = "", unit: int = 1
    ) -> None:
        """Each level limits its own sum, unless a QOS sets the limit."""
        qos = self.first(self.qoses, field, tres)
        places = [qos[0]] if qos else [self.job.spec.user, *above(self.job.spec.account)]
        for place in places:
            found = self.first([place], field, tres)
            wanted = amount(self.job, self.demand)
            if found and wanted and sum(amount(*each) for each in self.at(place)) + wanted > found[1] * unit:
                self.reasons.add(f"{'QOS' if qos else 'Assoc'}{word}")

    def each_job(self, field: str, word: str, value: float, tres: str = "") -> None:
        """The nearest that sets it bounds the job."""
        found = self.first([*self.qoses, self.job.spec.user, *above(self.job.spec.account)], field, tres)
        if found and value > found[1]:
            self.reasons.add(f"{'QOS' if found[0] in ('part', 'high') else 'Assoc'}{word}")

    def run(self) -> set[str]:
        spec, tres = self.job.spec, self.demand.tres
        self.group("group_jobs", "GrpJobsLimit", lambda job, demand: 1)
        for name, word in (("cpu", "CPU"), ("mem", "Mem")):
            self.group("group_tres", f"Grp{word.title()}Limit", amount_of(name), name)
        self.group("group_tres_run_minutes", "GrpCPURunMinutesLimit", self.run_seconds("cpu"), "cpu", 60)
        self.group("group_tres_run_minutes", "GrpMemRunMinutes", self.run_seconds("mem"), "mem", 60)
        self.each_job("max_wall_s", "MaxWallDurationPerJobLimit", self.job.limit_s or 10**9)
        self.each_job("max_tres_per_job", "MaxCpuPerJobLimit", tres["cpu"], "cpu")
        self.each_job("max_tres_per_job", "MaxMemPerJob", tres.get("mem", 0), "mem")
        most = self.first(self.qoses, "max_jobs_per_user")
        if most:
            if sum(job.spec.user == spec.user for job, _ in self.at(most[0])) >= most[1]:
                self.reasons.add("QOSMaxJobsPerUserLimit")
        else:
            most = self.first([spec.user, *above(spec.account)], "max_jobs")
            if most and len(self.at(spec.user)) >= most[1]:
                self.reasons.add("AssocMaxJobsLimit")
        for name, word, least_word in (("cpu", "Cpu", "QOSMinCpuNotSatisfied"), ("mem", "Memory", "QOSMinMemory")):
            wanted = tres.get(name, 0)
            most = self.first(self.qoses, "max_tres_per_account", name)
            if most and wanted:
                its = [each for job, each in self.at(most[0]) if job.spec.account == spec.account]
                if sum(each.tres.get(name, 0) for each in its) + wanted > most[1]:
                    self.reasons.add(f"Max{word}PerAccount")
            least = self.first(self.qoses, "min_tres_per_job", name)
            if least and wanted < least[1]:
                self.reasons.add(least_word)
        return self.reasons

    def run_seconds(self, name: str) -> Callable[[Job, Demand], float]:
        def amount(job: Job, demand: Demand) -> float:
            factor = self.factor if job.spec.qos == "high" else 1.0
            return demand.tres.get(name, 0) * (10**9 if demand.limit_s is None else demand.limit_s) * factor

        return amount


def amount_of(name: str) -> Callable[[Job, Demand], float]:
    return lambda job, demand: demand.tres.get(name, 0)


#: How words for QOS spell memory where those for associations say Mem.
QOS_SPELLING = {"QOSMaxMemPerJob": "QOSMaxMemoryPerJob", "QOSGrpMemRunMinutes": "QOSGrpMemoryRunMinutes"}


def above(account: str) -> list[str]:
    """Return the account and those above it that have limits here."""
    found = []
    while account != "root":
        found.append(account)
        account = PARENTS[account]
    return found


@few
@given(site_settings, queues)
def test_a_job_starts_unless_it_would_exceed_a_limit_and_the_reasons_are_those_limits(drawn, queue) -> None:
    """At each job of any queue the reasons are exactly the limits that it and what runs exceed, recounted plainly."""
    site = make_site(drawn)
    running: list[tuple[Job, Demand]] = []
    for each in queue:
        job, demand = make_job(site, each)

        blockers = site.book.find_blockers(job, site.partitions["batch"], demand)

        expected = Recount(drawn, running, job, demand).run()
        assert {str(blocker.reason) for blocker in blockers} == {QOS_SPELLING.get(word, word) for word in expected}
        if not blockers:
            site.book.add_start(job, site.partitions["batch"], demand)
            running.append((job, demand))


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
    site = make_site(drawn).partition("batch")
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
@given(st.lists(st.sampled_from(["ann", "bob"]), max_size=12), st.none() | COUNTS, st.none() | COUNTS)
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
