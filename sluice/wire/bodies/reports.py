"""From agents to the controller: who they are, what they run, and what became of it."""

import msgspec

from sluice.config.node_setup import NodeSetup
from sluice.model.confinement import CgroupSettings
from sluice.model.node import Inventory
from sluice.model.step import Step, Usage

from .base import Message
from .questions import StreamTail


class RunningStep(Message, frozen=True, kw_only=True):
    """A step that an agent still has; is_ended: its result waits in the agent's next Report."""

    job_id: int
    attempt: int
    step_id: int
    is_ended: bool = False


class NodeReport(Message, frozen=True, kw_only=True):
    """One node of a registration: what it measured and what it runs."""

    node: str
    inventory: Inventory
    steps: tuple[RunningStep, ...] = ()
    #: (job_id, attempt, when its time limit is over) as the job's programs there were told; None: it has none.
    limits: tuple[tuple[int, int, float | None], ...] = ()
    #: Where commands on other hosts reach this agent; empty: as configured.
    address: str = ""
    port: int = 0


class Register(Message, frozen=True, kw_only=True):
    """An agent (or a relay for many nodes) introduces its nodes; sent at every connection."""

    nodes: tuple[NodeReport, ...]
    config_digest: str = ""


class Registered(Message, frozen=True, kw_only=True):
    """epoch: messages of an older controller must be refused.  config: what the agents need of the configuration.

    cluster_id: of the controller's database.  An agent that remembers another one forgets that cluster's jobs.
    """

    epoch: int
    config: "AgentConfig"
    cluster_id: str = ""
    #: (node, job_id, attempt) of jobs that the controller does not have on that node: end them.
    stale_jobs: tuple[tuple[str, int, int], ...] = ()


class AgentConfig(Message, frozen=True, kw_only=True):
    """The numbered configuration that agents run with."""

    version: int
    digest: str
    cluster: str
    kill_wait_s: float = 30.0
    heartbeat_interval_s: float = 30.0
    output_tail_bytes: int = 4096
    job_file_append: bool = False
    tmp_fs: str = "/tmp"
    mpi_default: str = "none"
    kill_on_bad_exit: bool = False
    prolog: tuple[str, ...] = ()
    epilog: tuple[str, ...] = ()
    task_prolog: str = ""
    task_epilog: str = ""
    prolog_timeout_s: float = 0.0
    health_check_program: str = ""
    reboot_program: str = ""
    #: Called with what KILL has not ended.
    unkillable_program: str = ""
    #: What KILL has not ended after this long stays, and its node is drained; 0: wait for ever.
    unkillable_timeout_s: float = 60.0
    prolog_flags: tuple[str, ...] = ()
    #: Cookies go into the user's ~/.Xauthority, where they would go into a file of their own.
    is_xauthority_at_home: bool = False
    propagate_limits: str = "ALL"
    propagate_limits_except: str = ""
    #: PropagatePrioProcess: 1 takes over the submitter's nice value, 2 one above the agent's at the least.
    propagate_nice: int = 0
    cgroup: CgroupSettings = CgroupSettings()
    #: Usage is what the kernel counted for the step's cgroup, its peak of memory included.
    is_usage_of_cgroup: bool = False
    #: Directories that steps of MPI have for themselves, on clusters with several nodes on one host.
    private_dirs: tuple[str, ...] = ()
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    #: node -> (way to it from the top of the network, what the parts are), for the agent's own nodes.
    topology_addresses: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    #: The agent's own nodes.
    nodes: dict[str, NodeSetup] = msgspec.field(default_factory=dict)
    #: How tasks are bound unless they say it: partition -> level, where it says one, and TaskPluginParam.
    partition_cpu_bind: dict[str, str] = msgspec.field(default_factory=dict)
    task_plugins: tuple[str, ...] = ()
    task_parameters: dict[str, str] = msgspec.field(default_factory=dict)


class Heartbeat(Message, frozen=True, kw_only=True):
    """A NOTICE from an agent: still here; per node (node, load of the last minute, free memory in MiB)."""

    nodes: tuple[tuple[str, float, int], ...]


class StepResult(Message, frozen=True, kw_only=True):
    """A step's tasks on one node have ended.

    reason: why it could not run or was ended (a Reason's word), empty for a plain exit; ending: the cause told to it.
    is_node_clean: nothing of the job is left on this node and its epilog ran (told with the last step).
    """

    node: str
    job_id: int
    attempt: int
    step_id: int
    started_at: float = 0.0
    ended_at: float = 0.0
    exit_code: int = 0
    exit_signal: int = 0
    reason: str = ""
    reason_text: str = ""
    usage: Usage = Usage()
    tails: tuple[StreamTail, ...] = ()
    is_node_clean: bool = False


class NodeClean(Message, frozen=True, kw_only=True):
    """Nothing of this attempt of the job is left on the node; problem: why the node should be drained, empty if not."""

    node: str
    job_id: int
    attempt: int
    problem: str = ""


class NodePrepared(Message, frozen=True, kw_only=True):
    """The prolog of a job has ended on the node; problem: why it failed, empty if it did not."""

    node: str
    job_id: int
    attempt: int
    problem: str = ""


class NodeTrouble(Message, frozen=True, kw_only=True):
    """Why no work should come to the node while it lasts; reason empty: the cause is gone."""

    node: str
    cause: str
    reason: str = ""


class Report(Message, frozen=True, kw_only=True):
    """What happened on the agent's nodes, in order; the reply Done means it is committed.  Repeats change nothing."""

    #: Steps that the agent manages, as they stand.
    steps: tuple[Step, ...] = ()
    results: tuple[StepResult, ...] = ()
    clean: tuple[NodeClean, ...] = ()
    #: (node, reason): set the node to drain.
    drains: tuple[tuple[str, str], ...] = ()
    prepared: tuple[NodePrepared, ...] = ()
    troubles: tuple[NodeTrouble, ...] = ()
