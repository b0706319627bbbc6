"""A step: one parallel launch inside an allocation; the batch script is itself a step."""

from .allocation import GresGrant
from .base import Record
from .request import StepSpec
from .states import StepState


class StepNode(Record, frozen=True, kw_only=True):
    """One node's part of a step.

    ranks: the global ranks of its tasks, ascending, as a kernel list ("0-3,8").
    """

    node: str
    ntasks: int
    ranks: str = ""
    cpus: str = ""
    cpu_count: int = 0
    memory_mib: int = 0
    gres: tuple[GresGrant, ...] = ()


class GpuUsage(Record, frozen=True, kw_only=True):
    """What a step's processes had of its GPUs, by samples while they ran.

    A sample is of all the step's GPUs on one node: bytes of their memory, and the percent of the time that they were at
    work, where one GPU that never rests is 100.  peak: the largest sample on any node; total: the nodes' peaks, summed;
    mean: the nodes' averages over time, summed.
    """

    #: How many nodes looked; 0: nobody did.
    nodes: int = 0
    memory_peak_bytes: int = 0
    memory_total_bytes: int = 0
    memory_mean_bytes: int = 0
    #: None: no GPU could tell.
    util_peak_percent: float | None = None
    util_mean_percent: float | None = None


class Usage(Record, frozen=True, kw_only=True):
    """What a step used, summed or at most over its tasks, as the kernel reports it."""

    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_kib: int = 0
    max_rss_node: str = ""
    max_rss_task: int = 0
    total_rss_kib: int = 0
    max_vmsize_kib: int = 0
    disk_read_bytes: int = 0
    disk_written_bytes: int = 0
    gpu: GpuUsage = GpuUsage()


class Step(Record, frozen=True, kw_only=True):
    """One step of one attempt of a job."""

    job_id: int
    step_id: int
    attempt: int = 0
    spec: StepSpec
    #: Of the request that made it: the same request again gives this step.
    token: str = ""
    state: StepState = StepState.RUNNING
    nodes: tuple[StepNode, ...] = ()
    #: First and last of the ports leased to it on every node; both 0: none.
    ports: tuple[int, int] = (0, 0)
    #: Nodes that have not yet reported the end of their tasks.
    running_nodes: tuple[str, ...] = ()
    #: Nodes that failed while its tasks ran there.
    lost_nodes: tuple[str, ...] = ()
    started_at: float = 0.0
    ended_at: float | None = None
    exit_code: int = 0
    exit_signal: int = 0
    cancelled_by: int | None = None
    #: Why it ended so, where its first node to say it knew more than the exit code.
    reason_text: str = ""
    usage: Usage = Usage()

    @property
    def ntasks(self) -> int:
        return sum(node.ntasks for node in self.nodes)

    @property
    def cpu_count(self) -> int:
        return sum(node.cpu_count for node in self.nodes)
