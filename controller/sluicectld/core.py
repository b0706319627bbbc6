"""What the requests work with: the engine with its committer, passes, agents and waiters, behind three verbs.

run      handle a command; its answer and effects leave after the commit
ask      answer from memory, once everything that the answer may show is committed
read     answer from the database, in a worker thread
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Engine as Database

from sluice.clock import WallClock
from sluice.config.node_setup import NodeSetups
from sluice.config.records import ClusterConfig
from sluice.errors import RequestError, SluiceError, StorageError
from sluice.model.job import Job
from sluice.wire.faults import STORAGE
from sluice.wire.messages import AgentConfig, UserMessage
from sluice.wire.responder import Responder
from sluice_plugins.registry import SubmitFilters
from sluicectld.clients import Clients
from sluicectld.commit import Committer
from sluicectld.engine import Engine, Outcome
from sluicectld.nodes.agents import Agents
from sluicectld.passes import Passes
from sluicectld.permissions import SYSTEM, Caller
from sluicectld.programs import Programs
from sluicectld.questions import Questions
from sluicectld.rpc.views import JobViewCache
from sluicectld.scheduler.memory import Memory
from sluicectld.state import events
from sluicectld.state.commands import ApplyPlan, EpilogEnded, PrologEnded, Tick
from sluicectld.state.effects import SiteWork, TellWaiting
from sluicectld.store.database import open_engine
from sluicectld.store.read import read_environments, read_scripts
from sluicectld.texts import TextCache
from sluicectld.waiting import Waiting

logger = logging.getLogger(__name__)

T = TypeVar("T")

_READERS = 4


class Core:
    """One engine's life: from loading the tables to a shutdown or to storage that failed."""

    def __init__(
        self,
        engine: Engine,
        config: ClusterConfig,
        key: bytes,
        clock: WallClock,
        on_storage_failed: Callable[[StorageError], None],
    ) -> None:
        self.engine = engine
        self.config = config
        #: The cluster key: signs the credentials of steps.
        self.key = key
        self.agent_config: AgentConfig
        self.node_setups: NodeSetups
        self.clock = clock
        self.started_at = clock.now()
        self.loop = asyncio.get_running_loop()
        self.committer = Committer(config.settings.database_url, engine.cluster.take_batch, on_storage_failed)
        self.agents = Agents(clock, self.fetch_texts)
        self.passes = Passes(engine, clock.now, self._apply_plan)
        self.programs = Programs(str(config.path), self._on_program)
        self.waiting = Waiting()
        self.clients = Clients()
        self.texts = TextCache()
        self.submit_filters = SubmitFilters(())
        self.database: Database = open_engine(config.settings.database_url, is_read_only=True)
        self._readers = ThreadPoolExecutor(_READERS, "sluice-reader")
        self.questions = Questions()
        self._wakeup: asyncio.TimerHandle | None = None
        self._wakeup_at: float | None = None
        self.job_views = JobViewCache()
        #: Replies that are being streamed.
        self.tasks: set[asyncio.Task[None]] = set()
        #: Set by the daemon: read the configuration again; stop.
        self.reconfigure: Callable[[], tuple[str, ...]]
        self.shutdown: Callable[[], None]

    # --- commands

    def run(
        self,
        command: object,
        caller: Caller,
        responder: Responder | None = None,
        reply: Callable[[Any], object] | None = None,
    ) -> Outcome:
        """Handle *command*; after the commit its effects leave and the responder gets reply(outcome.reply).

        Raises RequestError when the command is refused.
        """
        outcome = self.engine.handle(command, caller, self.clock.now())
        has_changed = bool(outcome.events)
        if has_changed or outcome.effects or responder is not None:
            self.committer.after_commit(
                lambda error: self._release(outcome, responder, reply, error), has_changed=has_changed
            )
        if has_changed:
            self.passes.kick()
            self.set_wakeup()
        return outcome

    def _release(
        self,
        outcome: Outcome,
        responder: Responder | None,
        reply: Callable[[Any], object] | None,
        error: StorageError | None,
    ) -> None:
        if error is not None:
            if responder is not None:
                refuse_storage(responder, error)
            return
        for effect in outcome.effects:
            if isinstance(effect, SiteWork):
                self.programs.run(effect, self.config.settings)
            elif isinstance(effect, TellWaiting):
                self.waiting.tell(effect.job_id, UserMessage(job_id=effect.job_id, text=effect.text))
            else:
                self.agents.send(effect, self.engine.cluster.epoch)
        if responder is not None:
            responder.reply(reply(outcome.reply) if reply is not None else outcome.reply)
        if outcome.events:
            self.clients.on_events(outcome.events)
            self.waiting.on_events(outcome.events, self._family_of)

    def _family_of(self, job_id: int) -> int:
        job = self.engine.cluster.jobs.get(job_id)
        return job.array_job_id or job.het_job_id if job is not None else 0

    def _on_program(self, ended: PrologEnded | EpilogEnded) -> None:
        self.run(ended, SYSTEM)

    def _apply_plan(self, command: ApplyPlan) -> int:
        outcome = self.run(command, SYSTEM)
        if logger.isEnabledFor(logging.INFO):
            _log_starts(outcome.events)
        stale: int = outcome.reply
        return stale

    # --- questions

    def ask(self, responder: Responder, answer: Callable[[], object]) -> None:
        """Reply with answer() once nothing is uncommitted."""

        def release(error: StorageError | None) -> None:
            if error is not None:
                refuse_storage(responder, error)
                return
            try:
                result = answer()
            except SluiceError as refusal:
                responder.error(refusal)
                return
            responder.reply(result)

        self.committer.after_commit(release, has_changed=False)

    def after_commit(self, responder: Responder, then: Callable[[], None]) -> None:
        """Call *then* once nothing is uncommitted; it answers by itself."""

        def release(error: StorageError | None) -> None:
            if error is not None:
                refuse_storage(responder, error)
            else:
                then()

        self.committer.after_commit(release, has_changed=False)

    def read(self, work: Callable[[], T], then: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        """Run *work* in a reader's thread, and *then* with its result in the loop's."""
        self._await(self._readers.submit(work), then, on_error)

    def _await(self, future: "Future[T]", then: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        def done(future: "Future[T]") -> None:
            if future.cancelled():
                return
            try:
                self.loop.call_soon_threadsafe(finish, future)
            except RuntimeError:
                logger.debug("a reader ended after the loop")

        def finish(future: "Future[T]") -> None:
            error = future.exception()
            if isinstance(error, Exception):
                on_error(error)
            else:
                then(future.result())

        future.add_done_callback(done)

    def answer_question(self, responder: Responder, work: Callable[[Memory], object]) -> None:
        """Reply with what *work* finds out with the questions' memory, in their thread."""
        self._await(self.questions.submit(work), responder.reply, lambda error: answer_error(responder, error))

    def read_answer(self, responder: Responder, work: Callable[[], object]) -> None:
        """Reply with what *work* reads from the database, once nothing is uncommitted."""
        self.after_commit(
            responder, lambda: self.read(work, responder.reply, lambda error: answer_error(responder, error))
        )

    def agent_config_for(self, nodes: Iterable[str]) -> AgentConfig:
        """Return what the agent of these nodes runs with."""
        names = list(nodes)
        # An agent that stands for many nodes runs nothing on them, and their hardware would be a long message.
        setup = self.node_setups.of(names[0]) if len(names) == 1 else None
        setups = {names[0]: setup} if setup is not None else {}
        network = self.engine.policy.networks.get("")
        known = network.position_by_name if network is not None else {}
        addresses = {name: network.map.address(known[name]) for name in names if network and name in known}
        return replace(self.agent_config, topology_addresses=addresses, nodes=setups)

    # --- texts

    def fetch_texts(self, job: Job, then: Callable[[bytes, bytes], None]) -> None:
        """Call *then* with the job's script and environment, at once if they are here."""
        script = self.texts.get(job.spec.script_digest)
        environment = self.texts.get(job.spec.environment_digest)
        if script is not None and environment is not None:
            then(script, environment or b"\x90")
            return
        self.read(lambda: self._read_texts(job), lambda texts: then(*texts), lambda error: _log_lost_texts(job, error))

    def _read_texts(self, job: Job) -> tuple[bytes, bytes]:
        scripts = read_scripts(self.database, [job.spec.script_digest])
        environments = read_environments(self.database, [job.spec.environment_digest])
        return scripts.get(job.spec.script_digest, b""), environments.get(job.spec.environment_digest, b"\x90")

    # --- time

    def set_wakeup(self) -> None:
        """Make sure that the loop wakes up when the engine's next timer is due."""
        at = self.engine.next_wakeup_at()
        if at is None or (self._wakeup_at is not None and self._wakeup_at <= at):
            return
        if self._wakeup is not None:
            self._wakeup.cancel()
        self._wakeup_at = at
        self._wakeup = self.loop.call_later(max(0.0, at - self.clock.now()), self._wake)

    def _wake(self) -> None:
        self._wakeup = None
        self._wakeup_at = None
        self.run(Tick(), SYSTEM)
        self.passes.kick()
        self.set_wakeup()

    async def close(self) -> None:
        """Commit what waits; end the threads."""
        if self._wakeup is not None:
            self._wakeup.cancel()
        await self.programs.close()
        await self.loop.run_in_executor(None, self.passes.close)
        await self.committer.close()
        await self.loop.run_in_executor(None, self.questions.close)
        await self.loop.run_in_executor(None, self._readers.shutdown)
        self.database.dispose()


def refuse_storage(responder: Responder, error: StorageError) -> None:
    """Tell that nothing was accepted, why, and that repeating is safe."""
    responder.error(STORAGE, f"not accepted: {error}; nothing was lost, try again later")


def answer_error(responder: Responder, error: Exception) -> None:
    if isinstance(error, RequestError):
        responder.error(error)
    elif isinstance(error, SluiceError):
        responder.error(STORAGE, str(error))
    elif isinstance(error, OverflowError):
        responder.error("invalid_request", f"{responder.name}: a number is larger than any id: {error}")
    else:
        logger.error("request %s failed", responder.name, exc_info=error)
        responder.error("internal_error", f"{responder.name} failed: {type(error).__name__}, see the daemon's log")


def _log_starts(emitted: list[events.AnyEvent]) -> None:
    for event in emitted:
        if isinstance(event, events.JobStarted):
            logger.info(
                "job %s started nodes=%s cpus=%d partition=%s",
                event.new_id,
                ",".join(event.allocation.nodes[:8]),
                event.allocation.cpu_count,
                event.partition,
            )


def _log_lost_texts(job: Job, error: Exception) -> None:
    logger.error("job %s: its script cannot be read: %s", job.id, error)
