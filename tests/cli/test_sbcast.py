"""sbcast's and srun --bcast's words: options, refusals, shared objects, paths."""

from __future__ import annotations

import pytest

from sluice_cli import sbcast, shared_objects
from sluice_cli.srun_bcast import with_library_path

_LDD = """\
	linux-vdso.so.1 (0x00007ffd0a5f2000)
	libone.so.1 => /opt/site/lib/libone.so.1 (0x00007f3f3a400000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f3f3a200000)
	libgone.so => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f3f3a4c7000)
"""


def test_what_ldd_finds_is_taken() -> None:
    assert shared_objects.parse(_LDD) == ["/opt/site/lib/libone.so.1", "/lib/x86_64-linux-gnu/libc.so.6"]


def test_folders_are_excluded_by_whole_names() -> None:
    found = shared_objects.of_program("/bin/ls", ["/li", "/lib64x"])

    assert any(path.rpartition("/")[2] == "libc.so.6" for path in found)
    assert not shared_objects.of_program("/bin/ls", ["/lib", "/usr/lib", "/lib64", "/usr/lib64"])


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        pytest.param(["a"], "Need two file names, have 1 names", 1, id="one name"),
        pytest.param(["-j7", "/no/such", "b"], "sbcast: error: Can't open `/no/such`: No such file", 255, id="no file"),
        pytest.param(["/etc/passwd", "b"], "sbcast: error: Need a job id to run this command.", 1, id="no job"),
        pytest.param(["-Z", "a", "b"], "--no-allocate: files are sent within a job only", 1, id="outside of a job"),
        pytest.param(["-Clzma", "a", "b"], "--compress=lzma: known are zlib and none", 1, id="unknown compression"),
        pytest.param(["-Fx", "a", "b"], "--fanout=x: a number is expected", 1, id="no number"),
    ],
)
def test_refusals(words, text, status, monkeypatch, capfd):
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        monkeypatch.delenv(name, raising=False)

    assert sbcast.main(words) == status
    assert text in capfd.readouterr().err


def test_the_environment_gives_what_the_command_line_does_not() -> None:
    variables = {"SBCAST_FORCE": "", "SBCAST_SIZE": "4096", "SBCAST_SEND_LIBS": "no", "SBCAST_EXCLUDE": "/opt,/srv"}
    manner = sbcast.read_manner({**sbcast._from_environment(variables), "size": "1m"})

    assert (manner.is_forced, manner.block, manner.sends_libraries) == (True, 1024 * 1024, False)
    assert manner.excluded == ("/opt", "/srv")


def test_the_library_path_goes_before_the_users_own() -> None:
    variables = [b"A=1", b"LD_LIBRARY_PATH=/own"]

    assert with_library_path(variables, b"/libs") == [b"A=1", b"LD_LIBRARY_PATH=/libs:/own"]
    assert with_library_path([], b"/libs") == [b"LD_LIBRARY_PATH=/libs"]
