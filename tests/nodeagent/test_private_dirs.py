"""Directories of a step's own: which paths show through, and that the host sees nothing."""

import os
import signal
from pathlib import Path

import pytest

from sluiced.steps import private_dirs
from sluiced.steps.fork import fork
from sluiced.steps.private_dirs import Cover, are_wanted, plan_covers
from sluiced.steps.user import load_user

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")


@pytest.mark.parametrize(
    ("mpi", "program", "expected"),
    [
        pytest.param("pmi2", "./solver", True, id="a step of MPI"),
        pytest.param("none", "/usr/bin/orted", True, id="mpirun's daemon"),
        pytest.param("none", "hydra_pmi_proxy", True, id="mpiexec's daemon"),
        pytest.param("none", "bash", False, id="anything else"),
        pytest.param("", "true", False, id="no word about MPI"),
    ],
)
def test_who_gets_them(mpi: str, program: str, expected: bool) -> None:
    assert are_wanted(mpi, program) == expected


def test_what_command_and_environment_name_shows_through() -> None:
    covers = plan_covers(
        ["/tmp", "/dev/shm"],
        temp_dir="/tmp/sl1",
        work_dir="/tmp/project/deep",
        paths=["./a.out", "/tmp/data/in", "--quiet", "/usr/bin", "/tmp/tools/bin", "text"],
    )

    assert covers == [Cover("/tmp", "/tmp/sl1/tmp", ("data", "project", "sl1", "tools")), Cover("/dev/shm", "", ())]


def test_the_folder_that_a_step_works_in_is_not_covered() -> None:
    covers = plan_covers(["/tmp", "/dev/shm"], "/tmp/sl1", "/tmp", [])

    assert [cover.path for cover in covers] == ["/dev/shm"]


def test_mpiruns_daemon_sees_all_but_what_is_mpis(tmp_path: Path) -> None:
    """It will be told later what to run; session directories of the other nodes are what it must not meet."""
    for name in ("data", "ompi.host.0", "pmix-12", "sluice.5.0.x"):
        (tmp_path / name).mkdir()

    (cover,) = plan_covers([str(tmp_path)], "/var/sluice.1", "/home", [], program="/usr/bin/orted")

    assert cover.kept == ("data",)


@needs_root
def test_a_namespace_has_new_folders_with_what_is_kept(tmp_path: Path) -> None:
    """What is written to the covered folder stays in its source; the kept entries are the host's own."""
    covered, temp_dir = tmp_path / "covered", tmp_path / "temp"
    (covered / "kept").mkdir(parents=True)
    (covered / "hidden").mkdir()
    (covered / "file").write_text("text")
    temp_dir.mkdir()
    namespace = private_dirs.make_namespace(
        [Cover(str(covered), str(temp_dir / "new"), ("kept", "file", "absent")), Cover("/dev/shm", "", ())],
        load_user(os.getuid(), os.getgid(), ""),
    )

    pid = fork()
    if pid == 0:
        try:
            private_dirs.enter_namespace(namespace)
            found = sorted(os.listdir(covered)), os.listdir("/dev/shm"), (covered / "file").read_text()
            (covered / "own").write_text("private")
            (covered / "kept" / "shared").write_text("seen")
            os._exit(0 if found == (["file", "kept"], [], "text") else 1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(namespace)

    assert os.waitpid(pid, 0)[1] == 0
    assert sorted(os.listdir(covered)) == ["file", "hidden", "kept"]
    assert (covered / "kept" / "shared").read_text() == "seen"
    assert (temp_dir / "new" / "own").read_text() == "private"
