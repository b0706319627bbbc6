"""Directories of a step's own: which paths show through, and that the host sees nothing."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluiced.steps import private_dirs
from sluiced.steps.fork import fork
from sluiced.steps.private_dirs import Cover, are_wanted, plan_covers
from sluiced.steps.user import User, load_user

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


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that everybody can get to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


@needs_root
def test_what_the_user_cannot_get_to_does_not_show_through_a_link(open_folder: Path) -> None:
    """A mount made by root leads past every folder on the way."""
    covered, temp_dir, secret = open_folder / "covered", open_folder / "temp", open_folder / "secret"
    for folder, mode in ((covered, 0o777), (temp_dir, 0o777), (secret, 0o700), (secret / "inside", 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    (covered / "link").symlink_to(secret / "inside")
    (covered / "own").mkdir()
    user = User(65534, 65534, "nobody", (65534,), "/", "/bin/sh")

    namespace = private_dirs.make_namespace([Cover(str(covered), str(temp_dir / "new"), ("link", "own"))], user)

    os.close(namespace)
    assert sorted(path.name for path in (temp_dir / "new").iterdir()) == ["own"]
    assert ((temp_dir / "new").stat().st_uid, (temp_dir / "new" / "own").stat().st_uid) == (65534, 65534)


@needs_root
def test_root_makes_nothing_at_the_end_of_a_link_of_the_user(open_folder: Path) -> None:
    """Whoever owns the step's folder can put links where its parts are to be."""
    covered, temp_dir, target = open_folder / "covered", open_folder / "temp", open_folder / "target"
    for folder in (covered, temp_dir):
        folder.mkdir()
        folder.chmod(0o777)
    target.mkdir()
    (temp_dir / "new").symlink_to(target)

    with pytest.raises(FileExistsError):
        private_dirs.make_namespace(
            [Cover(str(covered), str(temp_dir / "new"), ())], User(65534, 65534, "nobody", (65534,), "/", "/bin/sh")
        )
    assert target.stat().st_uid == 0
