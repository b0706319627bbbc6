"""stdout is data, stderr is talk."""

import os
import subprocess
import sys

import pytest

from sluice_cli import help_text
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable, UsageError
from sluice_cli.talk import Voice, put_standard_answer

IMPORT = "from sluice_cli import talk; "
TABLE = OptionTable(
    Option("array", "a", REQUIRED, "indexes", "job array index values"),
    Option("hold", "H", help="submit job in held state"),
    Option("nice", argument=OPTIONAL, metavar="value", help="decrease scheduling priority"),
    Option("secret"),
    Option("version", "V", help="output version information and exit"),
)


def test_talk_carries_the_programs_name(capfd):
    voice = Voice("sbatch")
    voice.error("Invalid --time specification")
    voice.info("one")
    voice.is_quiet = True
    voice.info("two")
    voice.verbose("three")

    assert capfd.readouterr() == ("", "sbatch: error: Invalid --time specification\nsbatch: one\n")


def test_a_wrong_command_line_points_to_the_help(capfd):
    Voice("sbatch").usage_error(UsageError("unrecognized option '--bogus'"))

    assert capfd.readouterr().err == (
        "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n"
    )


def test_bytes_that_are_no_text_pass_through(capfdbinary):
    Voice("srun").error("x\udcff ü")

    assert capfdbinary.readouterr().err == b"srun: error: x\xff \xc3\xbc\n"


def test_version_is_the_one_that_tools_compare(capfd):
    assert put_standard_answer("sbatch", "version", TABLE, "")
    assert capfd.readouterr().out == "slurm 25.05.0\n"
    assert not put_standard_answer("sbatch", "array", TABLE, "")


def test_help_has_a_line_an_option():
    assert help_text.long_help("sbatch", TABLE, "[OPTIONS] script").split("\n") == [
        "Usage: sbatch [OPTIONS] script",
        "",
        "Options:",
        "  -a, --array=indexes         job array index values",
        "  -H, --hold                  submit job in held state",
        "      --nice[=value]          decrease scheduling priority",
        "  -V, --version               output version information and exit",
        "",
    ]


def test_usage_is_a_paragraph():
    assert help_text.usage("sbatch", TABLE, "[OPTIONS] script") == (
        "Usage: sbatch [-a indexes] [-H] [--nice[=value]] [-V] script\n"
    )


@pytest.mark.parametrize(
    ("done", "line"),
    [
        ("", "-c: error: stdout cannot be written: No space left on device\n"),
        ("job 7 is submitted", "-c: error: job 7 is submitted; stdout cannot be written: No space left on device\n"),
    ],
    ids=["data alone", "something is done already"],
)
def test_data_that_cannot_be_written_end_the_command_with_one_line(done, line):
    with open("/dev/full", "w") as full:
        ended = run_talk(f"talk.put('x', done={done!r})", stdout=full, stderr=subprocess.PIPE)

    assert (ended.returncode, ended.stderr.decode()) == (1, line)


def test_talk_that_cannot_be_said_stops_nothing():
    with open("/dev/full", "w") as full:
        done = run_talk("talk.plain('x'); talk.put('after')", stdout=subprocess.PIPE, stderr=full)

    assert (done.returncode, done.stdout) == (0, b"after")


def test_a_closed_stream_is_the_null_device():
    """The next file that is opened, a socket perhaps, is not taken for it."""
    script = "import os; opened = os.open('/dev/full', os.O_WRONLY); talk.plain('x'); os._exit(opened)"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", f"{IMPORT}{script}"], check=False
    )

    assert done.returncode == 3


def test_data_for_a_closed_stdout_are_no_success():
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'exec "$@" >&-',
            "sh",
            sys.executable,
            "-c",
            f"{IMPORT}talk.put('x', done='job 7 is submitted')",
        ],
        stderr=subprocess.PIPE,
        check=False,
    )

    line = b"-c: error: job 7 is submitted; stdout cannot be written: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_output_waits_where_stdout_is_non_blocking():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([sys.executable, "-c", f"{IMPORT}talk.put('x' * 1000000)"], stdout=writer)
    os.close(writer)
    with open(reader, "rb") as file:
        assert len(file.read()) == 1000000
    assert process.wait(10) == 0


def run_talk(script, **streams):
    return subprocess.run([sys.executable, "-c", IMPORT + script], check=False, **streams)
