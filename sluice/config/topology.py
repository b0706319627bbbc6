"""A node's CPUs against its boards, sockets, cores and threads: what is not written follows from the rest.

CPUs are threads, cores or sockets, as Slurm has it: CPUs=8 on one socket of 8 cores with 2 threads each
schedules cores.  Numbers that fit none of the three are refused; Slurm would quietly change CPUs.
"""

from __future__ import annotations

from collections.abc import Mapping

TOPOLOGY_FIELDS = ("cpus", "boards", "sockets", "sockets_per_board", "cores_per_socket", "threads_per_core")


def derive_topology(given: Mapping[str, int]) -> dict[str, int]:
    """Return cpus, boards, sockets, cores_per_socket and threads_per_core of a node.

    given: the fields of TOPOLOGY_FIELDS that were written; sockets is per board when boards is written.
    Raises ValueError with the numbers if they contradict each other.
    """
    if "sockets" in given and "sockets_per_board" in given:
        raise ValueError("Sockets and SocketsPerBoard exclude each other")
    boards = given.get("boards", 1)
    cores = given.get("cores_per_socket", 1)
    threads = given.get("threads_per_core", 1)
    per_board = given.get("sockets", given.get("sockets_per_board"))
    cpus = given.get("cpus")
    if per_board is None and cpus is not None:
        per_board = max(1, cpus // (boards * cores * threads))
    sockets = boards * (per_board or 1)
    if cpus is None:
        cpus = sockets * cores * threads
    if cpus not in (sockets, sockets * cores, sockets * cores * threads):
        raise ValueError(
            f"CPUs={cpus} fits neither {sockets} sockets, nor {sockets} x {cores} cores = {sockets * cores}, "
            f"nor those x {threads} threads = {sockets * cores * threads}"
        )
    return {
        "cpus": cpus,
        "boards": boards,
        "sockets": sockets,
        "cores_per_socket": cores,
        "threads_per_core": threads,
    }
