"""A cluster in which everything goes wrong by dice: users, agents that lose and repeat, nodes that reboot, restarts.

    Simulation(seed=7).run(events=300)

The controller's engine and its scheduler are the real ones; time is the simulation's.  What must hold is checked after
every event and at the end; the seed replays any failure.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from sluice.errors import RequestError
from sluice.model.base import BATCH_STEP
from sluice.model.states import Hold, JobState, NodeState
from sluice.wire import messages
from sluicectld.scheduler.snapshot import Policy
from sluicectld.state import events
from sluicectld.state.effects import Launch
from sluicectld.state.events import JobEnded, JobStarted
from tests.engine_builder import ANN, BOB, ROOT, World

Key = tuple[int, int]  # job, attempt
_CODES = (0, 0, 0, 1, 99)


class FakeAgent:
    """One node's agent: it persists what it is told before it acts, and repeats what is not acknowledged."""

    def __init__(self, name: str, starts: Counter[Key]) -> None:
        self.name = name
        self.is_connected = True
        self.boots = self.spools = 1
        self.inbox: list[Any] = []
        self.running: set[Key] = set()
        #: Jobs whose script this spool has seen: never again.
        self.known: set[Key] = set()
        self.results: dict[Key, messages.StepResult] = {}
        self.clean: dict[Key, messages.NodeClean] = {}
        self._starts = starts

    def take_order(self) -> None:
        """Work off one order."""
        order = self.inbox.pop(0)
        if isinstance(order, Launch):
            key = (order.job.id, order.job.attempt)
            if key not in self.known:
                self.known.add(key)
                self.running.add(key)
                self._starts[key] += 1
        elif isinstance(order, messages.EndJob):
            self.end((order.job_id, order.attempt), exit_signal=15)

    def end(self, key: Key, **how: Any) -> None:
        """The job's processes here are gone: a result where the script ran, and the node is clean."""
        job_id, attempt = key
        self.known.add(key)
        if key in self.running:
            self.running.remove(key)
            self.results[key] = messages.StepResult(
                node=self.name, job_id=job_id, attempt=attempt, step_id=BATCH_STEP, is_node_clean=True, **how
            )
        elif key not in self.results:
            self.clean[key] = messages.NodeClean(node=self.name, job_id=job_id, attempt=attempt)

    def report(self) -> messages.Report:
        return messages.Report(results=tuple(self.results.values()), clean=tuple(self.clean.values()))

    def forget(self, report: messages.Report) -> None:
        """The report was acknowledged."""
        for result in report.results:
            self.results.pop((result.job_id, result.attempt), None)
        for clean in report.clean:
            self.clean.pop((clean.job_id, clean.attempt), None)

    def steps(self) -> tuple[messages.RunningStep, ...]:
        going = [(key, False) for key in self.running] + [(key, True) for key in self.results]
        return tuple(
            messages.RunningStep(job_id=job_id, attempt=attempt, step_id=BATCH_STEP, is_ended=is_ended)
            for (job_id, attempt), is_ended in sorted(going)
        )

    def reboot(self) -> None:
        """Processes are gone without a word; what was written down is still there."""
        self.boots += 1
        self.running.clear()
        self.disconnect()

    def lose_spool(self) -> None:
        self.spools += 1
        self.running.clear()
        self.known.clear()
        self.results.clear()
        self.clean.clear()
        self.disconnect()

    def disconnect(self) -> None:
        self.is_connected = False
        self.inbox.clear()


class Simulation:
    """nodes of 4 CPUs; two users; every die from one seed."""

    def __init__(self, seed: int, nodes: int = 4, policy: Policy | None = None) -> None:
        self.dice = Random(seed)
        self.world = World(nodes=nodes, return_to_service=2, requeue_exit=(99,), batch_requeues_max=3)
        self.world.engine.policy = policy or self.world.engine.policy
        self.starts: Counter[Key] = Counter()
        self.ends: Counter[Key] = Counter()
        self.agents = {name: FakeAgent(name, self.starts) for name in self.world.cluster.nodes}
        self.accepted: dict[str, int] = {}
        self.story: list[str] = []

    def run(self, events: int) -> None:
        """Let so many things happen, then let everything come to its end, and check what must hold."""
        for _ in range(events):
            self.step_by_dice()
        self._settle()
        self._check_end()

    def step_by_dice(self) -> None:
        """Let any one thing happen."""
        self.step(self.dice.choice(_EVENTS))

    def step(self, name: str) -> None:
        """Let one thing happen; a refused request is a fine answer."""
        self.story.append(name)
        self.world.effects.clear()
        try:
            getattr(self, f"_{name}")()
        except RequestError as refusal:
            self.story.append(f"  refused: {refusal}")
        self._after()

    def _after(self) -> None:
        for effect in self.world.effects:
            agent = self.agents[effect.node]
            if agent.is_connected:
                agent.inbox.append(effect)
        self.world.effects.clear()

    def _do(self, command: object, caller: Any = ROOT) -> Any:
        reply = self.world.do(command, caller)
        self._note_events()
        return reply

    def _note_events(self) -> None:
        for event in self.world.happened():
            if isinstance(event, JobEnded):
                job = self.world.cluster.jobs[event.job_id]
                self.ends[event.job_id, job.attempt - job_was_requeued(job)] += 1

    # --- users

    def _submit(self) -> None:
        dice = self.dice
        fields: dict[str, Any] = {
            "nodes": dice.choice((1, 1, 1, 2, 3)),
            "ntasks": dice.choice((1, 2, 4)),
            "limit_s": dice.choice((60, 600, 3600)),
            "name": dice.choice(("a", "b")),
            "can_requeue": dice.choice((None, None, True, False)),
            "exclusive": dice.choice(("", "", "", "node", "user")),
            "kill_on_invalid_dependency": dice.choice((None, True)),
            "is_held": dice.random() < 0.1,
            "no_kill": dice.random() < 0.1,
        }
        if dice.random() < 0.25:
            fields["array"] = dice.choice(("0-3", "0-9%2", "1,3,5"))
        if dice.random() < 0.3:
            known = dice.randrange(1, self.world.cluster.next_job_id + 2)
            kind = dice.choice(("after", "afterok", "afternotok", "afterany", "aftercorr"))
            fields["after"] = dice.choice(("singleton", f"{kind}:{known}", f"{kind}:{known}?afterok:{known + 1}"))
        if dice.random() < 0.2:
            fields["begin_at"] = self.world.now + 300
        fields["nodes"] = min(fields["nodes"], fields["ntasks"])
        token = f"t{len(self.accepted)}"
        job_id = self.world.submit(dice.choice((ANN, BOB)), token=token, **fields)
        assert self.world.submit(ANN, token=token) == job_id, "a repeated token made another job"
        self._note_events()
        self.accepted[token] = job_id

    def _some_job(self) -> str:
        job_ids = list(self.world.cluster.jobs) or [1]
        job_id = self.dice.choice(job_ids)
        return self.dice.choice((str(job_id), str(job_id), f"{job_id}_{self.dice.randrange(6)}", f"{job_id}_[1-3]"))

    def _cancel(self) -> None:
        self._do(messages.KillJobs(ids=(self._some_job(),)), self.dice.choice((ANN, ROOT)))

    def _change(self) -> None:
        action = self.dice.choice(("hold", "release", "release", "requeue", "requeuehold", "suspend", "resume", "top"))
        self._do(messages.ChangeJobs(action=action, ids=(self._some_job(),)), self.dice.choice((ANN, ROOT)))

    def _update(self) -> None:
        changes: dict[str, Any] = self.dice.choice(
            (
                {"TimeLimit": "5"},
                {"Nice": "7"},
                {"Name": "b"},
                {"NumTasks": "2"},
                {"Dependency": ""},
                {"ArrayTaskThrottle": "1"},
                {"StartTime": "now"},
                {"Priority": "50"},
                {"NumNodes": "2"},
            )
        )
        self.world.update(self._some_job(), ROOT, **changes)
        self._note_events()

    def _create_step(self) -> None:
        running = [job.id for job in self.world.cluster.jobs.values() if job.state is JobState.RUNNING]
        if running:
            job = self.world.job(self.dice.choice(running))
            caller = ANN if job.spec.uid == ANN.uid else BOB
            self.world.step(job.id, caller, ntasks=1, token=str(self.dice.random()))

    def _end_some_step(self) -> None:
        going = [
            (job_id, step)
            for job_id, steps in self.world.cluster.steps.items()
            for step in steps.values()
            if step.step_id >= 0 and step.running_nodes
        ]
        if going:
            job_id, step = self.dice.choice(going)
            self.world.report(self.world.result(job_id, step.step_id, step.running_nodes[0], exit_code=1))

    # --- the controller

    def _pass(self) -> None:
        self.world.pass_()
        self._note_events()

    def _late_pass(self) -> None:
        """A plan that something else overtakes."""
        plan = self.world.plan()
        self.step(self.dice.choice(("cancel", "change", "update", "reboot", "lose", "admin")))
        self.world.apply(plan)
        self._note_events()

    def _time(self) -> None:
        self.world.pass_time(self.dice.choice((1, 30, 120, 1000)))

    def _restart(self) -> None:
        for agent in self.agents.values():
            agent.disconnect()
        self.world.restart()

    def _admin(self) -> None:
        node = self.dice.choice(list(self.agents))
        state = self.dice.choice(("DRAIN", "RESUME", "RESUME", "DOWN"))
        self._do(messages.UpdateNodes(nodes=node, changes=(("State", state), ("Reason", "dice"))))

    def _configure(self) -> None:
        self.world.configure()

    # --- agents

    def _some_agent(self) -> FakeAgent:
        return self.dice.choice(list(self.agents.values()))

    def _deliver(self) -> None:
        for agent in self.agents.values():
            if agent.inbox and self.dice.random() < 0.7:
                agent.take_order()

    def _finish_script(self) -> None:
        agent = self._some_agent()
        if agent.running:
            agent.end(self.dice.choice(sorted(agent.running)), exit_code=self.dice.choice(_CODES))

    def _report(self) -> None:
        agent = self._some_agent()
        if not agent.is_connected:
            return
        report = agent.report()
        self._do(report)
        if self.dice.random() < 0.7:
            agent.forget(report)
        if self.dice.random() < 0.3:
            version = self.world.cluster.version
            self._do(report)
            assert self.world.cluster.version == version, "a repeated report changed something"

    def _disconnect(self) -> None:
        agent = self._some_agent()
        if agent.is_connected:
            agent.disconnect()
            self.world.lose(agent.name, is_final=False)

    def _lose(self) -> None:
        agent = self._some_agent()
        agent.disconnect()
        self.world.lose(agent.name)
        self._note_events()

    def _reboot(self) -> None:
        agent = self._some_agent()
        agent.reboot()
        self.world.lose(agent.name, is_final=False)

    def _lose_spool(self) -> None:
        agent = self._some_agent()
        agent.lose_spool()
        self.world.lose(agent.name, is_final=False)

    def _register(self, agent: FakeAgent | None = None) -> None:
        agent = agent or self._some_agent()
        agent.inbox.clear()
        stale = self.world.register(
            agent.name, running=agent.steps(), boot_id=f"boot {agent.boots}", spool_id=f"spool {agent.spools}"
        )
        self._note_events()
        agent.is_connected = True
        for _, job_id, attempt in stale:
            agent.end((job_id, attempt), exit_signal=9)

    # --- the end

    def _settle(self) -> None:
        """Everybody comes back, nothing goes wrong any more; what can end, ends."""
        for _ in range(400):
            for job in list(self.world.cluster.jobs.values()):
                self._free(job.id)
            for agent in self.agents.values():
                self._bring_back(agent)
            self.world.pass_time(400)
            self._pass()
            self._after()
            if not self._can_go_on():
                return
        raise AssertionError(f"jobs do not end: {self._leftovers()}")

    def _can_go_on(self) -> bool:
        cluster = self.world.cluster
        may_start = self.world.engine.snapshot(self.world.now).pending
        return bool(may_start) or any(free.job_count for free in cluster.free.values())

    def _free(self, job_id: int) -> None:
        job = self.world.cluster.jobs.get(job_id)
        if job is None or job.is_ended:
            return
        if job.hold is not Hold.NONE:
            self.world.change("release", job_id, caller=ROOT)
        if job.state is JobState.SUSPENDED:
            self.world.change("resume", job_id, caller=ROOT)
        if not job.spec.is_batch and job.state is JobState.RUNNING:
            self._do(messages.FinishAllocation(job_id=job_id))

    def _bring_back(self, agent: FakeAgent) -> None:
        node = self.world.node(agent.name)
        if node.is_drained or node.state is not NodeState.UP:
            self.world.update_nodes(agent.name, State="RESUME")
        if not agent.is_connected:
            self._register(agent)
        self._after()
        while agent.inbox:
            agent.take_order()
        for key in sorted(agent.running):
            agent.end(key, exit_code=0)
        report = agent.report()
        self._do(report)
        agent.forget(report)
        self._after()

    def _leftovers(self) -> list[str]:
        return [f"{job.id} {job.state} {job.nodes}" for job in self.world.cluster.jobs.values() if not job.is_ended]

    def _check_end(self) -> None:
        cluster = self.world.cluster
        for name, free in cluster.free.items():
            assert free.free_cpus == 0b1111, f"node {name} has not got its CPUs back: {free}"
            assert free.free_memory_mib == 4000, f"node {name} has not got its memory back: {free}"
        for job in cluster.jobs.values():
            is_waiting = job.state is JobState.PENDING and job.dependency.terms
            assert job.is_ended or is_waiting, f"job {job.id} is {job.state} for no reason"
        for key, count in self.starts.items():
            assert count == 1, f"the script of job {key[0]}, run {key[1]}, was started {count} times"
        for key, count in self.ends.items():
            assert count == 1, f"job {key[0]}, run {key[1]}, ended {count} times"
        self._check_journal()
        self.world.check_replay()

    def _check_journal(self) -> None:
        """Every accepted job is in the journal, started where the scheduler said, and ended as often as it started."""
        facts = [events.decode(row.payload) for row in self.world.journal]
        submitted = {fact.job.id for fact in facts if isinstance(fact, events.JobSubmitted)}
        assert submitted == set(self.accepted.values()), "what was acknowledged and what was written differ"
        starts = Counter(fact.new_id for fact in facts if isinstance(fact, JobStarted))
        ended = Counter(fact.job_id for fact in facts if isinstance(fact, JobEnded))
        for job_id, count in starts.items():
            assert ended[job_id] >= count, f"job {job_id} started {count} times and ended {ended[job_id]} times"


def job_was_requeued(job: Any) -> int:
    """Return 1 if the job's record is of the run after the one that ended in the same command."""
    return 1 if job.state is JobState.PENDING else 0


_EVENTS = (
    *["submit"] * 6,
    *["pass"] * 6,
    *["deliver"] * 8,
    *["report"] * 8,
    *["finish_script"] * 5,
    *["register"] * 4,
    *["time"] * 3,
    *["cancel"] * 2,
    *["change"] * 3,
    *["update"] * 2,
    *["create_step"] * 2,
    *["end_some_step"] * 2,
    *["late_pass"] * 2,
    "disconnect",
    "lose",
    "reboot",
    "lose_spool",
    "admin",
    "configure",
    "restart",
)
