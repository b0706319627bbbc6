"""stdout is data, stderr is talk."""

from sluice_cli import help_text
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable, UsageError
from sluice_cli.talk import Voice, put_standard_answer

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
