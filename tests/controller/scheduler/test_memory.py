"""A memory makes a pass faster, never different: over whatever happens between passes it decides as one without."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.job import Job
from sluice.model.node import GresPlace
from sluice.model.request import GresRequest
from sluice.model.states import JobState
from sluice.wire.messages import UpdateReservation
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.handover import hand_on
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.state import commands
from tests.engine_builder import ANN, BOB, ROOT, World

POLICIES = (
    Policy(select_unit="cpu"),
    Policy(select_unit="cpu", is_backfilling=False),
    Policy(select_unit="core", planned_max=1, is_shortest_first=True, is_explaining=False),
)
#: Conservative backfill: told in full, and as a replay runs it.
KEEPING = tuple(
    Policy(select_unit=unit, keeps_promises=True, planned_per_shape_max=10**9, is_explaining=is_explaining)
    for unit, is_explaining in (("cpu", True), ("core", False))
)

_requests = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 3),
        "tasks_of_node": st.integers(1, 4),
        "limit_s": st.sampled_from([60, 600, 3600, None]),
        "memory_per_node_mib": st.sampled_from([1, 1500]),
        "gres_per_node": st.sampled_from([(), (), (GresRequest(name="gpu", count=1),)]),
        "exclusive": st.sampled_from(["", "", "node", "user"]),
        "ntasks_per_socket": st.sampled_from([0, 0, 0, 1]),
        "partitions": st.sampled_from([("batch",), ("batch",), ("half",), ("half", "batch")]),
        "array": st.sampled_from(["", "", "1-4%2"]),
        "licenses": st.sampled_from(["", "", "matlab:1", "matlab:2"]),
    }
)
_changes = st.sampled_from([("TimeLimit", "5"), ("NumNodes", "2"), ("NumNodes", "1"), ("MinMemoryNode", "2000")])
_nodes = st.sampled_from(["n1", "n2", "n[2-3]", "n4"])
_steps = st.one_of(
    st.tuples(st.just("submit"), _requests),
    st.tuples(st.just("submit"), _requests),
    st.tuples(st.just("start"), st.sampled_from([0, 0, 1, 70])),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("stop"), st.integers(0, 9)),
    st.tuples(st.just("tidy"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 90, 700, 4000])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("drain"), _nodes),
    st.tuples(st.just("resume"), _nodes),
    st.tuples(st.just("lose"), st.sampled_from(["n1", "n3"])),
    st.tuples(st.just("register"), st.sampled_from(["n1", "n3"])),
    st.tuples(st.just("reweigh"), st.integers(1, 3)),
    st.tuples(st.just("repartition"), st.integers(1, 4)),
    st.tuples(st.just("reshape"), st.tuples(st.integers(0, 9), _changes)),
    st.tuples(st.just("submit_together"), st.lists(_requests, min_size=2, max_size=3)),
    st.tuples(st.just("reserve"), st.tuples(_nodes, st.sampled_from(["now", "now+10minutes"]), st.integers(1, 90))),
    st.tuples(st.just("prolong"), st.tuples(st.integers(0, 9), st.sampled_from(["1", "2:00:00"]))),
    st.tuples(st.just("change_policy"), st.integers(0, len(POLICIES) - 1)),
)
#: Does a node have GPUs; what is submitted and, if possible, started; what happens then.
Told = tuple[bool, list[dict[str, Any]], list[tuple[str, Any]]]
_stories = st.tuples(
    st.booleans(), st.lists(_requests, min_size=2, max_size=8), st.lists(_steps, min_size=2, max_size=12)
)


class Story:
    """A cluster to which things happen; each is one method."""

    def __init__(self, told: Told, policies: tuple[Policy, ...] = POLICIES) -> None:
        has_gpus, requests, _ = told
        self.world = World(nodes=4, licenses={"matlab": 2})
        self.policies = policies
        self.policy = policies[0]
        #: Of the pass before.
        self.plan = Plan(version=0)
        gpus = (GresRequest(name="gpu", type="a", count=2),) if has_gpus else ()
        near = (GresPlace(name="gpu", type="a", count=2, cores="0-1"),) if has_gpus else ()
        nodes = [replace(node, sockets=2, cores_per_socket=2) for node in self.world.node_records]
        nodes[0] = replace(nodes[0], gres=gpus, gres_places=near)
        self.world.configure(nodes=tuple(nodes))
        self.world.add_partition("half", nodes=("n1", "n2"), priority_tier=2)
        self.world.register("n1", "n2", "n3", "n4")
        for fields in requests:
            self.happen("submit", fields)
        self.start(0)

    @property
    def snapshot(self) -> Snapshot:
        is_freed = self.world.cluster.freed_version >= self.plan.version
        return hand_on(self.world.engine.view(self.world.now), self.plan, self.policy, is_freed)

    def happen(self, what: str, value: Any) -> None:
        with suppress(RequestError):
            getattr(self, what)(value)

    def submit(self, fields: dict[str, Any]) -> None:
        self.world.submit(BOB if fields["tasks_of_node"] == 1 else ANN, **fields_of(fields))

    def submit_together(self, components: list[dict[str, Any]]) -> None:
        self.world.submit_het(*[fields_of(each | {"array": ""}) for each in components], caller=ANN)

    def start(self, late_s: int) -> None:
        """Start what the pass decides, so long after it."""
        self.plan = decide(self.snapshot, self.policy)
        decided_at = self.world.now
        self.world.pass_time(late_s)
        self.world.do(commands.ApplyPlan(self.plan, decided_at))

    def end(self, number: int) -> None:
        running = self.jobs(JobState.RUNNING)
        if running:
            self.world.end_script(running[number % len(running)].id)

    def stop(self, number: int) -> None:
        """A script ends, and no node is clean yet."""
        running = self.jobs(JobState.RUNNING)
        if running:
            self.world.report(self.world.result(running[number % len(running)].id, is_node_clean=False))

    def tidy(self, number: int) -> None:
        """One node of a job that has ended is clean."""
        completing = [job for job in self.world.cluster.jobs.values() if job.completing_nodes]
        if completing:
            job = completing[number % len(completing)]
            self.world.clean(job.id, job.completing_nodes[-1])

    def wait(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    def cancel(self, number: int) -> None:
        jobs = self.jobs(JobState.PENDING, JobState.RUNNING)
        if jobs:
            self.world.cancel(jobs[number % len(jobs)].id, caller=ANN)

    def drain(self, nodes: str) -> None:
        self.world.update_nodes(nodes, State="DRAIN", Reason="disk")

    def resume(self, nodes: str) -> None:
        self.world.update_nodes(nodes, State="RESUME")

    def lose(self, node: str) -> None:
        self.world.lose(node)

    def register(self, node: str) -> None:
        self.world.register(node)

    def reweigh(self, weight: int) -> None:
        first, *rest = self.world.node_records
        self.world.configure(nodes=(replace(first, weight=weight), *rest))

    def repartition(self, count: int) -> None:
        first, half = self.world.partition_records
        names = tuple(node.name for node in self.world.node_records[:count])
        self.world.configure(partitions=(first, replace(half, nodes=names)))

    def reshape(self, change: tuple[int, tuple[str, str]]) -> None:
        number, (key, value) = change
        pending = self.jobs(JobState.PENDING)
        if pending:
            self.world.update(pending[number % len(pending)].id, caller=ROOT, **{key: value})

    def reserve(self, kept: tuple[str, str, int]) -> None:
        nodes, starttime, minutes = kept
        keys = {"users": "ann", "nodes": nodes, "starttime": starttime, "duration": str(minutes)}
        self.world.do(commands.ReviseReservation(UpdateReservation(action="create", changes=tuple(keys.items()))))

    def prolong(self, change: tuple[int, str]) -> None:
        number, limit = change
        running = self.jobs(JobState.RUNNING)
        if running:
            self.world.update(running[number % len(running)].id, caller=ROOT, TimeLimit=limit)

    def change_policy(self, number: int) -> None:
        self.policy = self.policies[number % len(self.policies)]

    def jobs(self, *states: JobState) -> list[Job]:
        return [job for job in self.world.cluster.jobs.values() if job.state in states]


def fields_of(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as fields of a submission."""
    fields = dict(request)
    fields["ntasks"] = fields["nodes"] * fields.pop("tasks_of_node")
    fields["is_unlimited"] = fields["limit_s"] is None
    fields["array"] = fields["array"] or ()
    return fields | {"given": frozenset({"ntasks"})}


def decided(plan: Plan) -> Plan:
    """Return the plan without how many shapes are known, which a memory is to make another number."""
    return replace(plan, tested_shapes=0)


@settings(max_examples=60)
@given(_stories)
def test_a_pass_with_a_memory_decides_as_one_without(told: Told) -> None:
    decide_both_ways(Story(told), told)


@settings(max_examples=60)
@given(_stories)
def test_a_pass_that_remembers_promises_decides_as_one_that_is_told_of_them(told: Told) -> None:
    decide_both_ways(Story(told, KEEPING), told)


def decide_both_ways(story: Story, told: Told) -> None:
    memory = Memory()
    for what, value in told[2]:
        story.happen(what, value)
        snapshot = story.snapshot

        plan = decide(snapshot, story.policy, memory=memory)

        alone = decide(snapshot, story.policy)
        assert decided(plan) == decided(alone)
        assert list(plan.planned) == list(alone.planned)
        story.plan = plan


@settings(max_examples=30)
@given(_stories)
def test_a_question_with_a_memory_is_answered_as_one_without(told: Told) -> None:
    story, memory = Story(told), Memory()
    for what, value in told[2]:
        story.happen(what, value)
        snapshot, policy = story.snapshot, story.policy
        plan = decide(snapshot, policy)
        for job in story.jobs(JobState.PENDING)[:2]:
            question = Question(snapshot, policy, plan, job, is_searching=True, usable_partitions=("batch", "half"))

            assert answer(question, memory) == answer(question)
