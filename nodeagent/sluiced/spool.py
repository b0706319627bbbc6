"""The agent's memory on disk: what it was told to run, what runs, what came of it.

    spool/                    0711
        lock                  held by the agent, its fork server, and step daemons that have not claimed yet
        id                    random, made with the spool
        jobs/JOB.ATTEMPT/     0711
            user/             0700, the job's user's: slurm_script, notice
            ended             present once the job may start nothing more here
            steps/STEP/       0700: launch, claim, control, result

Order of writing: the launch record is on disk before the fork server hears of the step, the claim (O_EXCL) is made
before the step daemon starts anything, the result is complete before the step daemon exits.  A claim is not synced:
if the machine stops, the launch carries another boot's id and is not started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from sluice.errors import ConfigError
from sluice.model.base import BATCH_STEP, SPECIAL_STEP_NAMES, step_name
from sluice.wire.messages import StepResult
from sluiced import process_id
from sluiced.steps.launch import StepLaunch

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
            os.makedirs(os.path.join(path, "jobs"), mode=0o711, exist_ok=True)
            os.chmod(path, 0o711)
            os.chmod(os.path.join(path, "jobs"), 0o711)
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

    def step_folder(self, key: StepKey) -> str:
        return os.path.join(self.job_folder(key.job), "steps", step_name(key.step_id))

    def script_path(self, key: JobKey) -> str:
        return os.path.join(self.job_folder(key), "user", "slurm_script")

    def notice_path(self, key: StepKey) -> str:
        return os.path.join(self.job_folder(key.job), "user", f"notice-{step_name(key.step_id)}")

    # Writing.

    def make_job(self, key: JobKey, uid: int, gid: int) -> None:
        """Make the folders of a job; nothing happens when they are there."""
        folder = self.job_folder(key)
        user = os.path.join(folder, "user")
        os.makedirs(os.path.join(folder, "steps"), mode=0o711, exist_ok=True)
        os.chmod(folder, 0o711)
        with contextlib.suppress(FileExistsError):
            os.mkdir(user, 0o700)
            if os.geteuid() == 0:
                os.chown(user, uid, gid)

    def write_script(self, key: JobKey, script: bytes, uid: int, gid: int) -> None:
        path = self.script_path(key)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o700), "wb") as file:
            file.write(script)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), uid, gid)

    def write_launch(self, key: StepKey, launch: StepLaunch) -> None:
        """Write the launch record; on return it is on disk."""
        folder = self.step_folder(key)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        write_durably(folder, "launch", msgspec.msgpack.encode(launch))
        for parent in (os.path.dirname(folder), self.job_folder(key.job), os.path.join(self.path, "jobs")):
            _sync_folder(parent)

    def bind_control(self, key: StepKey) -> socket.socket:
        """Return the socket on which the step daemon will get its orders; orders sent from now on wait in it."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _short_path(self.step_folder(key), "control") as path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            control.bind(path)
        return control

    def send_control(self, key: StepKey, order: bytes) -> bool:
        """Return whether the step daemon will read *order*; False: it is gone."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
            _short_path(self.step_folder(key), "control") as path,
        ):
            try:
                sender.sendto(order, path)
            except OSError:
                return False
        return True

    def mark_ended(self, key: JobKey) -> None:
        with contextlib.suppress(OSError):
            os.close(os.open(os.path.join(self.job_folder(key), "ended"), os.O_CREAT | os.O_WRONLY, 0o600))

    def remove_step(self, key: StepKey) -> None:
        shutil.rmtree(self.step_folder(key), ignore_errors=True)

    def remove_job(self, key: JobKey) -> None:
        shutil.rmtree(self.job_folder(key), ignore_errors=True)

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
        folder = os.path.join(self.job_folder(job), "steps")
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
        numbers = (_STEP_IDS_BY_NAME.get(name) or int(name) for name in names if _is_step_name(name))
        keys = (StepKey(*job, number) for number in sorted(numbers, key=lambda number: (number != BATCH_STEP, number)))
        return [key for key in keys if os.path.exists(os.path.join(self.step_folder(key), "launch"))]

    def is_ended(self, key: JobKey) -> bool:
        return os.path.exists(os.path.join(self.job_folder(key), "ended"))

    def read_launch(self, key: StepKey) -> StepLaunch | None:
        return read_launch(self.step_folder(key))

    def read_claim(self, key: StepKey) -> Claim | None:
        return read_claim(self.step_folder(key))

    def read_result(self, key: StepKey) -> StepResult | None:
        """Return what came of the step; None: nothing yet."""
        try:
            with open(os.path.join(self.step_folder(key), "result"), "rb") as file:
                return msgspec.msgpack.decode(file.read(), type=StepResult)
        except (OSError, msgspec.DecodeError):
            return None

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


def read_launch(folder: str) -> StepLaunch | None:
    """Return the launch record in a step's folder; None: it is not there or not whole."""
    try:
        with open(os.path.join(folder, "launch"), "rb") as file:
            return decode_launch(file.read())
    except (OSError, msgspec.DecodeError):
        return None


def decode_launch(data: bytes) -> StepLaunch:
    """Return a launch record.  Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(data, type=StepLaunch)


def read_claim(folder: str) -> Claim | None:
    try:
        with open(os.path.join(folder, "claim")) as file:
            pid, ticks = file.read().split()
        return Claim(int(pid), int(ticks))
    except (OSError, ValueError):
        return None


def claim(folder: str) -> bool:
    """Make this process the owner of the step; False: another one is."""
    pid = os.getpid()
    text = f"{pid} {process_id.start_ticks(pid)}\n".encode()
    temporary = os.path.join(folder, f"claim.{pid}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    # A link is exclusive as O_EXCL is, and the file is never seen half written.
    try:
        os.link(temporary, os.path.join(folder, "claim"))
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


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


@contextlib.contextmanager
def _short_path(folder: str, name: str) -> Iterator[str]:
    """Give a path that fits into a socket address however deep *folder* is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _is_step_name(name: str) -> bool:
    return name.isdecimal() or name in _STEP_IDS_BY_NAME
