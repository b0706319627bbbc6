"""--x11 on a live cluster: Debian's X clients on the nodes, a real X server (Xvfb) that asks for its cookie here."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.testing import LocalCluster
from tests.waiting import wait_until

_MISSING = [name for name in ("Xvfb", "xauth", "xdpyinfo") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(_MISSING), reason=f"{', '.join(_MISSING)} not installed (tools/x11.sh installs it)"),
]
#: Reached by its socket alone, and as it is although its last client has gone.
_LONELY = ("-nolisten", "tcp", "-noreset")
#: Reached by its socket alone, and as it is although its last client has gone.
_LONELY = ("-nolisten", "tcp", "-noreset")
#: What xdpyinfo tells of our display and of no other.
_SIZE = "dimensions:    808x616 pixels"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2, cpus=4, settings={"PrologFlags": "X11", "KillWait": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a display that opens to its cookie alone."""
    folder = tmp_path_factory.mktemp("x11")
    authority, told = folder / "Xauthority", folder / "display"
    cookie = os.urandom(16).hex()
    authority.touch()
    subprocess.run(["xauth", "-q", "-f", authority, "add", "unix:99", ".", cookie], check=True)
    with told.open("w") as writer:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", "1", "-screen", "0", "808x616x24", "-auth", authority, *_LONELY],
            stdout=writer,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: told.read_text().endswith("\n"), 20)
        number = int(told.read_text())
        subprocess.run(["xauth", "-q", "-f", authority, "add", f"unix:{number}", ".", cookie], check=True)
        yield {"DISPLAY": f":{number}", "XAUTHORITY": str(authority)}
    finally:
        server.terminate()
        server.wait()


def test_clients_on_every_node_show_here(cluster: LocalCluster, display: dict[str, str]) -> None:
    done = cluster.run("srun", "--x11", "-N2", "sh", "-c", "echo $DISPLAY; xdpyinfo | grep dimensions", env=display)

    lines = done.stdout.splitlines()
    assert len([line for line in lines if _SIZE in line]) == 2
    assert len([line for line in lines if line.startswith("localhost:")]) == 2


def test_much_goes_through_it_both_ways(cluster: LocalCluster, display: dict[str, str]) -> None:
    """A picture of the whole screen, many times the size of any buffer on the way."""
    if shutil.which("xwd") is None:
        pytest.skip("xwd is not installed (tools/x11.sh installs it)")
    # The picture alone: the colours before it have padding that xwd leaves as it was.
    picture = "xwd -root -silent | tail -c 1900000 | cksum"
    here = subprocess.run(["sh", "-c", picture], env=os.environ | display, capture_output=True, text=True, check=True)

    done = cluster.run("srun", "--x11", "sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do {picture} & done; wait", env=display)

    assert here.stdout.split()[1] == "1900000"
    assert done.stdout.splitlines() == [here.stdout.strip()] * 8


@pytest.mark.parametrize(("which", "node"), [("first", "n1"), ("last", "n2")])
def test_one_node_can_be_named(cluster: LocalCluster, display: dict[str, str], which: str, node: str) -> None:
    done = cluster.run("srun", f"--x11={which}", "-N2", "sh", "-c", "echo $SLURMD_NODENAME $DISPLAY", env=display)

    assert [line.split()[0] for line in done.stdout.splitlines() if "localhost:" in line] == [node]


def test_the_cookie_is_the_users_alone_and_gone_afterwards(cluster: LocalCluster, display: dict[str, str]) -> None:
    done = cluster.run("srun", "--x11", "sh", "-c", "stat -c '%a %u %n' $XAUTHORITY; xauth list", env=display)

    mode, uid, path = done.stdout.splitlines()[0].split()
    assert (mode, int(uid)) == ("600", os.geteuid())
    wait_until(lambda: not Path(path).exists(), 20)
    of_display = subprocess.run(
        ["xauth", "-q", "list"], env=os.environ | display, capture_output=True, text=True, check=True
    ).stdout
    assert done.stdout.split()[-1] not in of_display


def test_a_wrong_cookie_is_refused(cluster: LocalCluster, display: dict[str, str], tmp_path: Path) -> None:
    """Also that of the display itself: what is not made for the nodes does not open the tunnel."""
    known = subprocess.run(
        ["xauth", "-q", "list", f"unix{display['DISPLAY']}"],
        env=os.environ | display,
        capture_output=True,
        text=True,
        check=True,
    )
    variables = display | {"WRONG": str(tmp_path / "wrong"), "REAL": known.stdout.split()[2]}
    script = "xauth -q -f $WRONG add $DISPLAY . $REAL; XAUTHORITY=$WRONG xdpyinfo"

    done = cluster.run("srun", "--x11", "sh", "-c", script, env=variables, check=False)

    assert done.returncode == 1
    assert "sluice: X11 connection with a wrong cookie refused" in done.stderr
    assert "X11 connection rejected because of wrong authentication." in done.stderr
    assert _SIZE not in done.stdout


def test_no_cookie_is_refused(cluster: LocalCluster, display: dict[str, str]) -> None:
    done = cluster.run("srun", "--x11", "sh", "-c", "XAUTHORITY=/dev/null xdpyinfo", env=display, check=False)

    assert done.returncode == 1
    assert _SIZE not in done.stdout


def test_steps_of_an_allocation_show_on_the_display_of_salloc(cluster: LocalCluster, display: dict[str, str]) -> None:
    """Without a word of their own, and although the environment that they bring names another one."""
    script = "DISPLAY=:77 srun sh -c 'xdpyinfo | grep dimensions'; srun -N1 -n1 -w n2 sh -c 'xdpyinfo | grep dim'"

    done = cluster.run("salloc", "-Q", "--x11", "-N2", "sh", "-c", script, env=display)

    assert done.stdout.count(_SIZE) == 3


def test_the_forwarding_of_an_allocation_ends_with_it(cluster: LocalCluster, display: dict[str, str]) -> None:
    script = "srun sh -c 'echo $DISPLAY $XAUTHORITY'"

    done = cluster.run("salloc", "-Q", "--x11", "sh", "-c", script, env=display)

    name, path = done.stdout.split()
    wait_until(lambda: not Path(path).exists(), 20)
    late = subprocess.run(
        ["xdpyinfo"], env=os.environ | {"DISPLAY": name, "XAUTHORITY": path}, capture_output=True, check=False
    )
    assert late.returncode == 1


def test_a_step_forwards_in_an_allocation_that_does_not(cluster: LocalCluster, display: dict[str, str]) -> None:
    script = "srun sh -c 'echo display=$DISPLAY'; srun --x11 sh -c 'xdpyinfo | grep dimensions'"

    done = cluster.run("salloc", "-Q", "sh", "-c", script, env=display)

    assert done.stdout.splitlines()[0] == f"display={display['DISPLAY']}"
    assert _SIZE in done.stdout


def test_without_a_display_it_is_refused_as_slurm_refuses_it(cluster: LocalCluster) -> None:
    for command in ("srun", "salloc"):
        done = cluster.run(command, "--x11", "true", env={"DISPLAY": ""}, check=False)

        assert done.returncode == 255
        assert done.stderr == f"{command}: error: No DISPLAY variable set, cannot setup x11 forwarding.\n"


@pytest.mark.parametrize(
    ("display", "told"),
    [
        pytest.param(":98", "`xauth -q list unix:98` finds none", id="no cookie"),
        pytest.param("nonsense", "DISPLAY='nonsense' is no display", id="no display"),
    ],
)
def test_a_display_that_cannot_be_opened_is_refused_before_there_is_a_job(
    cluster: LocalCluster, display: str, told: str, tmp_path: Path
) -> None:
    variables = {"DISPLAY": display, "XAUTHORITY": str(tmp_path / "none")}

    done = cluster.run("srun", "--x11", "true", env=variables, check=False)

    assert done.returncode == 255
    assert told in done.stderr


def test_an_unknown_word_is_refused(cluster: LocalCluster) -> None:
    done = cluster.run("srun", "--x11=some", "true", check=False)

    assert done.returncode != 0
    assert "Invalid --x11 specification" in done.stderr


def test_a_cluster_without_the_flag_says_so(display: dict[str, str]) -> None:
    with LocalCluster(nodes=1, settings={"PrologFlags": "Contain"}) as cluster:
        done = cluster.run("srun", "--x11", "true", env=display, check=False)
        jobs = cluster.run("sacct", "-nX").stdout

    assert done.returncode == 255
    assert "PrologFlags in its configuration has no X11" in done.stderr
    assert jobs == ""
