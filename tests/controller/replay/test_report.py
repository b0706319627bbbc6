"""What a replay tells: figures by hand, pictures by their parts, and the same bytes for the same input."""

import csv
import gzip
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.node import Node
from sluicectld.replay.__main__ import main
from sluicectld.replay.figures import compute_judgement
from sluicectld.replay.gantt import JOBS_MAX, draw_gantt
from sluicectld.replay.picture import time_step, y_marks
from sluicectld.replay.report import render_csv
from sluicectld.replay.schedule import Counts, Run, Schedule, busy_steps
from sluicectld.replay.trace import TraceJob
from sluicectld.replay.utilisation import column_means, draw_utilisation
from tests.traces import make

_SVG = "{http://www.w3.org/2000/svg}"


def run(
    job_id: int, submitted_s: int, started_s: int, run_s: int, cpus: str = "0", user: int = 1, processors: int = 1
) -> Run:
    job = TraceJob(job_id, submitted_s, run_s, processors, 2 * run_s, user)
    return Run(job, started_s, Allocation(grants=(NodeGrant(node="pool", cpus=cpus, cpu_count=processors),)))


def schedule(*runs: Run) -> Schedule:
    return Schedule(runs, {}, {}, Counts())


#: Waits of 0, 5 and 90 s; slowdowns of 1, 1 (bounded) and 10.
_THREE = schedule(
    run(1, 0, 0, 100, "0-2", processors=3), run(2, 0, 5, 1, user=2), run(3, 10, 100, 10, "0-3", processors=4)
)


def test_figures_by_hand() -> None:
    judgement = compute_judgement(_THREE, processors=4)

    assert judgement is not None
    figures = judgement.figures
    assert figures.jobs == 3
    assert figures.mean_bounded_slowdown == pytest.approx((1 + 1 + 10) / 3)
    assert figures.max_bounded_slowdown == pytest.approx(10)
    assert figures.mean_wait_s == pytest.approx(95 / 3)
    assert (figures.median_wait_s, figures.p95_wait_s, figures.max_wait_s) == (5, 90, 90)
    assert figures.work_s == 3 * 100 + 1 + 4 * 10
    assert judgement.makespan_s == 110
    assert judgement.utilisation == pytest.approx(341 / 440)
    assert judgement.longest == 3


def test_groups_are_users_and_ranges_of_widths() -> None:
    judgement = compute_judgement(_THREE, processors=4)

    assert judgement is not None
    assert [(group.name, group.figures.jobs) for group in judgement.users] == [("1", 2), ("2", 1)]
    assert [(group.name, group.figures.jobs) for group in judgement.widths] == [("1", 1), ("3-4", 2)]


def test_nothing_that_ran_has_no_figures() -> None:
    assert compute_judgement(schedule(), processors=4) is None


def test_the_table_has_a_line_a_job() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(_THREE))))

    assert [row["job"] for row in rows] == ["1", "2", "3"]
    assert rows[2] == {
        "job": "3",
        "user": "1",
        "processors": "4",
        "submitted_s": "10",
        "started_s": "100",
        "ended_s": "110",
        "wait_s": "90",
        "run_s": "10",
        "estimate_s": "20",
        "bounded_slowdown": "10.000000",
    }


def test_busy_processors_are_a_staircase() -> None:
    assert busy_steps(_THREE) == [(0, 3), (5, 4), (6, 3), (100, 4), (110, 0)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(1, 9)), max_size=8), st.integers(1, 30))
def test_columns_neither_lose_nor_make_work(pieces: list[tuple[int, int, int]], columns: int) -> None:
    """The columns' means times their width add up to the area below the staircase."""
    runs = [run(1, at, at, length, processors=width) for at, length, width in pieces]

    means = column_means(busy_steps(schedule(*runs)), 0, 100, columns)

    assert sum(means) * 100 / columns == pytest.approx(sum(length * width for _, length, width in pieces))


def hints(picture: str) -> list[str]:
    """Return what the rectangles of a picture say of themselves."""
    return [title.text or "" for title in ElementTree.fromstring(picture).iter(f"{_SVG}title")]


def test_a_gantt_picture_has_a_rectangle_a_stretch_of_processors() -> None:
    node = Node(name="pool", cpus=4)

    found = hints(draw_gantt(schedule(run(1, 0, 0, 9, "0,2-3", processors=3), run(2, 0, 2, 5, "1")), [node], "two"))

    assert [hint.partition(":")[0] for hint in found] == ["job 1 of user 1", "job 1 of user 1", "job 2 of user 1"]


def test_a_gantt_picture_of_many_jobs_shows_those_around_the_longest_queue() -> None:
    node = Node(name="pool", cpus=1)
    runs = [run(number, number * 10, number * 10, 10) for number in range(1, 3 * JOBS_MAX)]
    middle_s = 15 * JOBS_MAX

    found = hints(draw_gantt(schedule(*runs, run(9999, middle_s - 5, middle_s, 10)), [node], "many"))

    assert any(hint.startswith("job 9999 ") for hint in found)
    assert not any(hint.startswith("job 1 ") for hint in found)
    assert len(found) <= JOBS_MAX


@pytest.mark.parametrize("runs", [(), (run(1, 0, 0, 1),)], ids=["no job", "one job of a second"])
def test_pictures_of_next_to_nothing_are_pictures(runs: tuple[Run, ...]) -> None:
    ElementTree.fromstring(draw_gantt(schedule(*runs), [Node(name="pool", cpus=1)], "a < b & c"))
    ElementTree.fromstring(draw_utilisation(schedule(*runs), 1, "a < b & c"))


@given(st.integers(1, 10**10))
def test_a_time_axis_has_a_few_marks(length_s: int) -> None:
    """At whole steps, and never a crowd."""
    step, unit_s, _ = time_step(length_s)

    assert length_s / step <= 14
    assert step % unit_s == 0


@given(st.integers(1, 10**9))
def test_a_value_axis_has_a_few_round_marks(most: int) -> None:
    marks = y_marks(most)

    assert 1 <= len(marks) <= 6
    assert marks[0] == 0
    assert str(marks[-1] // max(len(marks) - 1, 1)).rstrip("0") in ("1", "2", "5")


def replayed(*options: str) -> Result:
    return CliRunner().invoke(main, [str(make.TRACE), "--policy", "fcfs", *options])


def test_the_same_replay_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = replayed("--report", str(tmp_path / name), "--starts", str(tmp_path / name / "starts.gz"))
        assert done.exit_code == 0, done.output

    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"figures.json", "report.txt", "jobs.csv", "gantt.svg", "utilisation.svg", "starts.gz"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    starts = gzip.decompress((tmp_path / "one" / "starts.gz").read_bytes()).decode()
    assert starts == (make.FOLDER / "synthetic.fcfs.estimate.starts").read_text()


def test_json_and_text_tell_the_same() -> None:
    values = json.loads(replayed("--json").stdout)
    text = replayed().stdout

    assert f"mean {values['mean_bounded_slowdown']:,.3f}" in text
    assert f"{values['max_wait_s']:,} s (job {values['longest_waiting_job']})" in text
    assert values["dropped"] == {"wider than 32 processors": 5, "without estimate": 5, "without run time": 5}
    assert sum(user["jobs"] for user in values["users"].values()) == values["jobs"] == 285


def test_progress_goes_to_stderr() -> None:
    done = replayed("--json")

    assert "100 % of 285 jobs" in done.stderr
    assert "passes: 562 in" in done.stderr


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--processors", "0"), 2, "0 is not in the range"),
        (("--processors", "4", "--conf", "x"), 2, "exclude each other"),
        (("--conf", "/no/such/file"), 1, "/no/such/file"),
        (("--starts", "/no/such/folder/starts"), 1, "/no/such/folder/starts: No such file or directory"),
    ],
)
def test_refusals(options: tuple[str, ...], status: int, message: str) -> None:
    done = replayed(*options)

    assert done.exit_code == status
    assert message in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="nothing to replay"),
        pytest.param((str(make.TRACE), "--history"), id="a trace and the past"),
        pytest.param((str(make.TRACE), "--since", "now"), id="a time in a trace"),
        pytest.param(("--history", "--policy", "easy"), id="a policy for the past"),
    ],
)
def test_words_that_do_not_go_together(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2
