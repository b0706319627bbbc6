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
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.inquiry import Question, answer
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.state import commands
from tests.engine_builder import ANN, BOB, World

POLICIES = (
    Policy(select_unit="cpu"),
    Policy(select_unit="cpu", is_backfilling=False),
    Policy(select_unit="core", planned_max=1, is_shortest_first=True, is_explaining=False),
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
    }
)
_nodes = st.sampled_from(["n1", "n2", "n[2-3]", "n4"])
_steps = st.one_of(
    st.tuples(st.just("submit"), _requests),
    st.tuples(st.just("submit"), _requests),
    st.tuples(st.just("start"), st.none()),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 90, 700, 4000])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("drain"), _nodes),
    st.tuples(st.just("resume"), _nodes),
    st.tuples(st.just("lose"), st.sampled_from(["n1", "n3"])),
    st.tuples(st.just("register"), st.sampled_from(["n1", "n3"])),
    st.tuples(st.just("reweigh"), st.integers(1, 3)),
    st.tuples(st.just("repartition"), st.integers(1, 4)),
    st.tuples(st.just("change_policy"), st.integers(0, len(POLICIES) - 1)),
)
#: Does a node have GPUs; what is submitted and, if possible, started; what happens then.
Told = tuple[bool, list[dict[str, Any]], list[tuple[str, Any]]]
_stories = st.tuples(
    st.booleans(), st.lists(_requests, min_size=2, max_size=8), st.lists(_steps, min_size=2, max_size=12)
)


class Story:
    """A cluster to which things happen; each is one method."""

    def __init__(self, has_gpus: bool, requests: list[dict[str, Any]]) -> None:
        self.world = World(nodes=4)
        self.policy = POLICIES[0]
        gpus = (GresRequest(name="gpu", type="a", count=2),) if has_gpus else ()
        near = (GresPlace(name="gpu", type="a", count=2, cores="0-1"),) if has_gpus else ()
        nodes = [replace(node, sockets=2, cores_per_socket=2) for node in self.world.node_records]
        nodes[0] = replace(nodes[0], gres=gpus, gres_places=near)
        self.world.configure(nodes=tuple(nodes))
        self.world.add_partition("half", nodes=("n1", "n2"), priority_tier=2)
        self.world.register("n1", "n2", "n3", "n4")
        for fields in requests:
            self.happen("submit", fields)
        self.start(None)

    @property
    def snapshot(self) -> Snapshot:
        return self.world.engine.view(self.world.now)

    def happen(self, what: str, value: Any) -> None:
        with suppress(RequestError):
            getattr(self, what)(value)

    def submit(self, fields: dict[str, Any]) -> None:
        fields = dict(fields)
        tasks = fields.pop("tasks_of_node")
        fields |= {"ntasks": fields["nodes"] * tasks, "is_unlimited": fields["limit_s"] is None}
        fields["array"] = fields["array"] or ()
        self.world.submit(BOB if tasks == 1 else ANN, given=frozenset({"ntasks"}), **fields)

    def start(self, _: None) -> None:
        self.world.do(commands.ApplyPlan(decide(self.snapshot, self.policy)))

    def end(self, number: int) -> None:
        running = self.jobs(JobState.RUNNING)
        if running:
            self.world.end_script(running[number % len(running)].id)

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

    def change_policy(self, number: int) -> None:
        self.policy = POLICIES[number]

    def jobs(self, *states: JobState) -> list[Job]:
        return [job for job in self.world.cluster.jobs.values() if job.state in states]


def decided(plan: Plan) -> Plan:
    """Return the plan without how many shapes are known, which a memory is to make another number."""
    return replace(plan, tested_shapes=0)


@settings(max_examples=60, deadline=None)
@given(_stories)
def test_a_pass_with_a_memory_decides_as_one_without(told: Told) -> None:
    has_gpus, requests, steps = told
    story, memory = Story(has_gpus, requests), Memory()
    for what, value in steps:
        story.happen(what, value)

        plan = decide(story.snapshot, story.policy, memory=memory)

        assert decided(plan) == decided(decide(story.snapshot, story.policy))


@settings(max_examples=30, deadline=None)
@given(_stories)
def test_a_question_with_a_memory_is_answered_as_one_without(told: Told) -> None:
    has_gpus, requests, steps = told
    story, memory = Story(has_gpus, requests), Memory()
    for what, value in steps:
        story.happen(what, value)
        snapshot, policy = story.snapshot, story.policy
        plan = decide(snapshot, policy)
        for job in story.jobs(JobState.PENDING)[:2]:
            question = Question(snapshot, policy, plan, job, is_searching=True, usable_partitions=("batch", "half"))

            assert answer(question, memory) == answer(question)
