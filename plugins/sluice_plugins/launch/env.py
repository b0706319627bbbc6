"""--launch=env: every task finds its rank and a meeting point in the variables that frameworks read.

RANK and the like are torch.distributed's (env://); Horovod's, Lightning's and JAX's own are read from SLURM_*.
"""

from collections.abc import Sequence

from sluice_plugins.interfaces import JobService


def service_variables(service: JobService) -> dict[str, str]:
    """Return the job service as variables: the same under every launcher."""
    return {
        "SLUICE_ROLE": "head" if service.node_rank == 0 else "worker",
        "SLUICE_HEAD": service.head.address,
        "SLUICE_PEERS": ",".join(peer.address for peer in service.peers),
        "SLUICE_PORTS": f"{service.ports[0]}-{service.ports[-1]}" if service.ports else "",
        "SLUICE_CPUS": str(service.cpus),
        "SLUICE_MEMORY_MIB": str(service.memory_mib),
        "SLUICE_GPUS": ",".join(map(str, service.gpus)),
        "SLUICE_TMPDIR": service.temp_dir,
        "TMPDIR": service.temp_dir,
    }


class Environment:
    is_per_node = False

    def variables(self, service: JobService) -> dict[str, str]:
        return service_variables(service) | {
            "RANK": str(service.rank),
            "WORLD_SIZE": str(service.size),
            "LOCAL_RANK": str(service.local_rank),
            "LOCAL_WORLD_SIZE": str(service.local_size),
            "GROUP_RANK": str(service.node_rank),
            "GROUP_WORLD_SIZE": str(len(service.peers)),
            "NODE_RANK": str(service.node_rank),
            "MASTER_ADDR": service.head.address,
            "MASTER_PORT": str(service.meeting_port),
        }

    def command(self, service: JobService, argv: Sequence[str]) -> tuple[str, ...]:
        return tuple(argv)
