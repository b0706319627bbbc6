"""The contract of each kind as functions, for the tests of any plugin.

from sluice_plugins.testing import check_submit_filter

def test_contract():
    check_submit_filter(MyFilter())
"""

from collections.abc import Sequence

from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode, PreemptSetup
from sluice.model.priority import Asked, Candidates, PriorityContext, PrioritySetup, PriorityTables, Standing
from sluice.model.qos import Qos
from sluice.model.request import JobSpec
from sluice.model.topology import Topology
from sluice_plugins.interfaces import (
    Contender,
    JobFactor,
    PreemptPlugin,
    PriorityFactor,
    PriorityPlugin,
    SizeFactor,
    StandingFactor,
    Submission,
    SubmitFilter,
    TopologyMap,
    TopologyPlugin,
    TopologyRequest,
    VictimCost,
)

_PARTITIONS = (Partition(name="batch", is_default=True), Partition(name="short", state="INACTIVE"))

#: Requests that every filter must take or refuse properly.
REQUESTS = (
    JobSpec(name="plain", uid=1000, gid=1000, user="alice"),
    JobSpec(name="limited", uid=1000, gid=1000, user="alice", limit_s=60, partitions=("batch",)),
    JobSpec(name="array", uid=0, gid=0, user="root", array=((0, 999_999, 1),), is_unlimited=True),
    JobSpec(name="interactive", uid=1000, gid=1000, user="alice", is_batch=False, origin="salloc"),
)

#: Three jobs of different users, sizes and ages, and a cluster for them.
PRIORITY_CANDIDATES = Candidates(
    jobs=[
        Job(id=number, spec=spec, submitted_at=1000.0 * number, eligible_at=1000.0 * number, limit_s=3600)
        for number, spec in enumerate(REQUESTS[:3], 1)
    ],
    standings=[
        Standing(account=account, user=user, qos=qos, partition="batch", partition_factor=factor)
        for account, user, qos, factor in (
            ("physics", "alice", "normal", 1),
            ("biology", "bob", "high", 5),
            ("", "root", "", 9),
        )
    ],
    asked=[
        Asked(limit_s=limit_s, nodes=nodes, cpus=4 * nodes, tres={"cpu": 4 * nodes}, partition_tres={"cpu": 64})
        for limit_s, nodes in ((60, 1), (None, 8), (0, 1))
    ],
)
PRIORITY_CONTEXT = PriorityContext(
    now_at=86400.0,
    tables=PriorityTables(
        fair_shares={("physics", "alice", ""): 0.25, ("biology", "bob", "batch"): 1.0},
        association_priorities={("physics", "alice", ""): 7},
        qos_priorities={"normal": 10, "high": 100},
        site_factors={2: -5},
    ),
    nodes=16,
    cpus=64,
    partition_factor_max=9,
    association_priority_max=7,
    qos_priority_max=100,
)


def check_submit_filter(plugin: SubmitFilter) -> None:
    """Raise AssertionError unless the filter keeps its contract: an answer of the right type, twice the same."""
    for spec in REQUESTS:
        submission = Submission(uid=spec.uid, user=spec.user, partitions=_PARTITIONS)
        first = _outcome(plugin, spec, submission)
        assert first == _outcome(plugin, spec, submission), f"{spec.name}: the same request got two answers"
        if isinstance(first, JobSpec):
            assert (first.uid, first.user) == (spec.uid, spec.user), (
                f"{spec.name}: a filter must not change who submits"
            )


def _outcome(plugin: SubmitFilter, spec: JobSpec, submission: Submission) -> JobSpec | str:
    reason = ""
    result: JobSpec | None
    try:
        result = plugin.filter(spec, submission)
    except RequestError as refusal:
        result = None
        reason = refusal.message
    if result is None:
        assert reason, f"{spec.name}: refused without a reason"
        return reason
    assert isinstance(result, JobSpec), f"{spec.name}: gave back {type(result).__name__}"
    return result


def check_priority_factor(plugin: PriorityFactor) -> None:
    """Raise AssertionError unless the factor keeps its contract: one finite number for each, twice the same."""
    numbers = _factor_numbers(plugin, PRIORITY_CANDIDATES)
    assert numbers == _factor_numbers(plugin, PRIORITY_CANDIDATES), "the same candidates got two answers"
    assert len(numbers) == len(PRIORITY_CANDIDATES.jobs), f"{len(numbers)} numbers for 3 candidates"
    for number in numbers:
        assert isinstance(number, int | float), f"{number!r} is not a number"
        assert abs(number) < float("inf"), f"{number!r} is not finite"
    alone = [_factor_numbers(plugin, each)[0] for each in _one_by_one(PRIORITY_CANDIDATES)]
    assert alone == numbers, "the number of a job depends on the other jobs"
    assert _factor_numbers(plugin, Candidates(jobs=[], standings=[], asked=[])) == []


def check_priority_plugin(plugin: PriorityPlugin) -> None:
    """Raise AssertionError unless the plugin's rule numbers every candidate, alone as in company, and explains it."""
    rule = plugin.prepare(PrioritySetup(weights={"even": 100}), {"even": _Even()})
    numbers = rule.compute(PRIORITY_CANDIDATES, PRIORITY_CONTEXT)
    assert numbers == rule.compute(PRIORITY_CANDIDATES, PRIORITY_CONTEXT), "the same candidates got two answers"
    alone = [rule.compute(each, PRIORITY_CONTEXT)[0] for each in _one_by_one(PRIORITY_CANDIDATES)]
    assert alone == numbers, "the number of a job depends on the other jobs"
    explained = rule.explain(PRIORITY_CANDIDATES, PRIORITY_CONTEXT)
    assert [each.job_id for each in explained] == [job.id for job in PRIORITY_CANDIDATES.jobs]
    assert [each.priority for each in explained] == [int(number) for number in numbers]
    if rule.is_lasting:
        later = replace(PRIORITY_CONTEXT, now_at=PRIORITY_CONTEXT.now_at + 86400)
        assert rule.compute(PRIORITY_CANDIDATES, later) == numbers, "a lasting number changed with time"


class _Even:
    """A factor to weigh."""

    def compute_of_jobs(self, jobs: Sequence[Job], context: PriorityContext) -> list[float]:
        return [float(job.id % 2 == 0) for job in jobs]


def _factor_numbers(plugin: PriorityFactor, candidates: Candidates) -> list[float]:
    if isinstance(plugin, StandingFactor):
        return [plugin.compute_of_standing(each, PRIORITY_CONTEXT) for each in candidates.standings]
    if isinstance(plugin, SizeFactor):
        return [plugin.compute_of_asked(each, PRIORITY_CONTEXT) for each in candidates.asked]
    assert isinstance(plugin, JobFactor), f"{type(plugin).__name__} has none of the methods of a factor"
    return plugin.compute_of_jobs(candidates.jobs, PRIORITY_CONTEXT)


def _one_by_one(candidates: Candidates) -> list[Candidates]:
    rows = zip(candidates.jobs, candidates.standings, candidates.asked, strict=True)
    return [Candidates(jobs=[job], standings=[standing], asked=[asked]) for job, standing, asked in rows]


def check_topology_plugin(plugin: TopologyPlugin, topology: Topology, nodes: Sequence[str]) -> None:
    """Raise AssertionError unless the plugin keeps its contract on a topology of at least two nodes.

    Every list has offered nodes only, each once, and the required ones; two maps of one topology give the same; one
    task gets a node that is offered; the address of a node ends with its name.
    """
    network, twin = plugin.build(topology, nodes), plugin.build(topology, nodes)
    for positions, offers, request in _topology_cases(len(nodes)):
        lists = [list(each) for each in network.arrange(positions, offers, request)]
        assert lists == [list(each) for each in twin.arrange(positions, offers, request)], f"{request}: two answers"
        for each in lists:
            assert len(set(each)) == len(each), f"{request}: a node stands twice in {each}"
            assert set(each) <= set(positions), f"{request}: {each} has nodes that were not offered"
            assert request.required & set(positions) <= set(each), f"{request}: {each} lacks required nodes"
    alone = [list(each) for each in network.arrange([1], [1], TopologyRequest(1))]
    assert alone[:1] == [[1]], f"one node for one task is not given: {alone}"
    _check_addresses(network, nodes)


def _topology_cases(count: int) -> list[tuple[list[int], list[int], TopologyRequest]]:
    everything = list(range(count))
    half = everything[::2]
    mixed = [1 + position % 3 for position in everything]
    return [
        ([], [], TopologyRequest(1)),
        (everything, [1] * count, TopologyRequest(1)),
        (everything, [1] * count, TopologyRequest(count, count, count)),
        (everything, mixed, TopologyRequest(count)),
        (everything, mixed, TopologyRequest(count + 1, 2, max(2, count // 2))),
        (list(reversed(everything)), mixed, TopologyRequest(2, 2, 2)),
        (half, [2] * len(half), TopologyRequest(len(half), len(half), 0)),
        (everything, [1] * count, TopologyRequest(2, 2, 2, frozenset({count - 1}))),
        (half, [1] * len(half), TopologyRequest(1, 1, 1, frozenset({1}))),
        (everything, [1] * count, TopologyRequest(2, 2, 2, switches_max=1)),
        (everything, [1] * count, TopologyRequest(2, 2, 2, segment=2)),
        (everything, [1] * count, TopologyRequest(count + 1, count + 1)),
    ]


def _check_addresses(network: TopologyMap, nodes: Sequence[str]) -> None:
    for position, name in enumerate(nodes):
        address, pattern = network.address(position)
        assert address.split(".")[-1] == name, f"{name}: its address {address!r} does not end with its name"
        assert pattern.split(".")[-1] == "node", f"{name}: the pattern {pattern!r} does not end with node"
        assert len(address.split(".")) == len(pattern.split(".")), f"{name}: {address!r} is not as {pattern!r} says"


def check_preempt_plugin(plugin: PreemptPlugin) -> None:
    """Raise AssertionError unless the plugin keeps its contract: see _check_rights; victims have one strict order."""
    for setup in _preempt_setups():
        contenders = _contenders()
        for one in contenders:
            assert plugin.grace_s(one, setup) >= 0, f"{one}: a grace below zero"
            assert plugin.exempt_s(one, setup) >= 0, f"{one}: an exempt time below zero"
            for other in contenders:
                _check_rights(plugin, one, other, setup)
        costs = [
            VictimCost(job_id, priority, started_at, work_lost_s)
            for job_id, (priority, started_at, work_lost_s) in enumerate(((5, 1.0, 9.0), (5, 2.0, 9.0), (1, 0.0, 50.0)))
        ]
        ranks = [plugin.rank(cost, setup) for cost in costs]
        assert ranks == [plugin.rank(cost, setup) for cost in costs], "the same victim got two places"
        assert len(set(ranks)) == len(ranks), "two victims stand at the same place"


def _check_rights(plugin: PreemptPlugin, one: Contender, other: Contender, setup: PreemptSetup) -> None:
    """The same pair gets the same answer; nobody preempts who may preempt it, unless priority decides."""
    right, back = plugin.may_preempt(one, other, setup), plugin.may_preempt(other, one, setup)
    assert right == plugin.may_preempt(one, other, setup), "the same pair got two answers"
    if right is not None:
        assert isinstance(right.mode, PreemptMode), f"{right.mode!r} is no mode"
        assert back is None or right.needs_priority, f"{one} and {other} may preempt each other for ever"


def _preempt_setups() -> list[PreemptSetup]:
    words = (("CANCEL",), ("REQUEUE",), ("SUSPEND", "GANG"), ("REQUEUE", "WITHIN"), ("CANCEL", "PRIORITY"))
    return [PreemptSetup(modes=frozenset(each), is_youngest_first=len(each) > 1) for each in words]


def _contenders() -> list[Contender]:
    low, high = Partition(name="low"), Partition(name="high", priority_tier=9, grace_s=60)
    gentle = Partition(name="gentle", preempt_mode="SUSPEND")
    plain, standby = Qos(name="normal", preempt=("standby",)), Qos(name="standby", grace_s=30, preempt_exempt_s=60)
    rivals = Qos(name="red", preempt=("blue",)), Qos(name="blue", preempt=("red",), preempt_mode="CANCEL")
    return [
        Contender(partition, qos, () if qos is None else (qos,))
        for partition in (low, high, gentle)
        for qos in (None, plain, standby, *rivals)
    ]
