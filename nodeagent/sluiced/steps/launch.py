"""What a step daemon is told: the launch record in the step's folder, and the orders on its control socket."""

from __future__ import annotations

import msgspec

from sluice.model.base import BATCH_STEP, EXTERN_STEP, Record, step_name
from sluice.model.job import Job
from sluice.model.states import Ending
from sluice.wire.messages import AgentConfig, NodeAddress, TaskLaunch
from sluiced.gpu.device import NodeDevices


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
    #: The name of the node's control group.
    group: str = "sluice"
    conf_path: str = ""
    #: The node's devices, those of other jobs too.
    devices: NodeDevices = NodeDevices()
    #: Devices that others have are out of reach.
    is_fenced: bool = False
    #: "host:port" for SLURM_WORKING_CLUSTER.
    controller: str = ""
    script_path: str = ""
    #: The file that tells the program why it gets a signal.
    notice_path: str = ""
    environment: tuple[bytes, ...] = ()
    tasks: TaskLaunch | None = None
    #: Who manages the steps of the job, if it is an agent: its programs ask there for more.
    manager: NodeAddress | None = None
    #: What the system name of the srun's host and its port are, for SLURM_SRUN_COMM_*.
    srun_address: str = ""
    srun_port: int = 0
    #: What srun sent behind its request before this step daemon had the connection: the start of its frames.
    srun_early: bytes = b""
    accepted_at: float = 0.0
    #: DISPLAY and XAUTHORITY where the whole job's X11 is forwarded.
    x11: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def is_batch(self) -> bool:
        return self.step_id == BATCH_STEP

    @property
    def is_extern(self) -> bool:
        return self.step_id == EXTERN_STEP

    @property
    def limit_s(self) -> int | None:
        """Return the step's own time limit (srun -t); None: it has none."""
        # An srun's own allocation has the same limit, and the controller keeps it, with what may go beyond.
        if self.tasks is None or self.job.spec.origin == "srun":
            return None
        return self.tasks.step.spec.limit_s or None

    @property
    def name(self) -> str:
        """Return "12.batch", "12.0"."""
        return f"{self.job.id}.{step_name(self.step_id)}"

    @property
    def world(self) -> tuple[int, int]:
        """Return job id and attempt under which all tasks know the step: over several components, the first one's."""
        first = self.tasks.parts[0] if self.tasks is not None and self.tasks.parts else None
        return (self.job.id, self.job.attempt) if first is None else (first.job_id, first.attempt)

    @property
    def temp_parent(self) -> str:
        """Return the node's folder for temporary files (TmpFS)."""
        return self.config.tmp_fs or "/tmp"


class EndOrder(Record, frozen=True, kw_only=True, tag="end"):
    """End the step: TERM to all, after kill_wait_s KILL."""

    ending: Ending
    kill_wait_s: float
    ended_at: float = 0.0
    #: The line names the step rather than the job.
    names_step: bool = False
    #: Why, in somebody's words.
    text: str = ""


class SignalOrder(Record, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to the tasks; full: to everything that they started too.  signal 0: only tell the reason.

    is_suspension: with STOP and CONT, let everything stand still and go on, by the freezer where there is one.
    reason: why, for the program to read; one with a reason and its deadline is given once, however often it comes.
    Such a warning lets what is stopped go on and reaches all but the batch script's own shell, unless it is_exact.
    """

    signal: int
    full: bool = False
    is_suspension: bool = False
    reason: str = ""
    deadline_at: float | None = None
    is_exact: bool = False
    text: str = ""
    #: With Notice.NEW_LIMIT and RESUME: when the job's time is over now; None: never.
    limit_at: float | None = None


class TalkOrder(Record, frozen=True, kw_only=True, tag="talk"):
    """Tell the user a line that somebody sent."""

    text: str


class PeerOrder(Record, frozen=True, kw_only=True, tag="peer"):
    """A connection from the step daemon of another node comes with this order."""

    node: str


class AttachOrder(Record, frozen=True, kw_only=True, tag="attach"):
    """The connection that comes with this order wants the step's streams."""


class AdoptOrder(Record, frozen=True, kw_only=True, tag="adopt"):
    """For an extern step: take the process in; the socket that comes along is told "=" when it is done, else "=WHY".

    start_ticks: the pid may mean another process by then.
    """

    pid: int
    start_ticks: int


class X11Order(Record, frozen=True, kw_only=True, tag="x11"):
    """For an extern step: forward X11 to the connection that comes along (ForwardX11)."""

    cookie: bytes
    is_for_job: bool = False


ControlOrder = EndOrder | SignalOrder | TalkOrder | PeerOrder | AttachOrder | AdoptOrder | X11Order

_decoder = msgspec.msgpack.Decoder(ControlOrder)


def encode_order(order: ControlOrder) -> bytes:
    return msgspec.msgpack.encode(order)


def decode_order(data: bytes) -> ControlOrder:
    order: ControlOrder = _decoder.decode(data)
    return order
