"""The agent's memory on disk: what it was told to run, what runs, what came of it.

    spool/                    0711
        lock                  held by the agent, its fork server, and step daemons that have not claimed yet
        id                    random, made with the spool
        cluster               the identity of the controller's database
        config                the configuration last heard of
        groups                the folders of the node's control groups, a line each, for whoever removes what is left
        jobs/JOB.ATTEMPT/     0711
            slurm_script      0700, the job's user's
            job               the job's record, where no batch step's launch holds it
            prepared          present once the prolog has run: what prolog and epilog see of the job
            ended             present once the job may start nothing more here
            STEP.launch       the launch record
            STEP.claim        a link to PID.TICKS of the step daemon that owns the step
            STEP.control      the socket for its orders
            STEP.notice       the job's user's: why a signal comes
            STEP.events       the job's user's socket that tells all notices
            STEP.x11          of an extern step: the display to which the whole job's X11 is forwarded
            STEP.gpu          what it had of its GPUs so far
            STEP.problem      the evidence on processes that cannot be killed
            STEP.result       what came of it
        hooks/                0700; the names of running prologs and epilogs
        unkillable/           0700; the processes that steps have ended without
        forgotten/            jobs' folders on their way out

Order of writing: the launch record is whole before the fork server hears of the step, the claim (a link, which is made
at once or not at all) before the step daemon starts anything, the result before the step daemon exits.  A record that
was cut off by a kill cannot be decoded, and counts as not written.

Jobs are not synced to the disk.  What a killed process wrote stays in the kernel's page cache; only a stop of the whole
machine loses it, and then every process is gone too and the boot id is another one.  See
docs/decisions/node-spool-without-fsync.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sluice.errors import ConfigError
from sluice.model.base import BATCH_STEP, EXTERN_STEP, SPECIAL_STEP_NAMES, step_name
from sluice.model.job import Job
from sluice.wire.messages import AgentConfig, StepResult
from sluiced import process_id
from sluiced.steps.descendants import Unkillable
from sluiced.steps.launch import StepLaunch

_STEP_FILES = (
    *("launch", "claim", "control", "notice", "notice.new", "events", "x11", "gpu", "gpu.new", "problem", "result"),
)
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_STEP_IDS_BY_NAME = {name: number for number, name in SPECIAL_STEP_NAMES.items()}


class JobKey(NamedTuple):
    """One attempt of a job on one node."""

    job_id: int
    attempt: int


class StepKey(NamedTuple):
    job_id: int
    attempt: int
    step_id: int

    @property
    def job(self) -> JobKey:
        return JobKey(self.job_id, self.attempt)


class Claim(NamedTuple):
    """The step daemon that owns a step."""

    pid: int
    start_ticks: int


class Spool:
    """The spool of one node.  Raises ConfigError where it cannot be used."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            for folder in (path, os.path.join(path, "jobs"), os.path.join(path, "forgotten")):
                os.makedirs(folder, mode=0o711, exist_ok=True)
                os.chmod(folder, 0o711)
            self.lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.id = self._read_or_make_id()
        except OSError as error:
            raise ConfigError(f"spool {path!r} cannot be used: {error.strerror}") from None

    def lock_nowait(self) -> bool:
        """Return whether nobody else uses the spool: no agent, and no step daemon about to claim."""
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self.lock)

    def job_folder(self, key: JobKey) -> str:
        return os.path.join(self.path, "jobs", f"{key.job_id}.{key.attempt}")

    def step_path(self, key: StepKey) -> str:
        """Return what the names of the step's files begin with."""
        return os.path.join(self.job_folder(key.job), step_name(key.step_id))

    def script_path(self, key: JobKey) -> str:
        return os.path.join(self.job_folder(key), "slurm_script")

    def notice_path(self, key: StepKey) -> str:
        return self.step_path(key) + ".notice"

    def gpu_path(self, key: StepKey) -> str:
        return self.step_path(key) + ".gpu"

    # Writing.

    def make_job(self, key: JobKey) -> None:
        """Make the folder of a job; nothing happens when it is there."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.job_folder(key), 0o711)

    def write_script(self, key: JobKey, script: bytes, uid: int, gid: int) -> None:
        descriptor = os.open(self.script_path(key), _WRITE_FLAGS, 0o700)
        try:
            _write_all(descriptor, script)
            if os.geteuid() == 0 and uid:
                os.fchown(descriptor, uid, gid)
        finally:
            os.close(descriptor)

    def write_job(self, job: Job) -> None:
        """Remember an allocation whose steps may all have ended before it does."""
        path = os.path.join(self.job_folder(JobKey(job.id, job.attempt)), "job")
        if not os.path.exists(path):
            write_file(path, msgspec.msgpack.encode(job))

    def write_prepared(self, key: JobKey, variables: dict[str, str]) -> None:
        """Remember that the prolog was run, and what prolog and epilog see of the job.  Raises OSError."""
        self.make_job(key)
        write_file(os.path.join(self.job_folder(key), "prepared"), msgspec.msgpack.encode(variables))

    def read_prepared(self, key: JobKey) -> dict[str, str] | None:
        """Return what write_prepared() was given; None: no prolog has run to its end."""
        try:
            data = _read_file(os.path.join(self.job_folder(key), "prepared"))
            return msgspec.msgpack.decode(data, type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            return None

    def write_launch(self, key: StepKey, launch: StepLaunch) -> None:
        """Write the launch record; on return it outlives this process."""
        write_file(self.step_path(key) + ".launch", msgspec.msgpack.encode(launch))

    def mark_ended(self, key: JobKey) -> None:
        with contextlib.suppress(OSError):
            os.close(os.open(os.path.join(self.job_folder(key), "ended"), os.O_CREAT | os.O_WRONLY, 0o600))

    def remove_step(self, key: StepKey) -> None:
        for kind in _STEP_FILES:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.step_path(key)}.{kind}")

    def remove_job(self, key: JobKey) -> None:
        """Forget the job; sweep() takes the files away."""
        folder = self.job_folder(key)
        # Forgotten at once or not at all: a folder that lost its result but not its launch would be run again.
        with contextlib.suppress(OSError):
            os.rename(folder, os.path.join(self.path, "forgotten", os.path.basename(folder)))

    def sweep(self) -> None:
        """Take away what is forgotten; for a thread of its own."""
        top = os.path.join(self.path, "forgotten")
        for job in os.listdir(top):
            folder = os.path.join(top, job)
            with contextlib.suppress(OSError):
                for name in os.listdir(folder):
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)

    # Reading.

    def jobs(self) -> list[JobKey]:
        keys = []
        for name in sorted(os.listdir(os.path.join(self.path, "jobs"))):
            job, _, attempt = name.partition(".")
            if job.isdecimal() and attempt.isdecimal():
                keys.append(JobKey(int(job), int(attempt)))
        return keys

    def steps(self, job: JobKey) -> list[StepKey]:
        """Return the steps of *job* that have a launch record, the batch step first."""
        try:
            names = os.listdir(self.job_folder(job))
        except FileNotFoundError:
            return []
        stems = [name.removesuffix(".launch") for name in names if name.endswith(".launch")]
        numbers = [_STEP_IDS_BY_NAME.get(stem) or int(stem) for stem in stems if _is_step_name(stem)]
        return [StepKey(*job, number) for number in sorted(numbers, key=lambda number: (number != BATCH_STEP, number))]

    def read_job(self, key: JobKey) -> Job | None:
        """Return the job whose folder this is; None: nothing was begun for it."""
        try:
            return msgspec.msgpack.decode(_read_file(os.path.join(self.job_folder(key), "job")), type=Job)
        except (OSError, msgspec.DecodeError):
            launches = (self.read_launch(step) for step in self.steps(key))
            return next((launch.job for launch in launches if launch is not None), None)

    def is_ended(self, key: JobKey) -> bool:
        return os.path.exists(os.path.join(self.job_folder(key), "ended"))

    def read_launch(self, key: StepKey) -> StepLaunch | None:
        return read_launch(self.step_path(key))

    def read_claim(self, key: StepKey) -> Claim | None:
        return read_claim(self.step_path(key))

    def read_result(self, key: StepKey) -> StepResult | None:
        """Return what came of the step; None: nothing yet."""
        try:
            return msgspec.msgpack.decode(_read_file(self.step_path(key) + ".result"), type=StepResult)
        except (OSError, msgspec.DecodeError):
            return None

    def read_problem(self, key: StepKey) -> Unkillable | None:
        """Return what the step could not end; None: nothing."""
        try:
            return msgspec.msgpack.decode(_read_file(self.step_path(key) + ".problem"), type=Unkillable)
        except (OSError, msgspec.DecodeError):
            return None

    def read_x11(self, key: JobKey) -> dict[str, str]:
        """Return what write_x11() was given for the job; empty: its X11 is not forwarded."""
        try:
            data = _read_file(self.step_path(StepKey(*key, EXTERN_STEP)) + ".x11")
            return msgspec.msgpack.decode(data, type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            return {}

    def read_cluster_id(self) -> str:
        """Return the identity of the cluster whose jobs these are; empty: not known yet."""
        try:
            return _read_file(os.path.join(self.path, "cluster")).decode()
        except OSError:
            return ""

    def write_cluster_id(self, cluster_id: str) -> None:
        write_durably(self.path, "cluster", cluster_id.encode())

    def read_config(self) -> AgentConfig | None:
        """Return the configuration last heard of, so that an agent works before the controller answers."""
        try:
            return msgspec.msgpack.decode(_read_file(os.path.join(self.path, "config")), type=AgentConfig)
        except (OSError, msgspec.DecodeError):
            return None

    def write_config(self, config: AgentConfig) -> None:
        write_durably(self.path, "config", msgspec.msgpack.encode(config))

    def read_groups(self) -> list[str]:
        """Return the folders of the node's control groups, of all agents that have used the spool."""
        try:
            return os.fsdecode(_read_file(os.path.join(self.path, "groups"))).splitlines()
        except OSError:
            return []

    def note_groups(self, folders: Sequence[str]) -> None:
        """Remember where the node's control groups are, beside where they were; raises OSError."""
        known = self.read_groups()
        if new := [folder for folder in folders if folder not in known]:
            write_durably(self.path, "groups", os.fsencode("".join(f"{folder}\n" for folder in (*known, *new))))

    def _read_or_make_id(self) -> str:
        path = os.path.join(self.path, "id")
        try:
            with open(path) as file:
                found = file.read().strip()
        except FileNotFoundError:
            found = ""
        if not found:
            found = os.urandom(8).hex()
            write_durably(self.path, "id", found.encode())
        return found


def read_launch(step_path: str) -> StepLaunch | None:
    """Return the launch record of the step whose files begin with *step_path*; None: it is not there or not whole."""
    try:
        return decode_launch(_read_file(step_path + ".launch"))
    except (OSError, msgspec.DecodeError):
        return None


def decode_launch(data: bytes) -> StepLaunch:
    """Return a launch record.  Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(data, type=StepLaunch)


def read_claim(step_path: str) -> Claim | None:
    try:
        pid, _, ticks = os.readlink(step_path + ".claim").partition(".")
        return Claim(int(pid), int(ticks))
    except (OSError, ValueError):
        return None


def claim(step_path: str) -> bool:
    """Make this process the owner of the step; False: another one is."""
    pid = os.getpid()
    try:
        os.symlink(f"{pid}.{process_id.start_ticks(pid)}", step_path + ".claim")
    except FileExistsError:
        return False
    return True


def write_result(step_path: str, result: StepResult) -> None:
    write_file(step_path + ".result", msgspec.msgpack.encode(result))


def write_x11(step_path: str, variables: dict[str, str]) -> None:
    """Tell which display the steps of the job use; none: no more."""
    if variables:
        write_file(step_path + ".x11", msgspec.msgpack.encode(variables))
    else:
        with contextlib.suppress(OSError):
            os.unlink(step_path + ".x11")


def write_problem(step_path: str, found: Unkillable) -> None:
    """Tell what the step could not end; to be written before its result."""
    write_file(step_path + ".problem", msgspec.msgpack.encode(found))


def write_file(path: str, data: bytes) -> None:
    """Write a file of root's (or the agent's user's) own."""
    descriptor = os.open(path, _WRITE_FLAGS, 0o600)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_durably(folder: str, name: str, data: bytes) -> None:
    """Write *data* to folder/name: afterwards it is there whole, also after a power failure."""
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(folder, name))
    _sync_folder(folder)


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_file(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _is_step_name(name: str) -> bool:
    return name.isdecimal() or name in _STEP_IDS_BY_NAME
