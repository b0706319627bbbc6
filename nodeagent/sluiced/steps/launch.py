"""What a step daemon is told: the launch record in the step's folder, and the orders on its control socket."""

from __future__ import annotations

import array
import os
import socket

import msgspec

from sluice.model.base import BATCH_STEP, Record, step_name
from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.wire.messages import AgentConfig, TaskLaunch


class StepLaunch(Record, frozen=True, kw_only=True):
    """Everything that one step daemon needs.

    environment: of a batch job, as submitted; a launched step's is in *tasks*.
    boot_id: a launch of another boot may have run before the machine went down.
    """

    node: str
    job: Job
    step_id: int
    boot_id: str
    config: AgentConfig
    conf_path: str = ""
    #: "host:port" for SLURM_WORKING_CLUSTER.
    controller: str = ""
    script_path: str = ""
    #: The file that tells the program why it gets a signal.
    notice_path: str = ""
    environment: tuple[bytes, ...] = ()
    tasks: TaskLaunch | None = None
    #: What the system name of the srun's host and its port are, for SLURM_SRUN_COMM_*.
    srun_address: str = ""
    srun_port: int = 0
    #: What srun sent behind its request before this step daemon had the connection: the start of its frames.
    srun_early: bytes = b""
    accepted_at: float = 0.0

    @property
    def is_batch(self) -> bool:
        return self.step_id == BATCH_STEP

    @property
    def name(self) -> str:
        """Return "12.batch", "12.0"."""
        return f"{self.job.id}.{step_name(self.step_id)}"


class EndOrder(Record, frozen=True, kw_only=True, tag="end"):
    """End the step: TERM to all, after kill_wait_s KILL."""

    ending: Ending
    kill_wait_s: float
    ended_at: float = 0.0
    #: The line names the step rather than the job.
    names_step: bool = False


class SignalOrder(Record, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to the tasks; full: to everything that they started too.

    reason: why, for the program to read; one with a reason and its deadline is given once, however often it comes.
    """

    signal: int
    full: bool = False
    reason: str = ""
    deadline_at: float | None = None


class TalkOrder(Record, frozen=True, kw_only=True, tag="talk"):
    """Tell the user a line that somebody sent."""

    text: str


class AttachOrder(Record, frozen=True, kw_only=True, tag="attach"):
    """The connection that comes with this order wants the step's streams."""


ControlOrder = EndOrder | SignalOrder | TalkOrder | AttachOrder

_ORDER_SIZE_MAX = 4096

_decoder = msgspec.msgpack.Decoder(ControlOrder)


def encode_order(order: ControlOrder) -> bytes:
    return msgspec.msgpack.encode(order)


def receive_order(control: int) -> tuple[ControlOrder, list[socket.socket]]:
    """Return the next order on a step's control socket, and the connections that come with it."""
    descriptors = array.array("i")
    with socket.socket(fileno=os.dup(control)) as own:
        data, ancillary, _, _ = own.recvmsg(
            _ORDER_SIZE_MAX, socket.CMSG_LEN(descriptors.itemsize), socket.MSG_CMSG_CLOEXEC
        )
    for _, _, content in ancillary:
        descriptors.frombytes(content)
    return decode_order(data), [socket.socket(fileno=descriptor) for descriptor in descriptors]


def decode_order(data: bytes) -> ControlOrder:
    order: ControlOrder = _decoder.decode(data)
    return order
