"""--uid and --gid: root submits for somebody, and what runs on either side is that user's."""

import grp
import os
import pwd
from collections.abc import Iterator

import pytest

from sluice.testing import LocalCluster

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may name another user")

_WHO = ("sh", "-c", "echo $(id -u):$(id -g):$(id -G)")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=1) as running:
        yield running


@pytest.fixture(scope="module")
def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _last_user(cluster: LocalCluster) -> str:
    return cluster.run("squeue", "-h", "-t", "all", "-S", "-i", "-o", "%u").stdout.split()[0]


@pytest.mark.parametrize("command", ["salloc", "srun"])
def test_tasks_and_commands_are_the_users(cluster: LocalCluster, nobody: pwd.struct_passwd, command: str) -> None:
    done = cluster.run(command, "-n1", f"--uid={nobody.pw_name}", *_WHO)

    assert done.stdout == f"{nobody.pw_uid}:{nobody.pw_gid}:{nobody.pw_gid}\n"
    assert _last_user(cluster) == "nobody"


@pytest.mark.parametrize("command", ["salloc", "srun"])
def test_the_group_alone(cluster: LocalCluster, command: str) -> None:
    group = grp.getgrnam("daemon")
    done = cluster.run(command, "-n1", f"--gid={group.gr_name}", "sh", "-c", "id -u; id -g")

    assert done.stdout == f"0\n{group.gr_gid}\n"


def test_no_step_in_an_allocation_of_somebody_else(cluster: LocalCluster) -> None:
    done = cluster.run("salloc", "-n1", "srun", "--uid=nobody", "-n1", "true", check=False)

    assert done.returncode == 1
    assert "Unable to create step for job" in done.stderr
