"""getopt reads command lines as GNU getopt_long does, errors included."""

import pytest

from sluice_cli.getopt import NEXT_WORD, OPTIONAL, REQUIRED, Option, OptionTable, UsageError


def make_table(stops_at_positional: bool = False) -> OptionTable:
    return OptionTable(
        Option("array", "a", REQUIRED),
        Option("noheader", "h"),
        Option("format", "o", REQUIRED),
        Option("no-kill", "k", OPTIONAL),
        Option("no-requeue"),
        Option("nodes", "N", REQUIRED),
        Option("ntasks-per-node tasks-per-node", argument=REQUIRED),
        Option("cluster clusters", "M", REQUIRED),
        Option("time", "t", REQUIRED),
        Option("time-min", argument=REQUIRED),
        Option("user", "u", REQUIRED),
        Option("json", argument=OPTIONAL),
        Option("jobs", "j", NEXT_WORD),
        Option("steps", "s", NEXT_WORD),
        stops_at_positional=stops_at_positional,
    )


@pytest.mark.parametrize(
    ("words", "found", "positionals"),
    [
        pytest.param(["-aho", "%F"], [("array", "ho")], ["%F"], id="a required value is the rest of the word"),
        pytest.param(
            ["-ho", "%F/%C"], [("noheader", None), ("format", "%F/%C")], [], id="the last of a cluster takes it"
        ),
        pytest.param(["-ualice"], [("user", "alice")], [], id="an attached value"),
        pytest.param(
            ["--nodes=3", "--nodes", "4"], [("nodes", "3"), ("nodes", "4")], [], id="both spellings, repeated"
        ),
        pytest.param(["--clu=a"], [("cluster", "a")], [], id="an abbreviation of two names of one option"),
        pytest.param(["--time", "5"], [("time", "5")], [], id="an exact name wins over a longer one"),
        pytest.param(["--tasks", "2"], [("ntasks-per-node", "2")], [], id="an alias is found under the first name"),
        pytest.param(["--json", "v1"], [("json", None)], ["v1"], id="an optional value is not the next word"),
        pytest.param(["--json=v1"], [("json", "v1")], [], id="an optional value after ="),
        pytest.param(["--json="], [("json", "")], [], id="an empty optional value"),
        pytest.param(["-koff"], [("no-kill", "off")], [], id="an optional value in the word"),
        pytest.param(["-k", "off"], [("no-kill", None)], ["off"], id="a letter's optional value is not the next word"),
        pytest.param(["-s", "-j", "7"], [("steps", None), ("jobs", "7")], [], id="the next word is whose it follows"),
        pytest.param(["--steps", "5.0", "-j"], [("steps", "5.0"), ("jobs", None)], [], id="none is left for the last"),
        pytest.param(["7", "-h", "8"], [("noheader", None)], ["7", "8"], id="options after positionals"),
        pytest.param(["-h", "--", "-h"], [("noheader", None)], ["-h"], id="two dashes end the options"),
        pytest.param(["-", "-h"], [("noheader", None)], ["-"], id="a dash is a positional"),
        pytest.param(["--format", "--time"], [("format", "--time")], [], id="a required value may look like an option"),
        pytest.param(["-t", "-1"], [("time", "-1")], [], id="a negative value"),
        pytest.param(["--format="], [("format", "")], [], id="an empty value"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_words_are_read_as_getopt_reads_them(words, found, positionals):
    assert make_table().parse(words) == (found, positionals)


def test_a_launcher_stops_at_its_program():
    found, positionals = make_table(stops_at_positional=True).parse(["-h", "prog", "-h", "--", "x"])

    assert found == [("noheader", None)]
    assert positionals == ["prog", "-h", "--", "x"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--bogus=3"], "unrecognized option '--bogus=3'"),
        (["-hZ"], "invalid option -- 'Z'"),
        (["--format"], "option '--format' requires an argument"),
        (["--form"], "option '--format' requires an argument"),
        (["--tasks"], "option '--tasks-per-node' requires an argument"),
        (["-ho"], "option requires an argument -- 'o'"),
        (["--noh=3"], "option '--noheader' doesn't allow an argument"),
        (["--no-=3"], "option '--no-=3' is ambiguous; possibilities: '--no-kill' '--no-requeue'"),
        (["--=3"], "unrecognized option '--=3'"),
    ],
)
def test_refusals_have_getopts_text(words, text):
    with pytest.raises(UsageError) as caught:
        make_table().parse(words)

    assert str(caught.value) == text
