"""A step from its creation to its end: streams opened, nodes reached, tasks run, the status known."""

from __future__ import annotations

import contextlib
import os

from sluice.errors import SluiceError
from sluice_cli import client, inbox, multi_prog, srun_files, srun_launch, srun_step
from sluice_cli.environment import current_folder
from sluice_cli.inbox import Inbox
from sluice_cli.srun_loop import StepLoop
from sluice_cli.srun_output import OutputWriter
from sluice_cli.srun_report import Report
from sluice_cli.srun_signals import WATCHED, StepControl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sluice_cli.draft import Draft
    from sluice_cli.srun_files import Streams
    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.talk import Voice


class StepRun:
    """One step of job_id.  status: srun's exit status so far; outcome: (exit code, signal) for the job."""

    def __init__(self, job_id: int, draft: Draft, argv: Sequence[str], voice: Voice) -> None:
        self._job_id = job_id
        self._draft = draft
        self._argv = argv
        self._voice = voice
        self.status = 1
        self.outcome = (1, 0)

    def run(self, is_whole_job: bool) -> None:
        """is_whole_job: the allocation is srun's own, and its tasks are the step's.

        Raises OptionError, NoStep or a SluiceError before anything runs.
        """
        folder = current_folder()
        spec = srun_step.step_spec(self._draft, self._argv)
        if is_whole_job:
            spec["ntasks"] = self._draft.spec["ntasks"]
        created = srun_step.create(self._job_id, spec, self._voice)
        try:
            self._check_programs(created)
            streams = srun_files.open_streams(self._draft, created, folder)
            links = srun_launch.connect(created)
            self._prolog("prolog", created.get("srun_prolog", ""))
        except srun_launch.LaunchFailed as failure:
            self._tell_launch_failure(created, failure)
            self._release(created)
            return
        except BaseException:
            self._release(created)
            raise
        self._run_linked(created, streams, links)
        self._prolog("epilog", created.get("srun_epilog", ""))

    def _check_programs(self, created: dict[str, Any]) -> None:
        if self._draft.own.get("multi-prog"):
            text = self._draft.own["multi-prog-text"]
            ntasks = sum(part["ntasks"] for part in created["step"]["nodes"])
            multi_prog.check(text, self._argv[0], ntasks)

    def _run_linked(self, created: dict[str, Any], streams: Streams, links: list[NodeLink]) -> None:
        voice, draft = self._voice, self._draft
        name = f"{self._job_id}.{created['step']['step_id']}"
        size = self._terminal_size()
        if size is not None:
            streams.std_in = "0"
        report = Report(voice, name)
        control = StepControl(name, links, draft, report, voice, created.get("kill_wait_s", 30.0), size is not None)
        ntasks = sum(len(link.ranks) for link in links)
        writer = OutputWriter(
            streams.outputs, ntasks, bool(draft.own.get("label")), bool(draft.own.get("unbuffered") or size)
        )
        body = srun_launch.launch_body(created, draft, self._argv, streams, size)
        body["is_verbose"] = voice.verbosity > 0
        if ntasks > 1 and draft.own.get("mpi") != "none" and not draft.own.get("launch"):
            self._tell_mpi(body)
        inbox.ignore(inbox.SIGTTIN)
        with Inbox(WATCHED) as signals, self._terminal(size):
            try:
                srun_launch.launch(links, body)
            except srun_launch.LaunchFailed as failure:
                self._tell_launch_failure(created, failure)
                self._release(created)
                srun_launch.close(links)
                return
            for link in links:
                voice.verbose(f"launching StepId={name} on host {link.node}, {len(link.ranks)} tasks")
            StepLoop(links, streams, writer, control, signals).run()
        srun_launch.close(links)
        report.tell_force()
        self.status, self.outcome = report.status, report.outcome
        if writer.problem:
            voice.error(f"the output of the tasks could not be written: {writer.problem}; some of it is lost")
            self.status = self.status or 1

    def _tell_mpi(self, body: dict[str, Any]) -> None:
        """Warn of ranks that will not find each other, unless that was asked for."""
        from sluice_cli import linked_mpi

        if text := linked_mpi.hint(self._argv[0], body["work_dir"], os.environ.get("PATH", ""), body["mpi"]):
            self._voice.info(f"warning: {text}")

    def _terminal_size(self) -> tuple[int, int] | None:
        """Return (rows, columns) of the user's terminal for --pty; None without either."""
        if not self._draft.own.get("pty"):
            return None
        from sluice_cli import srun_terminal

        try:
            return srun_terminal.size()
        except OSError as error:
            self._voice.error(f"ioctl(TIOCGWINSZ): {error.strerror}")
            self._voice.error("Not using a pseudo-terminal, disregarding --pty option")
            return None

    def _terminal(self, size: tuple[int, int] | None) -> contextlib.AbstractContextManager[object]:
        if size is None:
            return contextlib.nullcontext()
        from sluice_cli.srun_terminal import Terminal

        return Terminal()

    def _tell_launch_failure(self, created: dict[str, Any], failure: srun_launch.LaunchFailed) -> None:
        step = f"{self._job_id}.{created['step']['step_id']}"
        self._voice.error(f"Task launch for StepId={step} failed on node {failure.node}: {failure.reason}")
        self._voice.error("Application launch failed: Communication connection failure")

    def _release(self, created: dict[str, Any]) -> None:
        """Give the step's resources back; the job's end does it where the controller does not answer."""
        body = {"job_id": self._job_id, "step_id": created["step"]["step_id"], "exit_code": 1}
        with contextlib.suppress(SluiceError):
            client.call("FinishStep", body)

    def _prolog(self, key: str, of_site: str) -> None:
        """Run the program of --prolog or --epilog here, or else the site's."""
        program = self._draft.own.get(key, of_site)
        if not program or program.lower() == "none":
            return
        environment = {
            **os.environ,
            "SLURM_JOB_ID": str(self._job_id),
            "SLURM_SCRIPT_CONTEXT": f"{key}_srun",
        }
        try:
            os.waitpid(os.posix_spawn(program, [program], environment), 0)
        except OSError as error:
            self._voice.error(f"{key}: {program}: {error.strerror}")
