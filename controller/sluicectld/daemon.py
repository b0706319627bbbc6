"""The controller daemon: reads the configuration, opens the store, loads the tables, listens, runs until told to stop.

When the storage fails, everything that was not committed is forgotten, as after a crash: the tables are loaded again as
soon as they can be, and the agents register anew.  Until then every request is told why nothing is accepted.
"""

import asyncio
import gc
import logging
import secrets
import signal
import time
from collections.abc import Callable

from sluice.clock import WallClock
from sluice.config.check import list_findings
from sluice.config.load import inspect, load
from sluice.config.node_setup import NodeSetups
from sluice.config.problems import ConfigErrors
from sluice.config.records import ClusterConfig
from sluice.errors import ConfigError, InvalidRequest, PluginError, RequestError, StorageError
from sluice.wire.credentials import SharedKeyAuthenticator
from sluice.wire.faults import STORAGE
from sluice.wire.framing import CONTROLLER_AUDIENCE
from sluice.wire.keyfile import read_key_file
from sluice.wire.limits import Limits
from sluice.wire.server import Server
from sluice_plugins.registry import SubmitFilters
from sluicectld.configuration import agent_config_of, nodes_of, partitions_of
from sluicectld.core import Core
from sluicectld.engine import Engine
from sluicectld.loading import load_cluster
from sluicectld.nodes.health import HealthRounds
from sluicectld.permissions import SYSTEM
from sluicectld.policy import policy_of
from sluicectld.rpc.agents import check_silence
from sluicectld.rpc.callers import Callers
from sluicectld.rpc.dispatch import Dispatch
from sluicectld.rpc.jobs import check_abandoned
from sluicectld.state.commands import ApplyConfiguration, BeginEpoch, ExpectCommands
from sluicectld.store.schema import upgrade

logger = logging.getLogger(__name__)

_RELOAD_PAUSE_S = 1.0
_SILENCE_CHECK_S = 5.0
_HEALTH_PAUSE_S = 1.0


class Daemon:
    """One controller process.  path: of the configuration file."""

    def __init__(self, path: str, config: ClusterConfig, administrators: frozenset[int]) -> None:
        self._path = path
        self._config = config
        self._clock = WallClock()
        self._key = read_key_file(config.settings.key_file)
        self._dispatch = Dispatch(Callers(administrators))
        self._server = Server(
            self._dispatch,
            Limits(reply_deadline_s=365 * 86400.0, connections_max=200_000),
            audience=CONTROLLER_AUDIENCE,
        )
        self._stopping: asyncio.Event
        self._failed: asyncio.Event
        self._core: Core

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM, SIGINT or a Shutdown request.  Raises StorageError or ConfigError at start."""
        self._stopping, self._failed = asyncio.Event(), asyncio.Event()
        began_s = time.monotonic()
        upgrade(self._config.settings.database_url)
        await self._open()
        await self._listen()
        logger.info(
            "controller up cluster=%s epoch=%d jobs=%d nodes=%d start_s=%.2f",
            self._config.settings.cluster_name,
            self._core.engine.cluster.epoch,
            len(self._core.engine.cluster.jobs),
            len(self._core.engine.cluster.nodes),
            time.monotonic() - began_s,
        )
        on_ready()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reconfigure_on_signal)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch_silence())
            health = group.create_task(self._watch_health())
            recover = group.create_task(self._recover_storage())
            await self._stopping.wait()
            watch.cancel()
            health.cancel()
            recover.cancel()
        logger.info("controller stopping")
        await self._server.stop()
        await self._core.close()

    async def _listen(self) -> None:
        settings = self._config.settings
        await self._server.listen_unix(settings.controller_socket, 0o666)
        address = settings.controllers[0].address
        await self._server.listen_tcp(address, settings.slurmctld_port, SharedKeyAuthenticator(self._key))

    # --- one engine's life

    async def _open(self) -> None:
        """Load the tables and start an epoch; from here on requests are answered."""
        config = self._config
        cluster = load_cluster(config.settings, self._clock.now())
        engine = Engine(cluster, config.settings, policy_of(config))
        core = Core(engine, config, self._key, self._clock, self._on_storage_failed)
        core.reconfigure = self._reconfigure
        core.shutdown = self._stopping.set
        self._core = core
        core.run(BeginEpoch(cluster.epoch + 1, cluster.cluster_id or secrets.token_hex(8)), SYSTEM)
        self._apply(config)
        core.agents.watch(cluster.nodes)
        core.clients.restore(cluster.jobs.values(), self._clock.now())
        core.run(ExpectCommands(tuple(core.clients.gone()), is_away=True), SYSTEM)
        committed = asyncio.get_running_loop().create_future()
        core.committer.after_commit(committed.set_result, has_changed=True)
        failure = await committed
        if failure is not None:
            raise failure
        core.set_wakeup()
        # What was loaded stays: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        engine.is_pass_due = True
        core.passes.kick()
        self._dispatch.core = core

    def _on_storage_failed(self, error: StorageError) -> None:
        logger.error("storage failed, nothing is accepted until it is back: %s", error)
        self._dispatch.core = None
        self._dispatch.condition, self._dispatch.code = str(error), STORAGE
        self._core.waiting.fail_all(
            lambda responder: responder.error(STORAGE, f"the controller starts over: {error}; try again later")
        )
        self._core.agents.close_all()
        self._failed.set()

    async def _recover_storage(self) -> None:
        """After a failure: load the tables again until it works."""
        while True:
            await self._failed.wait()
            await self._core.close()
            while self._failed.is_set():
                await asyncio.sleep(_RELOAD_PAUSE_S)
                self._failed.clear()
                try:
                    await self._open()
                    logger.warning("storage is back jobs=%d", len(self._core.engine.cluster.jobs))
                except (StorageError, OSError) as error:
                    self._dispatch.condition = str(error)
                    # The threads of what could not begin.
                    await self._core.close()
                    self._failed.set()

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(_SILENCE_CHECK_S)
            if self._dispatch.core is not None:
                check_silence(self._dispatch.core)
                check_abandoned(self._dispatch.core)

    async def _watch_health(self) -> None:
        """Ask the nodes for their health checks when they are due."""
        rounds = HealthRounds()
        while True:
            await asyncio.sleep(_HEALTH_PAUSE_S)
            core = self._dispatch.core
            if core is not None:
                cluster = core.engine.cluster
                nodes = cluster.nodes.values()
                due = rounds.next_nodes(core.engine.settings, nodes, cluster.node_word, self._clock.now())
                core.agents.check_health(due)

    # --- configuration

    def _apply(self, config: ClusterConfig, *, is_asked: bool = False) -> tuple[str, ...]:
        """Make *config* the one in force; return what had to be put right.

        is_asked: what scontrol has changed since is undone; a restart alone keeps it.
        Raises RequestError when the state does not allow it.
        """
        core = self._core
        cluster = core.engine.cluster
        # What plugins may refuse comes before anything is changed.
        filters = SubmitFilters(config.settings.job_submit_plugins)
        policy = policy_of(config)
        lines: tuple[str, ...] = ()
        is_known = config.digest == cluster.config_digest
        if is_asked or not is_known or list(cluster.nodes) != [node.name for node in config.nodes]:
            version = cluster.config_version + (not is_known)
            command = ApplyConfiguration(version, config.digest, nodes_of(config), partitions_of(config))
            lines = core.run(command, SYSTEM).reply.lines
        self._config = core.config = config
        core.engine.settings = config.settings
        core.submit_filters = filters
        core.engine.policy = policy
        core.agent_config = agent_config_of(config, cluster.config_version)
        core.node_setups = NodeSetups(config)
        return lines

    def _reconfigure(self) -> tuple[str, ...]:
        """Read the files again and apply them.  Raises InvalidRequest, and the last good version stays in force."""
        try:
            config = load(self._path)
        except ConfigErrors as errors:
            raise InvalidRequest(
                f"the configuration is refused, version {self._version} stays in force:\n{errors}"
            ) from None
        except (ConfigError, OSError) as error:
            raise InvalidRequest(f"the configuration cannot be read, the last one stays in force: {error}") from None
        fixed = _fixed_changes(self._config, config)
        if fixed:
            raise InvalidRequest(f"{', '.join(fixed)} can be changed at a restart only; nothing was changed")
        try:
            lines = self._apply(config, is_asked=True)
        except PluginError as error:
            raise InvalidRequest(f"the configuration is refused, the last one stays in force: {error}") from None
        self._core.agents.broadcast_config(self._core.agent_config_for)
        self._core.passes.kick()
        logger.info("configuration version %d in force digest=%s", self._version, config.digest[:12])
        for line in lines:
            logger.info("configuration: %s", line)
        return (*map(str, config.warnings), *lines)

    @property
    def _version(self) -> int:
        return self._core.engine.cluster.config_version

    def _reconfigure_on_signal(self) -> None:
        try:
            self._reconfigure()
        except RequestError as error:
            logger.error("reconfigure: %s", error)


def _fixed_changes(old: ClusterConfig, new: ClusterConfig) -> list[str]:
    """Return the keys that a running controller cannot change."""
    one, other = old.settings, new.settings
    pairs = (
        ("ClusterName", one.cluster_name, other.cluster_name),
        ("SlurmctldPort", one.slurmctld_port, other.slurmctld_port),
        ("SluiceDatabase", one.database_url, other.database_url),
        ("SluiceControllerSocket", one.controller_socket, other.controller_socket),
        ("SluiceKeyFile", one.key_file, other.key_file),
    )
    return [key for key, before, after in pairs if before != after]


def read_configuration(path: str) -> ClusterConfig:
    """Return the configuration; its warnings are logged once.  Raises SluiceError with every problem."""
    inspection = inspect(path)
    if inspection.config is None:
        raise ConfigError("\n".join(str(error) for error in inspection.errors) or f"{path} cannot be read")
    for finding in list_findings(inspection):
        logger.info("configuration: %s", finding)
    return inspection.config
