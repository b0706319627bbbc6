"""--mail-type: which happenings are told, to whom, and in which words."""

from collections.abc import Callable
from typing import Any

import pytest

from sluice.wire.messages import KillJobs
from sluicectld.state.effects import SendMail
from tests.engine_builder import ROOT, World

MakeWorld = Callable[..., World]


def mails(world: World) -> list[str]:
    return [mail.subject for mail in world.took(SendMail)]


def test_all_tells_the_beginning_and_the_end(world: World) -> None:
    job_id = world.start(mail_types=("ALL",), name="big")
    world.now += 65
    world.end_script(job_id)

    assert mails(world) == [
        f"Slurm Job_id={job_id} Name=big Began, Queued time 00:00:00",
        f"Slurm Job_id={job_id} Name=big Ended, Run time 00:01:05, COMPLETED, ExitCode 0",
    ]


@pytest.mark.parametrize(
    ("types", "code", "told"),
    [
        pytest.param(("FAIL",), 3, "Failed, Run time 00:00:00, FAILED, ExitCode 3", id="a failure"),
        pytest.param(("END",), 3, "Ended, Run time 00:00:00, FAILED, ExitCode 3", id="the end of a failure"),
        pytest.param(("FAIL",), 0, None, id="no failure"),
        pytest.param(("BEGIN",), 3, None, id="the beginning alone"),
        pytest.param((), 3, None, id="nothing asked for"),
    ],
)
def test_the_end_is_told_as_it_was_asked_for(world: World, types: tuple[str, ...], code: int, told: str | None) -> None:
    job_id = world.start(mail_types=types, name="x")
    world.effects.clear()

    world.end_script(job_id, exit_code=code)

    assert mails(world) == ([f"Slurm Job_id={job_id} Name=x {told}"] if told else [])


@pytest.mark.parametrize(
    ("settings", "fields", "address"),
    [
        pytest.param({}, {}, "ann", id="the user"),
        pytest.param({"mail_domain": "hpc.example"}, {}, "ann@hpc.example", id="the user in the site's domain"),
        pytest.param({"mail_domain": "hpc.example"}, {"mail_user": "bob@x.org"}, "bob@x.org", id="who was named"),
    ],
)
def test_mail_goes_to_whom_it_should(
    make_world: MakeWorld, settings: dict[str, Any], fields: dict[str, Any], address: str
) -> None:
    world = make_world(**settings)

    world.start(mail_types=("BEGIN",), **fields)

    assert [mail.address for mail in world.took(SendMail)] == [address]


def test_a_requeued_job_is_told_so_and_not_ended(world: World) -> None:
    job_id = world.start(mail_types=("REQUEUE", "END"), name="x")
    world.change("requeue", job_id)

    world.clean(job_id, "n1")

    assert mails(world) == [f"Slurm Job_id={job_id} Name=x Requeued"]


def test_parts_of_the_limit_and_the_limit_are_told(world: World) -> None:
    types = ("TIME_LIMIT_50", "TIME_LIMIT_90", "TIME_LIMIT")
    job_id = world.start(limit_s=1200, mail_types=types, name="x")

    told = []
    for seconds in (599, 1, 479, 1, 120):
        world.pass_time(seconds)
        told.append(mails(world))

    assert told == [
        [],
        [f"Slurm Job_id={job_id} Name=x Reached 50% of time limit, Run time 00:10:00"],
        [],
        [f"Slurm Job_id={job_id} Name=x Reached 90% of time limit, Run time 00:18:00"],
        [f"Slurm Job_id={job_id} Name=x Reached time limit, Run time 00:20:00"],
    ]


def test_a_dependency_that_can_never_hold_is_told(world: World) -> None:
    first = world.start()
    job_id = world.submit(after=f"afterok:{first}", mail_types=("INVALID_DEPEND",), name="x")

    world.end_script(first, exit_code=1)

    assert mails(world) == [f"Slurm Job_id={job_id} Name=x Invalid dependency"]


@pytest.mark.parametrize(
    ("types", "subjects"),
    [
        pytest.param(
            ("BEGIN", "END"),
            ["Slurm Array Summary Job_id=1_* Name=x Began", "Slurm Array Summary Job_id=1_* Name=x Ended"],
            id="as a whole",
        ),
        pytest.param(
            ("BEGIN", "ARRAY_TASKS"),
            ["Slurm Array Task Job_id=1_0 (2) Name=x Began", "Slurm Array Task Job_id=1_1 (1) Name=x Began"],
            id="each task",
        ),
    ],
)
def test_an_array_is_told_as_one_unless_each_task_is_asked_for(
    world: World, types: tuple[str, ...], subjects: list[str]
) -> None:
    array = world.submit(array=((0, 1, 1),), mail_types=types, name="x")
    world.pass_()
    for index in (0, 1):
        world.end_script(world.task(array, index).id)

    assert [subject.partition(",")[0] for subject in mails(world)] == subjects


def test_a_cancelled_job_has_ended_and_not_failed(world: World) -> None:
    job_id = world.start(mail_types=("FAIL", "END"), name="x")

    world.do(KillJobs(ids=(str(job_id),)), ROOT)

    assert mails(world) == [f"Slurm Job_id={job_id} Name=x Ended, Run time 00:00:00, CANCELLED, ExitCode 0"]
