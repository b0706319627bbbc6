"""Up, down and status of a local cluster.

up() starts what is missing and changes nothing that runs.  A configuration that up() wrote is written anew while
no daemon runs, with ports that are free now; one that somebody has edited, or that came with --conf, is used as it is.
down() ends the controller first, so that nothing is started meanwhile, then the agents, then what jobs still run:
TERM, and KILL after a grace.  What came of those jobs is in the spools, and is told at the next up().
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
from typing import Any

import msgspec

from sluice.config.load import load
from sluice.config.records import ClusterConfig
from sluice.errors import ConfigError, SluiceError
from sluice.local import daemons, leftovers, process, readiness, wanted_ports
from sluice.local.daemons import Daemon, DaemonRecord
from sluice.local.place import Place, Setup
from sluice.local.ports import find_free_range
from sluice.local.shape import Wish, compute_shape, machine, render_conf
from sluice.wire.keyfile import create_key_file

START_LIMIT_S = 60.0
_DAEMON_GRACE_S = 10.0
_JOB_GRACE_S = 3.0
#: Rounds over what is left: a process may fork between two looks.
_ROUNDS_MAX = 5


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster that is up.  started: names of the daemons that this up() started; nodes: the controller's view."""

    config: ClusterConfig
    daemons: list[DaemonRecord]
    started: list[str]
    nodes: list[dict[str, Any]]


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One daemon that should be there; pid None: it is not.  node_state: the controller's word, "" if unknown."""

    role: str
    node: str
    pid: int | None
    state: str
    log: str
    started_at: float | None = None
    node_state: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    folder: str
    conf: str
    daemons: list[DaemonStatus]


def up(place: Place, wish: Wish | None = None, conf: str | None = None, limit_s: float = START_LIMIT_S) -> Running:
    """Bring the cluster up and wait until its nodes are at work.

    conf: a configuration of the user's own.  Raises ConfigError, or Unreachable with the end of a daemon's log.
    """
    place.make()
    with place.locked():
        setup = prepare(place, wish or Wish(), conf)
        config = load(setup.conf_path)
        wanted = _wanted(place, setup, config)
        wanted_ports.check_free(config, _wants(config, [each for each in wanted if daemons.find(place, each) is None]))
        started = [daemon.name for daemon in wanted if start_if_missing(place, daemon)]

        def ended() -> list[Daemon]:
            return [daemon for daemon in wanted if daemons.find(place, daemon) is None]

        nodes = readiness.wait_nodes_ready(config, ended, wanted, limit_s)
        records = [record for daemon in wanted if (record := daemons.find(place, daemon)) is not None]
        return Running(config=config, daemons=records, started=started, nodes=nodes)


def start_if_missing(place: Place, daemon: Daemon) -> bool:
    """Start *daemon* unless it runs; return whether it was started."""
    if daemons.find(place, daemon) is not None:
        return False
    daemons.start(place, daemon)
    return True


def prepare(place: Place, wish: Wish, conf: str | None) -> Setup:
    """Write the configuration where it is ours to write; return what the folder is set up as."""
    known = place.read_setup()
    is_running = bool(daemons.running(place))
    if conf is not None:
        return _prepare_foreign(place, known, os.path.abspath(conf), wish, is_running)
    shape = compute_shape(wish, known.shape if known else None, *machine())
    if known is not None and (is_running or not _is_ours(known)):
        if wish != Wish() and shape != known.shape:
            raise ConfigError(_why_not_changed(place, known, is_running))
        return known
    if known is None and place.conf.exists():
        raise ConfigError(
            f"{place.conf} is there and was not written by sluice up: use it with --conf {place.conf}, or another --dir"
        )
    if not place.key.exists():
        create_key_file(str(place.key))
    sockets = place.make_socket_folder(known.socket_folder if known else "")
    first_port = find_free_range(shape.port_count, random.Random())
    text = render_conf(shape, str(place.folder), sockets, first_port)
    place.conf.write_text(text)
    setup = Setup(conf_path=str(place.conf), shape=shape, digest=_digest(place.conf), socket_folder=sockets)
    place.write_setup(setup)
    return setup


def down(place: Place, *, is_forced: bool = False) -> int:
    """End every process of the cluster; return how many daemons ran.  is_forced: by KILL at once."""
    setup = place.read_setup()
    if setup is None:
        raise ConfigError(f"no cluster is in {place.folder}")
    with place.locked():
        config = _load_or_none(setup.conf_path)
        ran = daemons.running(place)
        grace_s = 0.0 if is_forced else _DAEMON_GRACE_S
        for is_controller in (True, False):
            group = [each.process for each in ran if (each.role == daemons.CONTROLLER) == is_controller]
            process.end(group, grace_s, signal.SIGKILL if is_forced else signal.SIGTERM)
        _end_leftovers(place, config, is_forced)
        leftovers.remove_groups(place, config)
        leftovers.remove_files(place, config)
        daemons.forget_ended(place)
    return len(ran)


def status(place: Place) -> Status:
    """Return every daemon of the cluster with its state.  Raises ConfigError: no cluster is there."""
    setup = place.read_setup()
    if setup is None:
        raise ConfigError(f"no cluster is in {place.folder}")
    config = load(setup.conf_path)
    words = _node_words(config)
    found = [_daemon_status(place, daemon, words) for daemon in _wanted(place, setup, config)]
    return Status(folder=str(place.folder), conf=setup.conf_path, daemons=found)


def wanted_daemons(place: Place) -> list[Daemon]:
    """Return the daemons that the cluster in *place* consists of.  Raises ConfigError: no cluster is there."""
    setup = place.read_setup()
    if setup is None:
        raise ConfigError(f"no cluster is in {place.folder}")
    return _wanted(place, setup, load(setup.conf_path))


def _wanted(place: Place, setup: Setup, config: ClusterConfig) -> list[Daemon]:
    return daemons.list_daemons(place, config, setup.shape is not None and setup.shape.is_emulated)


def _wants(config: ClusterConfig, missing: list[Daemon]) -> list[wanted_ports.Want]:
    agents = [wanted_ports.agent_want(config, each.node) for each in missing if each.role == daemons.AGENT]
    has_controller = any(each.role == daemons.CONTROLLER for each in missing)
    return [wanted_ports.controller_want(config), *agents] if has_controller else agents


def _prepare_foreign(place: Place, known: Setup | None, conf: str, wish: Wish, is_running: bool) -> Setup:
    if wish != Wish():
        raise ConfigError(f"{conf} says how many nodes there are, and how large; give either --conf or the numbers")
    if known is not None and is_running and known.conf_path != conf:
        raise ConfigError(f"the cluster in {place.folder} runs with {known.conf_path}; take another --dir")
    setup = Setup(conf_path=conf)
    config = load(conf)
    if not os.path.exists(config.settings.key_file):
        create_key_file(config.settings.key_file)
    place.write_setup(setup)
    return setup


def _why_not_changed(place: Place, known: Setup, is_running: bool) -> str:
    if is_running:
        return (
            f"the cluster in {place.folder} runs already, with other numbers; first: sluice down; or use another --dir"
        )
    return f"the cluster in {place.folder} is as {known.conf_path} says; edit that, or use another --dir"


def _is_ours(setup: Setup) -> bool:
    """Is the configuration still as we wrote it?  A lost one is ours to write again."""
    return setup.shape is not None and _digest(setup.conf_path) in (setup.digest, "")


def _digest(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return ""


def _load_or_none(path: str) -> ClusterConfig | None:
    """A cluster whose configuration was spoiled or lost can still be taken down."""
    try:
        return load(path)
    except (SluiceError, OSError):
        return None


def _end_leftovers(place: Place, config: ClusterConfig | None, is_forced: bool) -> None:
    """End what jobs run; their step daemons then write what came of it and go; what does not go is killed."""
    for round_number in range(_ROUNDS_MAX):
        step_daemons = leftovers.marked(place)
        of_jobs = leftovers.job_processes(config, step_daemons)
        if not step_daemons and not of_jobs:
            return
        grace_s = 0.0 if is_forced or round_number else _JOB_GRACE_S
        numbers = (signal.SIGKILL,) if is_forced else (signal.SIGTERM, signal.SIGCONT)
        process.end(of_jobs, grace_s, *numbers)
        if is_forced:
            process.end(step_daemons, 0.0, signal.SIGKILL)
        elif process.wait_gone(step_daemons, _JOB_GRACE_S) and round_number:
            process.end(step_daemons, 0.0, signal.SIGTERM)


def _node_words(config: ClusterConfig) -> dict[str, str]:
    try:
        nodes = readiness.read_nodes(config, deadline_s=5.0)
    except SluiceError:
        return {}
    return {node["node"]["name"]: "+".join([node["state"], *map(str.lower, node.get("flags", ()))]) for node in nodes}


def _daemon_status(place: Place, daemon: Daemon, words: dict[str, str]) -> DaemonStatus:
    record = daemons.find(place, daemon)
    return DaemonStatus(
        role=daemon.role,
        node=daemon.node,
        pid=record.process.pid if record else None,
        state="running" if record else "stopped",
        log=daemon.log,
        started_at=record.started_at if record else None,
        node_state=words.get(daemon.node, ""),
    )
