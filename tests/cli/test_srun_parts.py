"""srun's parts: output, ends, files, programs by rank, the step's request."""

import os
from pathlib import Path

import pytest

from sluice_cli import job_request, multi_prog, srun_files
from sluice_cli.combine import combine
from sluice_cli.draft import Draft, OptionError
from sluice_cli.layers import apply_layers
from sluice_cli.options import table_for
from sluice_cli.srun_output import LINE_MAX, OutputWriter
from sluice_cli.srun_report import Report, task_list
from sluice_cli.srun_step import step_spec
from sluice_cli.talk import Voice
from sluiced.steps.multi_prog import program_of


@pytest.fixture
def written():
    """Make a writer into a pipe, run *work* on it, and return what was written."""

    def run(work, ntasks=2, **options):
        reading, writing = os.pipe()
        writer = OutputWriter(
            {1: writing, 2: writing}, ntasks, **{"is_labelled": False, "is_unbuffered": False, **options}
        )
        work(writer)
        writer.end()
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            return file.read()

    return run


def test_lines_of_tasks_do_not_mix(written):
    def work(writer):
        writer.add(0, 1, b"a")
        writer.add(1, 1, b"x\ny")
        writer.add(0, 1, b"b\n")

    assert written(work) == b"x\nab\ny"


def test_labels_are_padded_and_complete_the_last_line(written):
    def work(writer):
        writer.add(3, 1, b"one\ntwo")
        writer.add(11, 2, b"x\n\n")

    assert written(work, ntasks=12, is_labelled=True) == b" 3: one\n11: x\n11: \n 3: two\n"


def test_bytes_are_not_touched(written):
    data = bytes(range(256)) * 3

    assert written(lambda writer: writer.add(0, 1, data)) == data
    assert written(lambda writer: writer.add(0, 1, data), is_unbuffered=True) == data


def test_one_task_is_not_kept_waiting_for_its_line():
    reading, writing = os.pipe()
    OutputWriter({1: writing, 2: writing}, 1, is_labelled=False, is_unbuffered=False).add(0, 1, b"prompt> ")

    assert os.read(reading, 100) == b"prompt> "
    os.close(reading)
    os.close(writing)


def test_an_endless_line_goes_out_in_pieces(tmp_path):
    with (tmp_path / "out").open("wb") as file:
        writer = OutputWriter({1: file.fileno(), 2: file.fileno()}, 2, is_labelled=False, is_unbuffered=False)
        writer.add(0, 1, b"x" * (LINE_MAX + 1))

        assert (tmp_path / "out").stat().st_size == LINE_MAX + 1


def test_a_full_disk_is_told_apart_from_a_reader_that_went_away(tmp_path):
    with open("/dev/full", "wb", buffering=0) as full, (tmp_path / "err").open("wb") as errors:
        writer = OutputWriter({1: full.fileno(), 2: errors.fileno()}, 1, is_labelled=False, is_unbuffered=False)

        assert not writer.add(0, 1, b"a\n")
        assert writer.add(0, 2, b"c\n")

    assert writer.problem == "No space left on device"


def test_a_reader_that_went_away_is_told_and_ends_nothing_else(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "err").open("wb") as errors:
        writer = OutputWriter({1: writing, 2: errors.fileno()}, 1, is_labelled=False, is_unbuffered=False)

        assert not writer.add(0, 1, b"a\n")
        assert not writer.add(0, 1, b"b\n")
        assert writer.add(0, 2, b"c\n")
    os.close(writing)


def tell(ends, capfd):
    report = Report(Voice("srun"), "43.0")
    for node, task, *end in ends:
        report.add(node, task, (*end, 0, False)[:3] if len(end) == 1 else (*end, False)[:3], has_aborted=False)
    report.tell()
    report.tell_force()
    return report, capfd.readouterr().err


def test_ends_are_folded_by_node_and_kind(capfd):
    ends = [("n1", task, 1) for task in (0, 1, 2, 4, 5)] + [("n2", 3, 0), ("n2", 6, 7)]
    report, err = tell(ends, capfd)

    assert err == (
        "srun: error: n1: tasks 0-2,4-5: Exited with exit code 1\nsrun: error: n2: task 6: Exited with exit code 7\n"
    )
    assert (report.status, report.outcome) == (7, (7, 0))


@pytest.mark.parametrize(
    ("number", "text", "is_forced"),
    [(9, "Killed", True), (15, "Terminated", True), (11, "Segmentation fault", False), (6, "Aborted", False)],
)
def test_ends_by_signal(number, text, is_forced, capfd):
    report, err = tell([("n2", 0, 0, number)], capfd)
    forced = "srun: Force Terminated StepId=43.0\n" if is_forced else ""

    assert err == f"srun: error: n2: task 0: {text}\n{forced}"
    assert (report.status, report.outcome) == (128 + number, (0, number))


def test_a_step_with_a_task_out_of_memory_is_so_as_a_whole(capfd):
    report, err = tell([("n1", 0, 0, 9, True), ("n2", 1, 0, 15)], capfd)

    assert err.startswith("srun: error: n1: task 0: Out Of Memory\n")
    assert (report.status, report.outcome) == (143, (0, 125))


def test_the_code_of_a_task_that_aborts_is_the_steps():
    report = Report(Voice("srun"), "43.0")
    report.add("n1", 0, (0, 15, False), has_aborted=False)
    report.add("n2", 1, (7, 0, False), has_aborted=True)

    assert (report.status, report.outcome) == (7, (7, 0))


def test_a_step_that_was_aborted_is_not_called_forced(capfd):
    report = Report(Voice("srun"), "43.0")
    report.is_aborted = True
    report.add("n1", 0, (0, 15, False), has_aborted=False)
    report.tell_force()

    assert capfd.readouterr().err == ""


def test_out_of_memory_has_its_own_words(capfd):
    report = Report(Voice("srun"), "43.0")
    report.add("n1", 0, (0, 9, True), has_aborted=False)
    report.tell()

    assert capfd.readouterr().err == "srun: error: n1: task 0: Out Of Memory\n"


def test_task_lists():
    assert [task_list(tasks) for tasks in ([3], [1, 0], [0, 2], [5, 4, 6, 9])] == [
        "task 3",
        "tasks 0-1",
        "tasks 0,2",
        "tasks 4-6,9",
    ]


def make_draft(*words, environment=None):
    draft = Draft("srun", 0.0)
    apply_layers(draft, (), environment or {}, table_for("srun").parse(list(words))[0])
    combine(draft)
    return draft


CREATED = {
    "job": {"id": 7, "spec": {"name": "job", "user": "alice"}},
    "step": {"step_id": 2, "nodes": []},
}


def open_streams(folder, *words):
    return srun_files.open_streams(make_draft(*words), CREATED, 2, str(folder))


def test_streams_go_through_srun_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(srun_files, "_is_null", lambda descriptor: False)
    streams = open_streams(tmp_path)

    assert (streams.std_in, streams.std_out, streams.std_err) == ("all", "", "")
    assert (streams.input, streams.outputs) == (0, {1: 1, 2: 2})


def test_a_null_input_is_not_carried_to_the_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(srun_files, "_is_null", lambda descriptor: True)
    streams = open_streams(tmp_path)

    assert (streams.std_in, streams.input) == ("none", None)


def test_a_file_for_the_step_is_opened_here_and_takes_both_streams(tmp_path):
    streams = open_streams(tmp_path, "-o", "o-%j.%s-%x-%u")

    assert (tmp_path / "o-7.2-job-alice").exists()
    assert streams.outputs[1] == streams.outputs[2] > 2
    assert (streams.std_out, streams.std_err) == ("", "")
    os.close(streams.outputs[1])


def test_files_per_task_are_the_nodes_business(tmp_path):
    streams = open_streams(tmp_path, "-o", "o-%3t", "-e", "e-%N", "-i", "in-%t")

    assert (streams.std_in, streams.std_out, streams.std_err) == ("in-%t", "o-%3t", "e-%N")
    assert (streams.input, streams.outputs) == (None, {1: 1, 2: 2})
    assert not list(tmp_path.iterdir())


def test_none_ranks_and_all(tmp_path):
    streams = open_streams(tmp_path, "-o", "none", "-e", "all", "-i", "1")

    assert (streams.std_in, streams.std_out, streams.std_err) == ("1", "/dev/null", "all")
    assert open_streams(tmp_path, "-i", "none").input is None


@pytest.mark.parametrize("number", ["2", "7", "10", "999999999", "1x", "-1", "0x1", "²"], ids=lambda text: text[:4])
def test_a_number_that_is_no_rank_of_the_step_names_a_file(tmp_path, number):
    """Two tasks have the ranks 0 and 1."""
    streams = open_streams(tmp_path, f"-o{number}")

    assert (tmp_path / number).exists()
    assert (streams.std_out, streams.outputs[2]) == ("", streams.outputs[1])
    os.close(streams.outputs[1])


@pytest.mark.parametrize("number", ["1", "01", "+1", " 1", "0" * 5000 + "1"], ids=lambda text: text[-3:])
def test_a_rank_of_the_step_reaches_the_nodes_in_one_form(tmp_path, number):
    streams = open_streams(tmp_path, f"-o{number}", f"-e{number}", f"-i{number}")

    assert (streams.std_in, streams.std_out, streams.std_err) == ("1", "1", "1")
    assert not list(tmp_path.iterdir())


def test_the_only_file_is_that_of_the_stream_whose_number_is_no_rank(tmp_path):
    streams = open_streams(tmp_path, "-o1", "-e7")

    assert [file.name for file in tmp_path.iterdir()] == ["7"]
    assert (streams.std_out, streams.std_err, streams.outputs[1]) == ("1", "", 1)
    os.close(streams.outputs[2])


def test_input_of_a_number_that_is_no_rank_is_read_from_a_file(tmp_path):
    (tmp_path / "5").write_text("data")
    streams = open_streams(tmp_path, "-i5")

    assert (streams.std_in, os.read(streams.input, 9)) == ("all", b"data")
    os.close(streams.input)
    with pytest.raises(OptionError, match=r"Could not open stdin file .*/6: No such file or directory"):
        open_streams(tmp_path, "-i6")


@pytest.mark.parametrize(("letter", "name"), [("-o", "stdout"), ("-e", "stderr"), ("-i", "stdin")])
@pytest.mark.parametrize(
    ("path", "cause"), [("/nonexistent/x", "No such file or directory"), ("/etc", "Is a directory")]
)
def test_a_file_that_can_not_be_opened(tmp_path, letter, name, path, cause):
    with pytest.raises(OptionError) as caught:
        open_streams(tmp_path, letter, path)

    assert (caught.value.lines[0], caught.value.exit_code) == (f"Could not open {name} file {path}: {cause}", 1)


PROGRAMS = "# ranks\n0 echo zero\n1-2 echo mid\n\n3 echo three\n"


def test_programs_by_rank():
    multi_prog.check(PROGRAMS, "mp.conf", 4)
    multi_prog.check("* hostname\n", "mp.conf", 9)
    assert multi_prog.highest_rank(PROGRAMS) == 3


@pytest.mark.parametrize(
    ("text", "rank", "words"),
    [
        ("0 echo zero\n1-2 echo one \\\n more\n* echo rest\n", 2, ("echo", "one", " more")),
        ("0 echo zero\n1-2 echo one \\\n more\n* echo rest\n", 3, ("echo", "rest")),
        ("0-2 echo one \\\n more \\\n and more\n* true\n", 0, ("echo", "one", " more", " and", "more")),
        ("0-2 echo one\\\nmore\n* true\n", 0, ("echo", "onemore")),
        ("0 \\\necho zero\n* true\n", 0, ("echo", "zero")),
        ("# comment \\\n0 echo zero\n* echo rest\n", 0, ("echo", "rest")),
        ("* echo rest \\\n", 0, ("echo", "rest", "")),
        ("* echo rest \\", 0, ("echo", "rest", "")),
        ("0 echo zero \\\n# no comment\n* true\n", 0, ("echo", "zero", "#", "no", "comment")),
        ("0 echo zero \\ \n* echo rest\n", 1, ("echo", "rest")),
    ],
)
def test_a_backslash_joins_the_next_line(tmp_path, text, rank, words):
    """As Slurm 22.05 printed them."""
    (tmp_path / "file").write_text(text)
    joined = multi_prog.read(str(tmp_path / "file"))

    multi_prog.check(joined, "file", 4)
    assert program_of(joined, rank) == words


def test_a_mistake_after_joined_lines_is_told_by_the_files_own_line(tmp_path):
    (tmp_path / "file").write_text("0 echo zero \\\n and \\\n more\n5 echo five\n")
    with pytest.raises(OptionError) as caught:
        multi_prog.check(multi_prog.read(str(tmp_path / "file")), "file", 2)

    assert caught.value.lines == ("Invalid task id, 5 >= ntasks", "Line 4 of configuration file file invalid")


@pytest.mark.parametrize(
    ("ntasks", "lines"),
    [
        (3, ("Invalid task id, 3 >= ntasks", "Line 5 of configuration file mp.conf invalid")),
        (5, ("Configuration file mp.conf invalid, no record for task id 4",)),
    ],
)
def test_programs_that_do_not_fit(ntasks, lines):
    with pytest.raises(OptionError) as caught:
        multi_prog.check(PROGRAMS, "mp.conf", ntasks)

    assert (caught.value.lines, caught.value.exit_code) == (lines, 1)


def test_a_rank_with_two_programs_is_refused():
    with pytest.raises(OptionError) as caught:
        multi_prog.check("0 echo a\n# twice\n1-2,0 echo b\n", "mp.conf", 3)

    assert caught.value.lines == ("Duplicate record for task 0", "Line 3 of configuration file mp.conf invalid")


def test_a_star_is_all_ranks_that_have_none_yet():
    multi_prog.check("0 echo a\n* echo b\n", "mp.conf", 3)


def test_a_missing_file_of_programs():
    with pytest.raises(OptionError, match=r"Could not open multi_prog config file nosuch\.conf"):
        multi_prog.read("nosuch.conf")


def test_a_step_asks_only_what_was_given():
    spec = step_spec(make_draft(), ["/bin/hostname"])

    assert {"ntasks", "min_nodes", "cpus_per_task", "memory_per_node_mib"}.isdisjoint(spec)
    assert (spec["name"], spec["argv"], spec["is_exact"]) == ("hostname", ["/bin/hostname"], False)


def test_a_step_inherits_from_its_job():
    environment = {"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "job", "SLURM_MEM_PER_CPU": "100"}
    spec = step_spec(make_draft("-c2", environment=environment), ["true"])

    assert (spec["ntasks"], spec["min_nodes"], spec["cpus_per_task"]) == (4, 2, 2)
    assert (spec["name"], spec["memory_per_cpu_mib"], spec["is_exact"]) == ("true", 100, True)


def test_what_only_steps_have():
    draft = make_draft("-J", "nm", "-r1", "--overlap", "-I", "--mpi=pmi2", "--cpu-bind=cores", "-G1", "-w", "n2")
    spec = step_spec(draft, ["true"])

    assert (spec["name"], spec["relative"], spec["is_overlapping"], spec["is_immediate"]) == ("nm", 1, True, True)
    assert (spec["mpi"], spec["cpu_bind"], spec["required_nodes"]) == ("pmi2", "cores", ["n2"])
    assert spec["gres_per_step"] == [{"name": "gpu", "type": "", "count": 1}]


def _arbitrary(*words: str, monkeypatch: pytest.MonkeyPatch, hostfile: str = "") -> Draft:
    if hostfile:
        monkeypatch.setenv("SLURM_HOSTFILE", hostfile)
    found, _ = table_for("srun").parse([*words, "true"])
    draft = Draft("srun", 0.0)
    apply_layers(draft, (), {}, found)
    combine(draft)
    return draft


def test_an_arbitrary_distribution_names_a_node_for_each_task(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = _arbitrary("-m", "arbitrary", "-w", "n1,n3,n3,n2", monkeypatch=monkeypatch)

    assert draft.spec["ntasks"] == 4
    assert step_spec(draft, ["true"])["required_nodes"] == ["n1", "n3", "n3", "n2"]
    job = job_request.job_spec(draft, "true", [])
    assert (job["required_nodes"], job["task_nodes"]) == (["n1", "n3", "n2"], ["n1", "n3", "n3", "n2"])


def test_the_host_file_names_them_where_no_option_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("n2\nn1\nn2\n")

    draft = _arbitrary("-m", "arbitrary", monkeypatch=monkeypatch, hostfile=str(hosts))

    assert draft.spec["required_nodes"] == ["n2", "n1", "n2"]


@pytest.mark.parametrize("command", ["sbatch", "salloc", "srun"])
def test_every_submission_reads_the_host_file(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("n2\nn1\nn2\n")
    monkeypatch.setenv("SLURM_HOSTFILE", str(hosts))
    draft = Draft(command, 0.0)

    combine(draft)

    assert job_request.job_spec(draft, "true", [])["task_nodes"] == ["n2", "n1", "n2"]


def test_the_nodes_of_the_job_around_it_do_not_count_the_tasks_of_a_host_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("n2\nn1\nn2\n")
    monkeypatch.setenv("SLURM_HOSTFILE", str(hosts))

    draft = make_draft(environment={"SLURM_NNODES": "2"})

    assert draft.spec["required_nodes"] == ["n2", "n1", "n2"]


def test_a_file_that_names_more_nodes_than_there_are_tasks_is_taken_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("n2*2\nn1\n")

    draft = _arbitrary("-n2", "-m", "arbitrary", "-w", str(hosts), monkeypatch=monkeypatch)

    assert draft.spec["required_nodes"] == ["n2", "n2"]
    with pytest.raises(OptionError) as refusal:
        _arbitrary("-n4", "-m", "arbitrary", "-w", str(hosts), monkeypatch=monkeypatch)
    assert refusal.value.lines == (
        f"{hosts} names 3 nodes, 4 are needed",
        "Too few NodeNames in Slurm Hostfile",
    )


@pytest.mark.parametrize("words", [["-n2"], ["-n2", "-m", "block"]], ids=["no -m", "another -m"])
def test_the_host_file_goes_before_any_distribution_as_far_as_there_are_tasks(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("n2\nn1\nn2\n")

    draft = _arbitrary(*words, monkeypatch=monkeypatch, hostfile=str(hosts))

    assert (draft.spec["distribution"], draft.spec["required_nodes"]) == ("arbitrary", ["n2", "n1"])


def test_the_list_tells_the_nodes_whatever_their_number_was_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = _arbitrary("-N3", "-m", "arbitrary", "-w", "n1,n3,n3", monkeypatch=monkeypatch)

    assert draft.spec["min_nodes"] == 2
    assert draft.remarks == ["Warning: the tasks are on 2 nodes, not 3, setting nnodes to 2"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], ["n1", "n3", "n3"]),
        (["-n3"], ["n1", "n3", "n3"]),
        (["-n6"], None),
        (["--ntasks-per-node=4"], None),
    ],
    ids=["it counts the tasks", "as many tasks", "more tasks", "tasks counted by node"],
)
def test_a_batch_job_takes_the_list_for_its_tasks_unless_it_counts_them_otherwise(
    words: list[str], named: list[str] | None
) -> None:
    found, _ = table_for("sbatch").parse([*words, "-m", "arbitrary", "-w", "n1,n3,n3", "script"])
    draft = Draft("sbatch", 0.0)
    apply_layers(draft, (), {}, found)
    combine(draft)

    assert job_request.job_spec(draft, "true", []).get("task_nodes") == named


def test_as_many_nodes_as_tasks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="You asked for 3 tasks but hostlist specified 2 nodes"):
        _arbitrary("-n3", "-m", "arbitrary", "-w", "n3,n1", monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cpu-bind=boards,v"], 'unrecognized --cpu-bind argument "boards"'),
        (["--cpu-bind=map_cpu"], 'missing list for "--cpu-bind=map_cpu:<list>"'),
        (["--cpu-bind=map_cpu:0x1"], "Failed to validate number: 0x1, the offending character is x"),
        (["--cpu-bind=mask_cpu:zz"], "Failed to validate number: zz, the offending character is z"),
        (["--mem-bind=far"], 'unrecognized --mem-bind argument "far"'),
        (["--gpu-bind=single:0"], "Invalid --gpu-bind argument: gpu:single:0"),
    ],
)
def test_a_binding_that_is_none_is_refused_in_the_recorded_words(words: list[str], message: str) -> None:
    found, _ = table_for("srun").parse([*words, "true"])

    with pytest.raises(OptionError) as refusal:
        apply_layers(Draft("srun", 0.0), (), {}, found)

    assert refusal.value.lines[0] == message


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_CPU_BIND": "quiet,mask_cpu:0x1", "SLURM_STEP_ID": "0"}, None),
        ({"SLURM_CPU_BIND": "quiet,mask_cpu:0x1"}, "quiet,mask_cpu:0x1"),
        ({"SLURM_CPU_BIND": "cores", "SLURM_STEP_ID": "0"}, "cores"),
    ],
    ids=["a task's own masks", "masks that the user has set", "a word"],
)
def test_a_tasks_masks_do_not_bind_the_step_that_it_starts(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    draft = Draft("srun", 0.0)
    apply_layers(draft, (), environment, ())

    assert step_spec(draft, ["true"]).get("cpu_bind") == expected


def test_tasks_for_each_gpu_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    draft = _arbitrary("--ntasks-per-gpu=2", "--gpus=2", monkeypatch=monkeypatch)

    assert step_spec(draft, ["true"])["gpu_bind"] == "single:2"


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (["--gres=gpu:1"], {"SLURM_GPUS_PER_NODE": "4"}, {"gres_per_node": [("gpu", 1)]}),
        (["--gres=none"], {"SLURM_GPUS": "4"}, {}),
        (["--gpus=2"], {"SLURM_GPUS_PER_TASK": "1"}, {"gres_per_step": [("gpu", 2)]}),
        ([], {"SLURM_GPUS_PER_NODE": "4"}, {"gres_per_node": [("gpu", 4)]}),
    ],
)
def test_what_srun_asks_for_stands_in_place_of_the_jobs_variables(
    words: list[str], environment: dict[str, str], expected: dict[str, list[tuple[str, int]]]
) -> None:
    found, _ = table_for("srun").parse(["-n1", *words, "true"])
    draft = Draft("srun", 0.0)
    apply_layers(draft, (), environment, found)
    combine(draft)

    spec = step_spec(draft, ["true"])

    fields = ("gres_per_node", "gres_per_step", "gres_per_task")
    asked = {field: [(each["name"], each["count"]) for each in spec[field]] for field in fields if field in spec}
    assert asked == expected
    assert spec["has_no_gres"] == ("--gres=none" in words)
