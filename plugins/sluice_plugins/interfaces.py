"""What a plugin of each kind must offer.  Additive only: a new method comes with a default behaviour.

A plugin is a class without arguments, registered as an entry point of the group "sluice.KIND" under the name that the
configuration uses.  Hooks are called in the daemon's event loop: they must not block.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from sluice.errors import PluginError
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode, PreemptSetup
from sluice.model.priority import Asked, Candidates, JobPriority, PriorityContext, PrioritySetup, Standing
from sluice.model.qos import Qos
from sluice.model.request import JobSpec
from sluice.model.topology import Topology


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Around a request: who submits it, and where it could go."""

    uid: int
    user: str
    groups: tuple[str, ...] = ()
    is_operator: bool = False
    partitions: tuple[Partition, ...] = ()


class SubmitFilter(Protocol):
    """Kind "submit": sees every submission before defaults are filled in and limits are checked."""

    def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
        """Return the request to go on with, the same one or a changed copy.

        Raises RequestError to refuse it; its text goes to the user as it is.
        """


@runtime_checkable
class StandingFactor(Protocol):
    """Kind "priority_factor": a number of who asks and where the job waits.  Pure.

    A factor in [0, 1] is weighted by its PriorityWeight, or by NAME=WEIGHT in PriorityParameters; the one that
    PrioritySiteFactorPlugin=site_factor/NAME names is added as it is.  All that have a standing share the number.
    """

    def compute_of_standing(self, standing: Standing, context: PriorityContext) -> float: ...


@runtime_checkable
class SizeFactor(Protocol):
    """The same of how much is asked, and for how long."""

    def compute_of_asked(self, asked: Asked, context: PriorityContext) -> float: ...


@runtime_checkable
class JobFactor(Protocol):
    """The same of the job itself, such as its age: asked for many jobs at once, in any order."""

    def compute_of_jobs(self, jobs: Sequence[Job], context: PriorityContext) -> list[float]:
        """Return the numbers of *jobs*, in their order."""


PriorityFactor = StandingFactor | SizeFactor | JobFactor


class PriorityRule(Protocol):
    """How the configured priority plugin numbers jobs.  Pure: the scheduler asks it in the middle of a pass."""

    @property
    def is_lasting(self) -> bool:
        """Does a job keep the number of its submission?  Then passes need not ask again."""

    def compute(self, candidates: Candidates, context: PriorityContext) -> list[float]:
        """Return a number for each candidate, in their order; the largest goes first.

        Nice values, priorities set by hand and the least possible priority are the scheduler's to heed.
        """

    def explain(self, candidates: Candidates, context: PriorityContext) -> list[JobPriority]:
        """Return the same taken apart."""


class PriorityPlugin(Protocol):
    """Kind "priority": PriorityType=priority/NAME."""

    def prepare(self, setup: PrioritySetup, factors: Mapping[str, PriorityFactor]) -> PriorityRule:
        """Return the rule for one configuration.  factors: those that have a weight, "site", and the site's own."""


class TopologyRequest(msgspec.Struct, frozen=True):
    """What of a request the choice of nodes may depend on.

    tasks: never fewer than nodes_min.  required: positions that must be among the nodes.
    """

    tasks: int
    nodes_min: int = 1
    #: 0: no maximum.
    nodes_max: int = 0
    required: frozenset[int] = frozenset()
    #: Leaf switches (blocks, groups) at most; 0: any number.
    switches_max: int = 0
    #: Nodes of each segment, which must lie in one block; 0: no segments.
    segment: int = 0


class UnitView(msgspec.Struct, frozen=True):
    """One unit as `scontrol show topology` prints it: keys and values in order, and the nodes in it or below it."""

    name: str
    fields: tuple[tuple[str, str], ...]
    nodes: tuple[str, ...]


class TopologyMap(Protocol):
    """Where the nodes of one configuration are.  A node's position is its place in the order that build() was given."""

    #: False: every arrangement is the candidates as they are, so that nobody needs to ask.
    is_arranging: bool

    def arrange(
        self, positions: Sequence[int], offers: Sequence[int], request: TopologyRequest
    ) -> Iterator[Sequence[int]]:
        """Yield lists of nodes to try, best first: the first one that holds the request is taken, in its order.

        positions: nodes with something to offer, first choice first; offers: tasks that each can hold.  Numbers of
        tasks and nodes, features and shared resources stay the caller's rules: a list may hold more nodes than are
        needed, and one that is too small costs time only.  Yields nothing when no list would be right.
        """

    def address(self, position: int) -> tuple[str, str]:
        """Return the way to the node from the top, and the kinds of its parts: "top.leaf1.n3", "switch.switch.node"."""

    def views(self) -> Sequence[UnitView]:
        """Return every unit, in the order to print."""


class TopologyPlugin(Protocol):
    """Kind "topology": which nodes are near each other.  Pure, and independent of the order of units and sets."""

    def build(self, topology: Topology, nodes: Sequence[str]) -> TopologyMap:
        """Return the map of the nodes; called once for each configuration."""


class Contender(msgspec.Struct, frozen=True):
    """Whose jobs these are, as far as preemption cares: all of one partition with the same QOS share the answers.

    qoses: in the order of precedence, the partition's among them.  qos: the jobs' own.
    """

    partition: Partition
    qos: Qos | None = None
    qoses: tuple[Qos, ...] = ()


class PreemptRight(msgspec.Struct, frozen=True):
    """What may be done to the victim.  needs_priority: only by a job of higher priority than the victim's."""

    mode: PreemptMode
    needs_priority: bool = False


class VictimCost(msgspec.Struct, frozen=True):
    """What losing a running job means.  work_lost_s: CPU-seconds since it started, or was requeued last."""

    job_id: int
    priority: int
    started_at: float
    work_lost_s: float


class PreemptPlugin(Protocol):
    """Kind "preempt": PreemptType=preempt/NAME.  Pure: the scheduler asks it in the middle of a pass."""

    def may_preempt(self, preemptor: Contender, victim: Contender, setup: PreemptSetup) -> PreemptRight | None:
        """Return how jobs of *preemptor* may preempt those of *victim*, None if they may not.

        Two contenders never have a right over each other, nor one over itself, unless priority decides.
        """

    def grace_s(self, victim: Contender, setup: PreemptSetup) -> float:
        """Return how long a victim may go on after it was warned."""

    def exempt_s(self, victim: Contender, setup: PreemptSetup) -> float:
        """Return how long a job runs before it may be cancelled or requeued."""

    def rank(self, cost: VictimCost, setup: PreemptSetup) -> tuple[float, ...]:
        """Return where the job stands among victims: the smallest goes first."""


class MpiServer(StrEnum):
    """What a step daemon can run for the tasks of its node."""

    NONE = "none"
    #: PMI-1 and PMI-2 on one inherited descriptor.
    PMI = "pmi"
    #: A PMIx server of the installed libpmix.
    PMIX = "pmix"


class MpiTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task of a step, as a program that wires itself up has to know it.

    descriptor: of the PMI server, as the task inherits it.  server_variables: what the PMIx server wants it to have.
    """

    job_id: int
    step_id: int
    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 1
    descriptor: int | None = None
    server_variables: Mapping[str, str] = {}


class MpiPlugin(Protocol):
    """Kind "mpi": srun --mpi=NAME.  Pure: asked in the step daemon, once for each task."""

    #: What the tasks talk to.
    server: MpiServer
    #: Beginnings of the names of variables that must not come through from outside: another server's.
    dropped: tuple[str, ...]

    def variables(self, task: MpiTask) -> dict[str, str]:
        """Return what the task's environment gets on top."""


class Peer(msgspec.Struct, frozen=True):
    """A node of the step, and the address at which the other nodes reach it."""

    node: str
    address: str
    tasks: int


class JobService(msgspec.Struct, frozen=True, kw_only=True):
    """What a launcher may build on: one process of a step, its peers, and what was granted.

    node_rank: which of *peers* this node is; 0 is the head.  rank, local_rank: of the process.  ports: free on every
    node of the step and leased to it, first and count; nobody else on the cluster gets them meanwhile.
    temp_dir: the user's own, on this node, gone after the step; its path is short enough for sockets.
    """

    job_id: int
    step_id: int
    restart_count: int = 0
    node_rank: int = 0
    peers: tuple[Peer, ...] = ()
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    ports: range = range(0)
    cpus: int = 1
    memory_mib: int = 0
    gpus: tuple[int, ...] = ()
    temp_dir: str = "/tmp"

    @property
    def head(self) -> Peer:
        return self.peers[0]

    @property
    def meeting_port(self) -> int:
        """Return the first of the ports, for the processes to meet at.  Raises PluginError when there is none."""
        if not self.ports:
            raise PluginError(
                "the processes need a leased port to meet at, and the step has none: leave --resv-ports out"
            )
        return self.ports[0]


class LaunchPlugin(Protocol):
    """Kind "launch": srun --launch=NAME.  Pure: asked in the step daemon.

    Both methods may raise PluginError for a service that they cannot build on; its text ends the step.
    An attribute `missing_hint`, if there is one, is told where the first word of the command is not installed.
    """

    #: One process a node, which starts the node's tasks itself; else one process a task.
    is_per_node: bool

    def variables(self, service: JobService) -> dict[str, str]:
        """Return what the process's environment gets on top."""

    def command(self, service: JobService, argv: Sequence[str]) -> tuple[str, ...]:
        """Return what to run for *argv*."""
