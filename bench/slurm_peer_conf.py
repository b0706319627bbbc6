"""The slurm.conf of the benchmark peer, as text.

Everything that could reach outside the peer's folder is named here: paths, ports, addresses.
The `default` profile leaves the scheduler as Slurm ships it.  `tuned` takes the waits out of it, so
that a comparison with it is a fair one: an array of 200 short jobs on 3 nodes of 8 CPUs took 9.3 s by
default (once) and 5.0 to 6.5 s tuned (three runs, two shared cores).  Other settings without the
submission delay came out alike within that noise; `defer` gained nothing.

Source: the slurm.conf manual of release 22.05, and measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: No settling delay after a submission and no minimum between scheduling passes.
TUNED_SCHEDULER = (
    "sched_min_interval=0,batch_sched_delay=0,default_queue_depth=10000,bf_interval=1,bf_max_job_test=10000,bf_continue"
)


@dataclass(frozen=True)
class PeerLayout:
    """Where one peer lives and how big it is."""

    folder: Path
    host: str
    controller_port: int
    port_by_node: dict[str, int]
    cpus: int
    memory_mib: int
    is_tuned: bool
    node_options: str


def render_slurm_conf(layout: PeerLayout, extra_lines: tuple[str, ...], partition_lines: tuple[str, ...]) -> str:
    """Return the text of slurm.conf; partition_lines, when given, replace the default partition."""
    partitions = partition_lines or ("PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP",)
    scheduler = (f"SchedulerParameters={TUNED_SCHEDULER}",) if layout.is_tuned else ()
    lines = (*_base_lines(layout), *scheduler, *extra_lines, *_node_lines(layout), *partitions)
    return "\n".join(lines) + "\n"


def _base_lines(layout: PeerLayout) -> list[str]:
    folder = layout.folder
    return [
        "ClusterName=peer",
        f"SlurmctldHost={layout.host}(127.0.0.1)",
        f"SlurmctldPort={layout.controller_port}",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge/munge.socket",
        # Daemons and srun listen on the address of the host name alone, which is a loopback one.
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool-%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd-%n.log",
        # Nothing below may use a cgroup: the machine's own are not ours to change.
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "JobCompType=jobcomp/none",
        "MpiDefault=none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "SlurmdParameters=config_overrides",
        # Without this a job that asks for no memory takes all of a node's.
        f"DefMemPerCPU={layout.memory_mib // layout.cpus}",
        "ReturnToService=2",
        "MaxJobCount=200000",
        "MaxArraySize=100001",
    ]


def _node_lines(layout: PeerLayout) -> list[str]:
    size = f"CPUs={layout.cpus} RealMemory={layout.memory_mib} State=UNKNOWN {layout.node_options}".rstrip()
    return [
        f"NodeName={name} NodeHostname={layout.host} NodeAddr=127.0.0.1 Port={port} {size}"
        for name, port in layout.port_by_node.items()
    ]
