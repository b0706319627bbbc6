"""sbatch refuses what the recorded one refuses, in its words and with its exit status.

Nothing here may reach a controller: there is none.
"""

import os

import pytest

from sluice.errors import InvalidRequest
from sluice_cli import client
from sluice_cli.draft import Draft, OptionError
from sluice_cli.expected import EXPECTED, MAIL_TYPES
from sluice_cli.options import ROWS
from sluice_cli.sbatch import main

WRAP = ["-J", "badcase", "--wrap", "true"]
TRY = 'Try "sbatch --help" for more information'


@pytest.fixture(autouse=True)
def no_patience(dead_cluster, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_S", 0.0)
    monkeypatch.chdir(dead_cluster)


def error(*lines):
    return "".join(f"sbatch: error: {line}\n" for line in lines)


INVALID_TIME = (
    "Invalid --time specification: {!r}, expected minutes, minutes:seconds, hours:minutes:seconds, days-hours, "
    "days-hours:minutes, days-hours:minutes:seconds or UNLIMITED"
)
NICE = "expected a whole number after the =, or the option alone for 100"
NOT_A_SCRIPT = error(
    "This does not look like a batch script.  The first",
    "line must start with #! followed by the path to an interpreter.",
    "For instance: #!/bin/sh",
)


@pytest.mark.parametrize(
    ("content", "stderr", "status"),
    [
        pytest.param(
            b"#!/bin/sh\r\ntrue\r\n",
            error("Batch script contains DOS line breaks (\\r\\n)", "instead of expected UNIX line breaks (\\n)."),
            1,
            id="carriage returns",
        ),
        pytest.param(b"echo x\n", NOT_A_SCRIPT, 1, id="no interpreter line"),
        pytest.param(b"", error("Batch script is empty!"), 1, id="empty"),
        pytest.param(b"\x7fELF\0\0", NOT_A_SCRIPT, 1, id="a binary"),
        pytest.param(
            b"#!/bin/sh\n#SBATCH --bogus-option=3\n",
            error("b.sh: line 2: #SBATCH --bogus-option=3")
            + f"sbatch: unrecognized option '--bogus-option=3'\n{TRY}\n",
            255,
            id="unknown option in a directive",
        ),
        pytest.param(
            b"#!/bin/sh\n#SBATCH -t abc\n",
            error("b.sh: line 2: #SBATCH -t abc", INVALID_TIME.format("abc")),
            255,
            id="bad value in a directive",
        ),
        pytest.param(
            b"#!/bin/sh\n\n#SBATCH -N1 -n two\n",
            error("b.sh: line 3: #SBATCH -N1 -n two", 'Invalid numeric value "two" for --ntasks.'),
            1,
            id="no number in a directive",
        ),
        pytest.param(
            b"#!/bin/sh\n#SBATCH -d bogus:1\n",
            error(
                "b.sh: line 2: #SBATCH -d bogus:1",
                "dependency 'bogus:1': 'bogus' is none of "
                "after, afterany, afterburstbuffer, aftercorr, afternotok, afterok, expand, singleton",
                "Batch job submission failed: Job dependency problem",
            ),
            1,
            id="a directive that the controller would refuse",
        ),
        pytest.param(
            b"#!/bin/sh\n#SBATCH -N1 --nice=x\n#SBATCH hetjob\n#SBATCH -N1\n",
            error("b.sh: line 2: #SBATCH -N1 --nice=x", "Invalid --nice specification: 'x', " + NICE),
            255,
            id="a directive of one component",
        ),
        pytest.param(
            b"#!/bin/sh\n#PBS -l walltime=abc\n",
            error("b.sh: line 2: #PBS -l walltime=abc", INVALID_TIME.format("abc")),
            255,
            id="bad value in a directive of another system",
        ),
        pytest.param(
            b"#!/bin/sh\n#SBATCH -n\n",
            error("b.sh: line 2: #SBATCH -n") + f"sbatch: option requires an argument -- 'n'\n{TRY}\n",
            255,
            id="directive without its value",
        ),
        pytest.param(
            b"#!/bin/sh\n#SBATCHX -n 3\n",
            error("b.sh: line 2: #SBATCHX -n 3", "Invalid directive found in batch script: X"),
            255,
            id="a word that is no option",
        ),
        pytest.param(
            b'#!/bin/sh\n#SBATCH --comment="unclosed\n',
            'sbatch: fatal: b.sh: line 2: Unmatched `"` in [--comment="unclosed]\n',
            1,
            id="unmatched quote",
        ),
        pytest.param(
            b"#!/bin/sh\n" + b"#" * (4 * 1024 * 1024),
            error(
                "the script has more than 4194304 bytes",
                "Batch job submission failed: Pathname of a file, directory or other parameter too long",
            ),
            1,
            id="too long",
        ),
    ],
)
def test_scripts(content, stderr, status, dead_cluster, capfd):
    (dead_cluster / "b.sh").write_bytes(content)

    assert main(["-J", "badcase", "b.sh"]) == status
    assert capfd.readouterr() == ("", stderr)


@pytest.mark.parametrize(
    ("words", "stderr", "status"),
    [
        (["/nonexistent.sh"], error("Unable to open file /nonexistent.sh: No such file or directory"), 1),
        (["-"], error("Unable to open file -: No such file or directory, neither here nor in PATH"), 1),
        (
            ["--array", "--wrap", "bad"],
            error("Unable to open file bad: No such file or directory, neither here nor in PATH"),
            1,
        ),
        (["/tmp"], error("/tmp is a directory, expected a file", "Batch script is empty!"), 1),
        (["/dev/null/job.sh"], error("Unable to open file /dev/null/job.sh: Not a directory"), 1),
        (["--bogus"], f"sbatch: unrecognized option '--bogus'\n{TRY}\n", 255),
        (["--wrap"], f"sbatch: option '--wrap' requires an argument\n{TRY}\n", 255),
        (["--immediate"], f"sbatch: unrecognized option '--immediate'\n{TRY}\n", 255),
        (["-Z"], f"sbatch: invalid option -- 'Z'\n{TRY}\n", 255),
        (
            ["--no"],
            "sbatch: option '--no' is ambiguous; possibilities: "
            f"'--no-kill' '--no-requeue' '--nodefile' '--nodelist' '--nodes'\n{TRY}\n",
            255,
        ),
        (
            ["--ntasks-per"],
            "sbatch: option '--ntasks-per' is ambiguous; possibilities: '--ntasks-per-core' '--ntasks-per-gpu' "
            f"'--ntasks-per-node' '--ntasks-per-socket' '--ntasks-per-tres'\n{TRY}\n",
            255,
        ),
        (["--mail"], f"sbatch: option '--mail' is ambiguous; possibilities: '--mail-type' '--mail-user'\n{TRY}\n", 255),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_command_lines(words, stderr, status, capfd):
    assert main(words) == status
    assert capfd.readouterr() == ("", stderr)


def failed(text):
    return error(f"Batch job submission failed: {text}")


def number(value, option):
    return error(f'Invalid numeric value "{value}" for {option}.')


def spec(option, value):
    return error(f"Invalid --{option} specification: {value!r}, expected {EXPECTED[option]}")


def array(value, problem):
    detail = f"{value!r} in a job array: {problem}; expected indices such as 0-15, 1,3,5-9 or 0-20:4"
    return error(detail) + failed("Invalid job array specification")


def no_gres(value, problem):
    return error(f"{value!r} is not a gres list: {problem}", GRES)


NO_KIND = error(
    "dependency 'bogus:1': 'bogus' is none of "
    "after, afterany, afterburstbuffer, aftercorr, afternotok, afterok, expand, singleton"
)
BOTH_WAYS = error("dependency 'afterok:1,x?y': ',' (all of them) and '?' (any of them) do not go together")
NO_FEATURE = error("'a&' is not a constraint: expected a feature name, found the end")
TOO_LARGE = error("99999999999 is too large, at most 2147483647 is taken")
MOST_INDICES = "MaxArraySize, which is 4000001 at most"
GRES = "Invalid generic resource (gres) specification"
BAD_TIME = "Invalid time specification (pos={}): {}\n"

CASES = [
    (["--mem=abc"], spec("mem", "abc"), 255),
    (["--mem=-5"], spec("mem", "-5"), 255),
    (["--mem="], spec("mem", ""), 255),
    (["--mem=1X"], spec("mem", "1X"), 255),
    (["--mem=1.5G"], spec("mem", "1.5G"), 255),
    (["--mem-per-cpu=x"], spec("mem-per-cpu", "x"), 255),
    (["--mem-per-gpu=x"], spec("mem-per-gpu", "x"), 255),
    (["--tmp=x"], spec("tmp", "x"), 255),
    (["-t", "abc"], spec("time", "abc"), 255),
    (["-t", "1:2:3:4"], spec("time", "1:2:3:4"), 255),
    (["--time="], spec("time", ""), 255),
    (["--time-min=x"], spec("time-min", "x"), 255),
    (["-n", "0"], number("0", "--ntasks"), 1),
    (["-n", "-3"], number("-3", "--ntasks"), 1),
    (["-n", "2.5"], number("2.5", "--ntasks"), 1),
    (["-c", "x"], number("x", "--cpus-per-task"), 1),
    (["--ntasks-per-node=x"], number("x", "--ntasks-per-node"), 1),
    (["--cpus-per-gpu=x"], number("x", "--cpus-per-gpu"), 1),
    (["--core-spec=-1"], number("-1", "--core-spec"), 1),
    (["--switches=x"], number("x", "--switches"), 1),
    (["--switches=1@soon"], spec("switches", "1@soon"), 255),
    (["-B", "x"], error('Invalid numeric value "x" for first arg of -B.'), 1),
    (["-B", "1:x"], error('Invalid numeric value "x" for second arg of -B.'), 1),
    (["-N", "3-1"], error("Maximum node count 1 is less than minimum node count 3"), 255),
    (["-N", "x"], error('"x" is not a valid node count'), 255),
    (["-N", "1-x"], error('"x" is not a valid node count'), 255),
    (["-N", ""], error('"" is not a valid node count'), 255),
    (["-d", "bogus:1"], NO_KIND + failed("Job dependency problem"), 1),
    (["-d", "afterok:"], error("dependency 'afterok:': '' is not a job id") + failed("Job dependency problem"), 1),
    (["-d", "afterok:1,x?y"], BOTH_WAYS + failed("Job dependency problem"), 1),
    (["-C", "a&"], NO_FEATURE + failed("Invalid feature specification"), 1),
    (["-n", "99999999999"], TOO_LARGE + number("99999999999", "--ntasks"), 1),
    (["-a", "5-1"], array("5-1", "it ends at 1, before it begins"), 1),
    (["-a", "x"], array("x", "no number"), 1),
    (["-a", "1-3:0"], array("1-3:0", "a step needs a range and is at least 1"), 1),
    (["-a", "1-99999999"], array("1-99999999", f"its highest index must be below {MOST_INDICES}"), 1),
    (["--nice=abc"], spec("nice", "abc"), 255),
    (["--priority=abc"], spec("priority", "abc"), 255),
    (["-w", "n1,n2", "-N", "1"], error("-w names 2 nodes, -N allows 1", "invalid number of nodes (-N 2-1)"), 1),
    (["--begin=yesterdayish"], BAD_TIME.format(0, "yesterdayish") + spec("begin", "yesterdayish"), 255),
    (["-b", "now+1x"], BAD_TIME.format(4, "now+1x") + spec("begin", "now+1x"), 255),
    (["--begin="], spec("begin", ""), 255),
    (["--deadline=now+1min"], BAD_TIME.format(4, "now+1min") + spec("deadline", "now+1min"), 255),
    (["--signal=ZZZ@10"], spec("signal", "ZZZ@10"), 255),
    (["--signal=USR1@99999"], spec("signal", "USR1@99999"), 255),
    (["--signal=0"], spec("signal", "0"), 255),
    (["--mail-type=SOMETIMES"], spec("mail-type", "SOMETIMES"), 255),
    (["--open-mode=x"], spec("open-mode", "x"), 255),
    (["--exclusive=foo"], spec("exclusive", "foo"), 255),
    (["--no-kill=x"], spec("no-kill", "x"), 255),
    (["--kill-on-invalid-dep=maybe"], spec("kill-on-invalid-dep", "maybe"), 255),
    (["--get-user-env=x"], spec("get-user-env", "x"), 255),
    (["--gres-flags=bogus"], spec("gres-flags", "bogus"), 255),
    (["--delay-boot=x"], spec("delay-boot", "x"), 255),
    (["--wait-all-nodes=2"], spec("wait-all-nodes", "2"), 255),
    (["--wait-all-nodes=x"], number("x", "--wait-all-nodes"), 1),
    (["-m", "foo"], spec("distribution", "foo"), 255),
    (["-m", "plane"], error("Invalid plane size or size not specified") + spec("distribution", "plane"), 255),
    (
        ["-m", "arbitrary"],
        error("With Arbitrary distribution you need to specify a nodelist or hostfile with the -w option"),
        1,
    ),
    (["--hint=foo"], error('unrecognized --hint argument "foo", see --hint=help'), 1),
    (["--cpu-freq=bogus"], error('unrecognized --cpu-freq argument "bogus"', "Invalid --cpu-freq argument"), 255),
    (["--acctg-freq=x"], error("Invalid --acctg-freq specification: x"), 255),
    (["--profile=x"], error("invalid --profile=x option"), 255),
    (["--mem-bind=x"], error('unrecognized --mem-bind argument "x"'), 255),
    (["--gpu-bind=bogus"], error("Invalid --gpu-bind argument: gpu:bogus"), 255),
    (["--gpu-freq=x"], error("Invalid --gpu-freq argument: gpu:x"), 255),
    (["--propagate=X"], error("Bad rlimit name: X", "--propagate=X is not valid."), 1),
    (["--nice=99999999999"], error("Invalid --nice value, out of range (+/- 2147483645)"), 255),
    (["--priority=-1"], error("Priority must be >= 0"), 255),
    (["--uid=nosuch"], spec("uid", "nosuch"), 255),
    (["--gid=nosuch"], spec("gid", "nosuch"), 255),
    (["--gres=gpu:"], no_gres("gpu:", "'gpu:' is not name[:type][:count]"), 1),
    (["--gres=gpu:1:2:3"], no_gres("gpu:1:2:3", "'gpu:1:2:3' is not name[:type][:count]"), 1),
    (["--gpus-per-node=x:y:z"], no_gres("x:y:z", "'gpu:x:y:z' is not name[:type][:count]"), 1),
    (
        ["--gpus-per-task=1"],
        error(
            "Failed to validate job spec. --gpus-per-task used without either --gpus or -n/--ntasks is not allowed.",
            GRES,
        ),
        1,
    ),
    (
        ["--gpus-per-socket=1"],
        error("--gpus-per-socket option requires --sockets-per-node specification", GRES),
        1,
    ),
    (["--cpus-per-gpu=2", "-c2", "-G1"], error("--cpus-per-gpu is mutually exclusive with --cpus-per-task", GRES), 1),
    (
        ["--mem=10", "--mem-per-cpu=10"],
        "sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n",
        1,
    ),
    (["-Q", "-v"], error("don't specify both --verbose (-v) and --quiet (-Q)"), 1),
    (["script.sh"], error("Script arguments not permitted with --wrap option"), 1),
    *(
        (
            ["-w", words],
            error(
                f"{words!r} (--nodelist) names no node; leave it out for any",
                "Batch job submission failed: Node count specification invalid",
            ),
            1,
        )
        for words in ("", ",", " ")
    ),
    (["-w", "/dev/null"], error("/dev/null names no node", "Hostlist is empty!"), 1),
    (["-F", "/dev/null"], error("/dev/null names no node", "Hostlist is empty!", "Invalid --nodefile node file"), 255),
    (
        ["-F", "/nonexistent"],
        error(
            "slurm_allocate_resources error opening file /nonexistent, No such file or directory",
            "Invalid --nodefile node file",
        ),
        255,
    ),
    (
        ["-w", "/nonexistent"],
        error("slurm_allocate_resources error opening file /nonexistent, No such file or directory"),
        1,
    ),
    (
        ["-M", "other"],
        error(
            "No cluster 'other' known by database.",
            "'other' can't be reached now, or it is an invalid entry for --cluster.  "
            "Use 'sacctmgr list clusters' to see available clusters.",
        ),
        1,
    ),
    (["--export-file=/nonexistent"], error("Could not open user environment file /nonexistent"), 1),
    (["--bbf=/nonexistent"], spec("bbf", "/nonexistent"), 1),
    (["--requeue=1"], f"sbatch: option '--requeue' doesn't allow an argument\n{TRY}\n", 255),
]


@pytest.mark.parametrize(("words", "stderr", "status"), CASES, ids=[" ".join(words) for words, _, _ in CASES])
def test_values(words, stderr, status, capfd):
    assert main([*WRAP, *words]) == status
    assert capfd.readouterr() == ("", stderr)


@pytest.mark.parametrize("row", [row for row in ROWS if row.argument], ids=lambda row: f"{row.key} {row.commands}")
def test_a_refused_value_is_shown(row):
    """Whatever option it is of, and whoever refuses it."""
    for value in ("no such", "7x"):
        said = refusal_of(row, value)
        assert said is None or value in said


def refusal_of(row, value):
    try:
        Draft("srun", 0.0).put(row, value)
    except OptionError as refusal:
        return "\n".join((refusal.plain, *refusal.lines))
    except InvalidRequest as refusal:
        return refusal.message
    return None


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (["-a", "0-3%0"], "--array: '%0' limits nothing, expected a number of at least 1 after the %"),
        (["-a", "0-3%x"], "--array: '%x' limits nothing, expected a number of at least 1 after the %"),
        (["--mail-type=END,LATE"], f"--mail-type: 'LATE' is none of {', '.join(MAIL_TYPES)}"),
    ],
)
def test_what_is_passed_over_is_told(words, warning, capfd):
    """As the recorded one takes them."""
    main([*WRAP, *words])

    assert capfd.readouterr().err.startswith(f"sbatch: Warning: {warning}\n")


def test_a_malformed_node_list_is_an_unknown_node(capfd):
    assert main([*WRAP, "-w", "n["]) == 1
    assert capfd.readouterr().err.endswith("Batch job submission failed: Invalid node name specified\n")


def test_uid_is_for_root(monkeypatch, capfd):
    monkeypatch.setattr(os, "getuid", lambda: 1234)

    assert main([*WRAP, "--uid=root"]) == 255
    assert capfd.readouterr().err == error("--uid only permitted by root user")


def test_a_variable_is_checked_like_an_option(monkeypatch, capfd):
    monkeypatch.setenv("SBATCH_EXCLUSIVE", "no")

    assert main(WRAP) == 255
    assert capfd.readouterr().err == error("in the environment: SBATCH_EXCLUSIVE=no") + spec("exclusive", "no")


def test_empty_standard_input_is_an_empty_script(monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(writing)
    saved = os.dup(0)
    try:
        os.dup2(reading, 0)
        assert main(["-J", "badcase"]) == 1
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reading)
    assert capfd.readouterr().err == error("Batch script is empty!")


def test_no_controller(capfd):
    assert main(WRAP) == 1
    assert capfd.readouterr() == ("", failed("Unable to contact slurm controller (connect failure)"))


def test_help_and_version_need_no_cluster(monkeypatch, capfd):
    monkeypatch.delenv("SLUICE_CONF")

    assert main(["-V"]) == 0
    assert main(["--usage"]) == 0
    assert main(["-h"]) == 0
    assert capfd.readouterr().out.startswith("slurm 25.05.0\nUsage: sbatch ")


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()

    assert main(WRAP) == 1
    assert capfd.readouterr().err == (
        "sbatch: fatal: getcwd failed: No such file or directory; change to a directory that exists\n"
    )
