"""What the site's programs around a job see (CONTRACT section 3.2, end): the same whoever runs them.

They get none of the submitter's own variables: what a user exports must not reach a program that runs as root.
"""

from __future__ import annotations

from sluice import job_env
from sluice.model.job import Job

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PREFIXES = ("SLURM_JOB_", "SLURM_ARRAY_", "SLURM_GPUS", "SLURM_HET_")
_NAMES = frozenset(
    (
        "SLURM_JOBID",
        "SLURM_NODELIST",
        "SLURM_NNODES",
        "SLURM_CLUSTER_NAME",
        "SLURM_CONF",
        "SLURM_CPUS_ON_NODE",
        "SLURM_RESTART_COUNT",
        "SLURMD_NODENAME",
        "CUDA_VISIBLE_DEVICES",
        "GPU_DEVICE_ORDINAL",
        "ROCR_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK",
    )
)


def job_variables(job: Job, cluster: str, node: str = "") -> dict[str, str]:
    """Return what is known of the job, and of its part of *node* if one is named."""
    # Programs of the site meet the devices as they are, whatever the job's own processes see of them.
    site = job_env.Site(cluster)
    known = job_env.batch_environment(job, node, site, {}) if node else job_env.job_variables(job, site)
    variables = {name: value for name, value in known.items() if name in _NAMES or name.startswith(_PREFIXES)}
    spec = job.spec
    more = {
        "SLURM_JOB_WORK_DIR": spec.work_dir,
        "SLURM_JOB_COMMENT": spec.comment,
        "SLURM_JOB_CONSTRAINTS": spec.features,
        "SLURM_WCKEY": spec.wckey,
    }
    return variables | {name: value for name, value in more.items() if value}


def ended_variables(exit_code: int, exit_signal: int, derived_exit_code: int) -> dict[str, str]:
    """Return what epilogs see beside."""
    return {
        "SLURM_JOB_EXIT_CODE": str(exit_code << 8 | exit_signal),
        "SLURM_JOB_EXIT_CODE2": f"{exit_code}:{exit_signal}",
        "SLURM_JOB_DERIVED_EC": str(derived_exit_code << 8),
    }


def program_environment(variables: dict[str, str], context: str, conf_path: str) -> dict[str, str]:
    """Return the whole environment of a program.  context: its SLURM_SCRIPT_CONTEXT, "prolog_slurmd"."""
    environment = {"PATH": _PATH, **variables, "SLURM_SCRIPT_CONTEXT": context}
    return environment | ({"SLURM_CONF": conf_path} if conf_path else {})
