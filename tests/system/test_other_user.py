"""--uid and --gid: root submits for somebody, and what runs on either side is that user's."""

import grp
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.system.terminal import Terminal

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


#: srun from an installation that is out of everybody's reach but root's.
_PRIVATE = """
import sys
from sluice_cli import other_user, srun

class Private:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"{name} is out of reach")

def become(*arguments):
    become_user(*arguments)
    sys.meta_path.insert(0, Private())

become_user = other_user.become
other_user.become = become
sys.exit(srun.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("-n2", "-l", "id", "-u"), id="labelled"),
        pytest.param(("-n2", "--mpi=pmi2", "--bcast=%f/id", "--compress", "id", "-u"), id="broadcast"),
        pytest.param(("-n2", "--bcast=%f/id2", "--send-libs", "id", "-u"), id="with libraries"),
        pytest.param(("-n1", "id", "-u", ":", "-n1", "id", "-u"), id="two components"),
        pytest.param(("-n2", "--multi-prog", "%f/programs"), id="several programs"),
    ],
)
def test_an_installation_may_be_out_of_the_users_reach(
    cluster: LocalCluster, nobody: pwd.struct_passwd, words: tuple[str, ...]
) -> None:
    folder = Path(cluster.folder) / "open"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    (folder / "programs").write_text("0-1 id -u\n")
    command = [word.replace("%f", str(folder)) for word in words]
    done = cluster.run(sys.executable, "-c", _PRIVATE, f"--uid={nobody.pw_name}", *command)

    assert {line.rpartition(" ")[2] for line in done.stdout.splitlines()} == {str(nobody.pw_uid)}
    assert len(done.stdout.splitlines()) == 2


def test_a_terminal_too(cluster: LocalCluster, nobody: pwd.struct_passwd) -> None:
    with Terminal(cluster, sys.executable, "-c", _PRIVATE, f"--uid={nobody.pw_name}", "--pty", "id", "-u") as terminal:
        terminal.wait_said(f"{nobody.pw_uid}\r\n")
