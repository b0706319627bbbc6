"""--launch=torchrun: one torchrun a node, which starts as many workers as the step has tasks there (or GPUs).

The rendezvous is at the head's address and the first leased port.  Who hosts it is said outright: torchrun's own guess
compares host names, and falls back to localhost where they do not match.

    srun -N2 --ntasks-per-node=4 --launch=torchrun train.py --epochs 3
    srun -N2 --gpus-per-node=8 --launch=torchrun python3 train.py        with that interpreter
    srun -N2 --launch=torchrun ./train                                   any program
"""

from collections.abc import Sequence

from sluice_plugins.interfaces import JobService
from sluice_plugins.launch.env import service_variables


class Torchrun:
    is_per_node = True
    missing_hint = (
        "--launch=torchrun starts torchrun, which comes with PyTorch: activate its environment before srun, or name "
        "its interpreter (srun --launch=torchrun /path/to/python train.py); --launch=env needs no torchrun"
    )

    def variables(self, service: JobService) -> dict[str, str]:
        return service_variables(service)

    def command(self, service: JobService, argv: Sequence[str]) -> tuple[str, ...]:
        options = (
            f"--nnodes={len(service.peers)}",
            f"--nproc-per-node={_workers(service)}",
            "--rdzv-backend=c10d",
            f"--rdzv-id={service.job_id}.{service.step_id}.{service.restart_count}",
            f"--rdzv-endpoint={service.head.address}:{service.meeting_port}",
            f"--rdzv-conf=is_host={1 if service.node_rank == 0 else 0}",
            f"--local-addr={service.peers[service.node_rank].address}",
        )
        program = argv[0].rpartition("/")[2]
        if program.startswith("python") and len(argv) > 1 and not argv[1].startswith("-"):
            return (argv[0], "-m", "torch.distributed.run", *options, *argv[1:])
        if program.endswith(".py"):
            return ("torchrun", *options, *argv)
        return ("torchrun", *options, "--no-python", *argv)


def _workers(service: JobService) -> int:
    """A node's tasks where there are several; with one task, a worker for each GPU."""
    return len(service.gpus) if service.gpus and service.local_size == 1 else service.local_size
