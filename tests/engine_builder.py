"""An engine in memory with its nodes, users and fake agents: commands in, what came of them out, no clock, no I/O.

    world = World(nodes=2)
    job_id = world.submit(nodes=2)
    world.pass_()
    world.end_script(job_id, exit_code=3)
    assert world.job(job_id).state is JobState.FAILED

Nodes are n1, n2, ... of 4 CPUs and 4000 MiB in the default partition "batch", and all of them have registered.
After every command the invariants are checked; a refused command must have changed nothing; and the journal of all
that happened is kept, so that check_replay() can tell whether it gives the same tables.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sluice import array_spec
from sluice.config.settings import Settings
from sluice.errors import RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.node import Inventory, Node
from sluice.model.partition import Partition
from sluice.model.request import Dependency, DependencyTerm, JobSpec, StepSpec
from sluice.model.states import NodeState
from sluice.model.step import Step
from sluice.wire import messages
from sluicectld.engine import Engine, Outcome
from sluicectld.permissions import Caller
from sluicectld.scheduler.decide import decide
from sluicectld.scheduler.handover import hand_on, is_formative
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan
from sluicectld.scheduler.snapshot import Policy, Snapshot
from sluicectld.state import commands
from sluicectld.state.cluster import Cluster
from sluicectld.state.effects import Effect, Launch
from sluicectld.state.events import AnyEvent
from sluicectld.state.invariants import validate
from sluicectld.store.batch import Batch, StoredEvent
from sluicectld.verify import rebuild

ROOT = Caller(0, 0, "root", is_administrator=True, is_operator=True, agent_of="*")
OPERATOR = Caller(500, 500, "olga", is_operator=True)
ANN = Caller(1000, 1000, "ann")
BOB = Caller(1001, 1001, "bob")


class World:
    """settings: fields of Settings."""

    def __init__(
        self, nodes: int = 1, cpus: int = 4, memory_mib: int = 4000, is_registered: bool = True, **settings: Any
    ) -> None:
        self.now = 1_000_000.0
        self.settings = Settings(**settings)
        self.cluster = Cluster()
        self.engine = Engine(self.cluster, self.settings, Policy(select_unit="cpu"))
        self.journal: list[StoredEvent] = []
        self.batches: list[Batch] = []
        self.effects: list[Effect] = []
        self.last: Outcome
        #: Of the last pass: what it decided on what, and what it left to the next if that is to be made use of.
        self.last_plan = Plan(version=0)
        self.seen: Snapshot
        self.memory: Memory | None = None
        names = tuple(f"n{number}" for number in range(1, nodes + 1))
        self.node_records = tuple(
            Node(name=name, cpus=cpus, sockets=1, cores_per_socket=cpus, memory_mib=memory_mib, index=index)
            for index, name in enumerate(names)
        )
        self.partition_records: tuple[Partition, ...] = (Partition(name="batch", nodes=names, is_default=True),)
        self.configure()
        if is_registered:
            self.register(*names)
        self.effects.clear()

    # --- what happens

    def do(self, command: object, caller: Caller = ROOT) -> Any:
        """Handle a command; return its reply.  The outcome is in `last`, its effects are added to `effects`."""
        version = self.cluster.version
        try:
            self.last = self.engine.handle(command, caller, self.now)
        except RequestError:
            assert self.cluster.version == version, f"{command} was refused, but has changed something"
            raise
        self._keep()
        self.effects += self.last.effects
        return self.last.reply

    def _keep(self) -> None:
        batch = self.cluster.take_batch()
        self.journal += batch.events
        self.batches.append(batch)
        validate(self.cluster)

    def configure(self, *, nodes: tuple[Node, ...] = (), partitions: tuple[Partition, ...] = ()) -> None:
        """Apply a configuration: the same one with other nodes or partitions."""
        self.node_records = nodes or self.node_records
        self.partition_records = partitions or self.partition_records
        version = self.cluster.config_version + 1
        self.do(commands.ApplyConfiguration(version, f"digest {version}", self.node_records, self.partition_records))

    def add_partition(self, name: str, **fields: Any) -> None:
        """Configure another partition, of all nodes unless told otherwise."""
        values: dict[str, Any] = {"nodes": tuple(self.cluster.nodes)} | fields
        self.configure(partitions=(*self.partition_records, Partition(name=name, **values)))

    def submit(self, caller: Caller = ANN, *, nodes: int = 1, after: str = "", token: str = "", **fields: Any) -> int:
        """Return the id of a job that asks for so many nodes.  after: "afterok:3" or several such words."""
        ended = fields.pop("ended", {})
        groups = fields.pop("groups", ())
        spec = _spec_of(caller, {"nodes": nodes, "after": after, **fields})
        request = messages.SubmitJob(token=token, spec=spec)
        submitted: messages.Submitted = self.do(commands.AcceptJob(request=request, ended=ended, groups=groups), caller)
        return submitted.job_id

    def submit_het(self, *components: dict[str, Any], caller: Caller = ANN, token: str = "", **shared: Any) -> int:
        """Return the leader's id of a heterogeneous job; each component says what it has besides *shared*."""
        specs = tuple([_spec_of(caller, shared | component) for component in components])
        request = messages.SubmitHetJob(token=token, specs=specs)
        submitted: messages.Submitted = self.do(commands.AcceptHetJob(request=request), caller)
        return submitted.job_id

    def plan(self) -> Plan:
        """Return what a pass decides now, after the last one."""
        is_freed = self.cluster.freed_version >= self.last_plan.version
        policy = self.engine.policy
        self.seen = hand_on(self.engine.snapshot(self.now), self.last_plan, policy, is_freed)
        self.last_plan = decide(self.seen, policy, memory=self.memory)
        return self.last_plan

    def apply(self, plan: Plan) -> None:
        """Apply the plan of the last pass."""
        is_freed = self.seen.is_freed if is_formative(plan, self.seen, self.engine.policy) else None
        self.do(commands.ApplyPlan(plan, self.seen.now_at, is_freed))

    def pass_(self) -> Plan:
        """Run a pass and apply its plan."""
        plan = self.plan()
        self.apply(plan)
        return plan

    def start(self, caller: Caller = ANN, **fields: Any) -> int:
        """Submit a job that starts at once."""
        job_id = self.submit(caller, **fields)
        self.pass_()
        assert self.job(job_id).started_at is not None, f"job {job_id} has not started"
        return job_id

    def pass_time(self, seconds: float) -> None:
        """Let the time go on; whatever is due on the way happens when it is due."""
        until = self.now + seconds
        while (at := self.engine.next_wakeup_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.do(commands.Tick())
        self.now = until

    # --- what agents say

    def register(
        self,
        *nodes: str,
        running: tuple[messages.RunningStep, ...] = (),
        limits: tuple[tuple[int, int, float | None], ...] = (),
        **inventory: Any,
    ) -> Any:
        """Register nodes as their agents would, after a plain start of theirs; returns the stale jobs."""
        reports = []
        for name in nodes:
            node = self.cluster.nodes[name]
            values: dict[str, Any] = {
                "cpus": node.cpus,
                "memory_mib": node.memory_mib,
                "gres": node.gres,
                "boot_id": "boot 1",
                "spool_id": "spool 1",
            }
            measured = Inventory(**(values | inventory))
            reports.append(messages.NodeReport(node=name, inventory=measured, steps=running, limits=limits))
        return self.do(messages.Register(nodes=tuple(reports)))

    def running_step(self, job_id: int, step_id: int = BATCH_STEP) -> messages.RunningStep:
        """Return how an agent lists a step of the job's current attempt."""
        return messages.RunningStep(job_id=job_id, attempt=self.job(job_id).attempt, step_id=step_id)

    def result(self, job_id: int, step_id: int = BATCH_STEP, node: str = "", **fields: Any) -> messages.StepResult:
        """Return a step's result from one node; of the batch step with the node clean."""
        job = self.job(job_id)
        values: dict[str, Any] = {"attempt": job.attempt, "is_node_clean": step_id == BATCH_STEP} | fields
        return messages.StepResult(node=node or job.nodes[0], job_id=job_id, step_id=step_id, **values)

    def report(self, *results: messages.StepResult, caller: Caller = ROOT) -> None:
        self.do(messages.Report(results=results), caller)

    def end_script(self, job_id: int, **fields: Any) -> None:
        """The job's script ends, and every other node is clean soon after."""
        self.report(self.result(job_id, **fields))
        self.clean(job_id)

    def clean(self, job_id: int, *nodes: str) -> None:
        """Nodes, all that are left if none is named, report that nothing of the job is left."""
        job = self.job(job_id)
        said = tuple(
            messages.NodeClean(node=node, job_id=job_id, attempt=job.attempt) for node in nodes or job.completing_nodes
        )
        if said:
            self.do(messages.Report(clean=said))

    def lose(self, *nodes: str, is_final: bool = True) -> None:
        """The agents fall silent, for good or just now."""
        self.do(commands.AgentLost(nodes, is_final=is_final))

    # --- what users say

    def cancel(self, *ids: int | str, caller: Caller = ANN, **fields: Any) -> list[messages.KillOutcome]:
        killed: messages.KilledJobs = self.do(messages.KillJobs(ids=tuple(map(str, ids)), **fields), caller)
        return list(killed.outcomes)

    def change(self, action: str, *ids: int | str, caller: Caller = ANN, **fields: Any) -> tuple[str, ...]:
        done: messages.Done = self.do(messages.ChangeJobs(action=action, ids=tuple(map(str, ids)), **fields), caller)
        return done.lines

    def update(self, job_id: int | str, caller: Caller = ANN, groups: tuple[str, ...] = (), **changes: str) -> Any:
        request = messages.UpdateJobs(ids=(str(job_id),), changes=tuple(changes.items()))
        return self.do(commands.ReviseJobs(request, groups), caller)

    def set_key(self, job_id: int, caller: Caller, key: str, value: str) -> None:
        """Update one key of a job."""
        self.do(commands.ReviseJobs(messages.UpdateJobs(ids=(str(job_id),), changes=((key, value),))), caller)

    def update_nodes(self, nodes: str, caller: Caller = ROOT, **changes: str) -> None:
        self.do(messages.UpdateNodes(nodes=nodes, changes=tuple(changes.items())), caller)

    def step(self, job_id: int, caller: Caller = ANN, token: str = "", **spec: Any) -> Step:
        request = messages.CreateStep(token=token, job_id=job_id, spec=StepSpec(**({"name": "step"} | spec)))
        step: Step = self.do(request, caller)
        return step

    def manage(self, job_id: int, node: str = "", caller: Caller = ROOT) -> Job:
        """The agent of the job's first node takes its steps over."""
        job: Job = self.do(messages.ManageSteps(node=node or self.job(job_id).nodes[0], job_id=job_id), caller)
        return job

    def managed(self, *steps: Step, caller: Caller = ROOT) -> None:
        """An agent reports of steps that it manages."""
        self.do(messages.Report(steps=steps), caller)

    # --- how it is

    def job(self, job_id: int) -> Job:
        return self.cluster.jobs[job_id]

    def task(self, array_id: int, index: int) -> Job:
        """Return a task that has been split off."""
        return self.job(self.cluster.tasks[array_id][index])

    def step_of(self, job_id: int, step_id: int = BATCH_STEP) -> Step:
        return self.cluster.steps[job_id][step_id]

    def node(self, name: str) -> Node:
        return self.cluster.nodes[name]

    def free_cpus(self, name: str) -> int:
        return self.cluster.free[name].free_cpus.bit_count()

    def took(self, kind: type[Any]) -> list[Any]:
        """Return the effects of a kind so far, and forget them all."""
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects.clear()
        return found

    def launches(self) -> list[tuple[str, int, int]]:
        """Return the (node, job, attempt) of the launches since the last look."""
        return [(launch.node, launch.job.id, launch.job.attempt) for launch in self.took(Launch)]

    def happened(self) -> list[AnyEvent]:
        """Return the events of the last command."""
        return self.last.events

    def restart(self) -> None:
        """Begin anew with a cluster loaded from what is in memory, as a controller that has crashed would."""
        old = self.cluster
        fresh = Cluster()
        for node in old.nodes.values():
            fresh.load_node(node)
        fresh.partitions = dict(old.partitions)
        fresh.reservations = dict(old.reservations)
        for job in sorted(old.jobs.values(), key=lambda job: job.id):
            fresh.load_job(job)
        fresh.steps = {job_id: dict(steps) for job_id, steps in old.steps.items()}
        fresh.tokens = dict(old.tokens)
        for field in (
            "next_job_id",
            "next_spec_id",
            "next_sequence",
            "next_reservation_id",
            "epoch",
            "config_version",
            "config_digest",
        ):
            setattr(fresh, field, getattr(old, field))
        self.cluster = fresh
        self.last_plan = Plan(version=0)
        self.engine = Engine(fresh, self.settings, self.engine.policy)
        self.do(commands.BeginEpoch(fresh.epoch + 1))

    def check_replay(self) -> None:
        """The journal gives the tables back, from the first event on."""
        rebuilt = rebuild(self.journal)
        for job_id, job in self.cluster.jobs.items():
            assert rebuilt.jobs[job_id] == job, f"job {job_id} is {job}, the journal says {rebuilt.jobs[job_id]}"
        written: dict[Any, Step] = {}
        for batch in self.batches:
            written |= batch.steps
        assert rebuilt.steps == written
        assert rebuilt.nodes == self.cluster.nodes
        assert rebuilt.partitions == self.cluster.partitions
        assert rebuilt.reservations == self.cluster.reservations


def _spec_of(caller: Caller, fields: dict[str, Any]) -> JobSpec:
    """Return a spec that asks for so many nodes; after: as in submit()."""
    nodes, after = fields.pop("nodes", 1), fields.pop("after", "")
    values: dict[str, Any] = {"name": "job", "min_nodes": nodes, "max_nodes": nodes, "memory_per_node_mib": 1}
    if after:
        values["dependency"] = dependency_of(after)
    if isinstance(fields.get("array"), str):
        fields["array"], fields["array_throttle"] = array_spec.parse(fields["array"])
    identity: dict[str, Any] = {"uid": caller.uid, "gid": caller.gid, "user": caller.user}
    return JobSpec(**(identity | values | fields))


def dependency_of(text: str) -> Dependency:
    """Return "afterok:1,after:2+10" or "afterok:1?afterany:2" as the record; bare words are for singleton."""
    is_any = "?" in text
    terms = []
    for word in text.split("?" if is_any else ","):
        kind, _, rest = word.partition(":")
        job, _, minutes = rest.partition("+")
        job_id, _, task = job.partition("_")
        terms.append(
            DependencyTerm(
                type=kind,
                job_id=int(job_id or 0),
                task_id=int(task) if task else None,
                delay_s=60 * int(minutes or 0),
            )
        )
    return Dependency(terms=tuple(terms), is_any=is_any)


def set_up(node: Node, **fields: Any) -> Node:
    """Return a node in service with other fields."""
    return replace(node, state=NodeState.UP, **fields)
