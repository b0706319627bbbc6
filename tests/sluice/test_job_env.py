"""The environments of jobs and tasks, against recordings of the real thing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sluice import job_env
from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec, StepSpec
from sluice.model.step import Step, StepNode

_SITE = job_env.Site("anchor", "/var/lib/slurm/slurm.conf", "127.0.0.1:6817")

#: Recorded: sbatch -N2 -n3 -a 7 by root in /home/user, the batch script's `env | grep ^SLURM`.
BATCH = """
SLURMD_NODENAME=n2 SLURM_ARRAY_JOB_ID=54 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MAX=7
SLURM_ARRAY_TASK_MIN=7 SLURM_ARRAY_TASK_STEP=1 SLURM_CLUSTER_NAME=anchor SLURM_CONF=/var/lib/slurm/slurm.conf
SLURM_CPUS_ON_NODE=2 SLURM_GTIDS=0 SLURM_JOBID=54 SLURM_JOB_ACCOUNT=root SLURM_JOB_CPUS_PER_NODE=2,1 SLURM_JOB_GID=0
SLURM_JOB_ID=54 SLURM_JOB_NAME=wrap SLURM_JOB_NODELIST=n[2-3] SLURM_JOB_NUM_NODES=2 SLURM_JOB_PARTITION=batch
SLURM_JOB_QOS=normal SLURM_JOB_UID=0 SLURM_JOB_USER=root SLURM_LOCALID=0 SLURM_NNODES=2 SLURM_NODEID=0
SLURM_NODELIST=n[2-3] SLURM_NODE_ALIASES=(null) SLURM_NPROCS=3 SLURM_NTASKS=3 SLURM_PRIO_PROCESS=0 SLURM_PROCID=0
SLURM_SUBMIT_DIR=/home/user SLURM_SUBMIT_HOST=vm SLURM_TASKS_PER_NODE=2,1 SLURM_TOPOLOGY_ADDR=n2
SLURM_TOPOLOGY_ADDR_PATTERN=node SLURM_WORKING_CLUSTER=anchor:127.0.0.1:6817:9728:109
"""

#: Recorded: srun -N2 -n2 env by root in /home/user, second task; srun's own addresses and the pid left out.
TASK = """
SLURMD_NODENAME=n3 SLURM_CLUSTER_NAME=anchor SLURM_CONF=/var/lib/slurm/slurm.conf SLURM_CPUS_ON_NODE=1 SLURM_GTIDS=1
SLURM_JOBID=55 SLURM_JOB_ACCOUNT=root SLURM_JOB_CPUS_PER_NODE=1(x2) SLURM_JOB_GID=0 SLURM_JOB_ID=55 SLURM_JOB_NAME=env
SLURM_JOB_NODELIST=n[2-3] SLURM_JOB_NUM_NODES=2 SLURM_JOB_PARTITION=batch SLURM_JOB_QOS=normal SLURM_JOB_UID=0
SLURM_JOB_USER=root SLURM_LOCALID=0 SLURM_NNODES=2 SLURM_NODEID=1 SLURM_NODELIST=n[2-3] SLURM_NPROCS=2 SLURM_NTASKS=2
SLURM_PRIO_PROCESS=0 SLURM_PROCID=1 SLURM_STEPID=0 SLURM_STEP_ID=0 SLURM_STEP_NODELIST=n[2-3] SLURM_STEP_NUM_NODES=2
SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=1(x2) SLURM_SUBMIT_DIR=/home/user SLURM_SUBMIT_HOST=vm
SLURM_TASKS_PER_NODE=1(x2) SLURM_TOPOLOGY_ADDR=n3 SLURM_TOPOLOGY_ADDR_PATTERN=node
SLURM_WORKING_CLUSTER=anchor:127.0.0.1:6817:9728:109
"""


def _parse(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split())


def _job(*cpu_counts: int, **fields: Any) -> Job:
    spec: dict[str, Any] = {
        "name": "wrap",
        "uid": 0,
        "gid": 0,
        "user": "root",
        "account": "root",
        "qos": "normal",
        "work_dir": "/home/user",
        "submit_host": "vm",
    }
    grants = tuple(
        NodeGrant(node=f"n{number}", cpus="0", cpu_count=count) for number, count in enumerate(cpu_counts, start=2)
    )
    allocation = Allocation(grants=grants, tasks_per_node=cpu_counts)
    return Job(id=54, spec=JobSpec(**spec | fields), partition="batch", allocation=allocation)


def test_the_batch_environment_is_the_recorded_one() -> None:
    job = _job(2, 1, ntasks=3, min_nodes=2, given=frozenset({"ntasks", "nodes", "array"}), array=((7, 7, 1),))
    job = replace(job, array_job_id=54, array_task_id=7)

    environment = job_env.batch_environment(job, "n2", _SITE, {})

    assert {name: value for name, value in environment.items() if name.startswith("SLURM")} == _parse(BATCH)
    others = {name: value for name, value in environment.items() if not name.startswith("SLURM")}
    assert others == {"ENVIRONMENT": "BATCH", "HOSTNAME": "n2", "TMPDIR": "/tmp"}


def test_the_task_environment_is_the_recorded_one() -> None:
    job = replace(_job(1, 1, name="env", ntasks=2), id=55)
    parts = (
        StepNode(node="n2", ntasks=1, ranks="0", cpu_count=1),
        StepNode(node="n3", ntasks=1, ranks="1", cpu_count=1),
    )
    step = Step(job_id=55, step_id=0, spec=StepSpec(name="env"), nodes=parts)

    environment = job_env.task_environment(job, step, parts[1], 1, 0, _SITE, {})

    assert environment == _parse(TASK)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, {"SLURM_NTASKS": None, "SLURM_CPUS_PER_TASK": None}, id="nothing given"),
        pytest.param(
            {"ntasks": 4, "given": frozenset({"ntasks"})}, {"SLURM_NTASKS": "4", "SLURM_NPROCS": "4"}, id="-n"
        ),
        pytest.param(
            {"cpus_per_task": 3, "given": frozenset({"cpus-per-task"})}, {"SLURM_CPUS_PER_TASK": "3"}, id="-c"
        ),
        pytest.param(
            {"memory_per_node_mib": 500}, {"SLURM_MEM_PER_NODE": "500", "SLURM_MEM_PER_CPU": None}, id="memory a node"
        ),
        pytest.param({"memory_per_cpu_mib": 100}, {"SLURM_MEM_PER_CPU": "100"}, id="memory a CPU"),
        pytest.param(
            {"export": "ALL,BAZ=z", "given": frozenset({"export"})}, {"SLURM_EXPORT_ENV": "ALL,BAZ=z"}, id="--export"
        ),
    ],
)
def test_variables_that_depend_on_what_was_asked(fields: dict[str, Any], expected: dict[str, str | None]) -> None:
    environment = job_env.batch_environment(_job(1, **fields), "n2", _SITE, {})

    assert {name: environment.get(name) for name in expected} == expected


def test_a_requeued_job_counts_its_restarts() -> None:
    environment = job_env.batch_environment(replace(_job(1), attempt=2), "n2", _SITE, {})

    assert environment["SLURM_RESTART_COUNT"] == "2"


def test_an_array_knows_its_range() -> None:
    job = replace(_job(1, array=((1, 9, 2), (20, 20, 1))), array_job_id=50, array_task_id=3)

    environment = job_env.batch_environment(job, "n2", _SITE, {})

    names = ("COUNT", "MIN", "MAX", "STEP", "ID")
    assert [environment[f"SLURM_ARRAY_TASK_{name}"] for name in names] == ["6", "1", "20", "1", "3"]


def test_a_job_is_told_the_numbers_of_its_gpus() -> None:
    job = _job(1)
    assert job.allocation is not None
    gres = (GresGrant(name="gpu", units="1,3", count=2), GresGrant(name="shard", units="4-6", count=3))
    grant = replace(job.allocation.grants[0], gres=gres)
    job = replace(job, allocation=Allocation(grants=(grant,)))

    environment = job_env.batch_environment(job, "n2", job_env.Site("anchor"), {})

    assert (environment["SLURM_JOB_GPUS"], environment["SLURM_GPUS_ON_NODE"]) == ("1,3", "2")
    assert environment["SLURM_SHARDS_ON_NODE"] == "3"


def test_nothing_of_an_outer_job_shines_through() -> None:
    outer = {
        "SLURM_STEP_ID": "3",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_NTASKS": "9",
        "HOME": "/root",
        "TMPDIR": "/x",
    }

    environment = job_env.batch_environment(_job(1), "n2", _SITE, outer)

    assert not {"SLURM_STEP_ID", "SLURM_ARRAY_TASK_ID", "SLURM_NTASKS"} & environment.keys()
    assert (environment["HOME"], environment["TMPDIR"]) == ("/root", "/x")


def test_the_submitting_command_knows_where_it_was() -> None:
    environment = job_env.batch_environment(_job(1), "n2", _SITE, {"SLURM_SUBMIT_DIR": "/elsewhere"})

    assert environment["SLURM_SUBMIT_DIR"] == "/elsewhere"


def test_an_allocation_has_no_task_variables() -> None:
    environment = job_env.allocation_environment(_job(2, 2), _SITE)

    assert environment["SLURM_JOB_NODELIST"] == "n[2-3]"
    assert not {"SLURM_PROCID", "SLURM_NODEID", "SLURMD_NODENAME", "SLURM_JOB_UID"} & environment.keys()


def test_bytes_that_are_no_text_survive() -> None:
    assert job_env.read_environment((b"A=\xff", b"B=x=y"))["A"].encode("utf-8", "surrogateescape") == b"\xff"


def test_a_node_knows_its_way_from_the_top_of_the_network() -> None:
    """As recorded from Slurm 22.05 on a tree of three levels."""
    site = job_env.Site("anchor", topology_addresses={"n2": ("top..s3.n2", "switch.switch.switch.node")})

    environment = job_env.batch_environment(_job(1), "n2", site, {})

    assert environment["SLURM_TOPOLOGY_ADDR"] == "top..s3.n2"
    assert environment["SLURM_TOPOLOGY_ADDR_PATTERN"] == "switch.switch.switch.node"


#: Recorded from 22.05: what its script's environment says of both components; names that it has from before 20.02,
#: with PACK for HET, left out.
HET = """
SLURM_HET_SIZE=2 SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0=1 SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1=3 SLURM_JOB_ID_HET_GROUP_0=1
SLURM_JOB_ID_HET_GROUP_1=2 SLURM_JOB_NAME_HET_GROUP_0=wrap SLURM_JOB_NAME_HET_GROUP_1=wrap
SLURM_JOB_NODELIST_HET_GROUP_0=n2 SLURM_JOB_NODELIST_HET_GROUP_1=n2 SLURM_JOB_NUM_NODES_HET_GROUP_0=1
SLURM_JOB_NUM_NODES_HET_GROUP_1=1 SLURM_JOB_PARTITION_HET_GROUP_0=batch SLURM_JOB_PARTITION_HET_GROUP_1=batch
SLURM_NNODES_HET_GROUP_0=1 SLURM_NNODES_HET_GROUP_1=1 SLURM_NODELIST_HET_GROUP_0=n2 SLURM_NODELIST_HET_GROUP_1=n2
SLURM_NPROCS_HET_GROUP_0=1 SLURM_NPROCS_HET_GROUP_1=3 SLURM_NTASKS_HET_GROUP_0=1 SLURM_NTASKS_HET_GROUP_1=3
SLURM_TASKS_PER_NODE_HET_GROUP_0=1 SLURM_TASKS_PER_NODE_HET_GROUP_1=3
"""


def test_each_component_of_a_heterogeneous_job_is_described_to_all() -> None:
    place: dict[str, Any] = {"het_job_id": 1, "het_size": 2}
    parts = []
    for offset, ntasks in enumerate((1, 3)):
        job = _job(ntasks, ntasks=ntasks, given=frozenset({"ntasks"}))
        assert job.allocation is not None
        whole = replace(job.allocation, tasks_per_node=(ntasks,))
        parts.append(replace(job, id=1 + offset, allocation=whole, het_offset=offset, **place))
    leader = replace(parts[0], components=tuple(parts))
    outer = {"SLURM_HET_SIZE": "9", "SLURM_JOB_ID_HET_GROUP_8": "77"}

    seen = job_env.batch_environment(leader, "n2", _SITE, outer)

    told = {name: value for name, value in seen.items() if "_HET_" in name}
    expected = _parse(HET)
    assert {name: told.get(name) for name in expected} == expected
    assert "SLURM_JOB_ID_HET_GROUP_8" not in seen, "an outer job's"
    assert seen["SLURM_JOB_ID"] == "1"
