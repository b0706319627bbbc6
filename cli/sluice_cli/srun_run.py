"""A step from its creation to its end: streams opened, nodes reached, tasks run, the status known."""

from __future__ import annotations

import contextlib
import os

from sluice.errors import SluiceError
from sluice_cli import client, inbox, multi_prog, srun_files, srun_launch, srun_programs, srun_step
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
    from sluice_cli.srun_bcast import Program
    from sluice_cli.srun_files import Streams
    from sluice_cli.srun_launch import NodeLink
    from sluice_cli.step_maker import StepMaker
    from sluice_cli.talk import Voice
    from sluice_cli.waiting import Question
    from sluice_cli.x11 import Displays


#: What the agent of an emulated node says of its machine.
_EMULATED = "emulated"
#: model.base.INTERACTIVE_STEP, which a light module does not load.
_SPECIAL = {-6: "interactive"}


class Part:
    """What a step runs in one job: the whole of it, or in one component of a heterogeneous job.

    created: StepCreated, once the step exists.
    """

    def __init__(self, job_id: int, draft: Draft, argv: Sequence[str]) -> None:
        self.job_id = job_id
        self.draft = draft
        self.argv = argv
        self.created: dict[str, Any] = {}
        self.links: list[NodeLink] = []
        self.program: Program | None = None
        self.displays: Displays = {}

    @property
    def name(self) -> str:
        step_id = self.created["step"]["step_id"]
        return f"{self.job_id}.{_SPECIAL.get(step_id, step_id)}"

    def spec(self, is_whole_job: bool) -> dict[str, Any]:
        spec = srun_step.step_spec(self.draft, self.argv)
        if is_whole_job:
            spec["ntasks"] = self.draft.spec["ntasks"]
        return spec

    @property
    def ntasks(self) -> int:
        return sum(part["ntasks"] for part in self.created["step"]["nodes"])

    def check_programs(self) -> None:
        """Raise OptionError for a --multi-prog file that does not fit the step."""
        if self.draft.own.get("multi-prog"):
            multi_prog.check(self.draft.own["multi-prog-text"], self.argv[0], self.ntasks)

    def broadcast(self, maker: StepMaker, voice: Voice) -> None:
        """--bcast: put the executable on the nodes.  Raises OptionError."""
        if "bcast" in self.draft.other:
            from sluice_cli import srun_bcast

            self.program = srun_bcast.send(self.name, maker, self.draft, self.argv[0], voice)

    def forward_x11(self, stack: contextlib.ExitStack) -> None:
        """--x11: as long as *stack* is open.  Raises OptionError."""
        if "x11" in self.draft.other:
            from sluice_cli import x11

            created = self.created
            self.displays = stack.enter_context(x11.forwarding(self.draft, created["addresses"], created["credential"]))


class StepRun:
    """One step.  status: srun's exit status so far; outcome: (exit code, signal) for the job.

    What concerns all of the step is what the first part says: streams, the terminal, how it ends.
    """

    def __init__(self, parts: Sequence[Part], maker: StepMaker, voice: Voice) -> None:
        self._parts = parts
        self._maker = maker
        self._draft = parts[0].draft
        self._voice = voice
        self._hold: Question | None = None
        self.status = 1
        self.outcome = (1, 0)

    def run(self, hold: Question | None = None) -> None:
        """hold: of an allocation that is srun's own; its tasks are the step's.

        Raises OptionError, NoStep or a SluiceError before anything runs.
        """
        self._hold = hold
        folder = current_folder()
        specs = [(part.job_id, part.spec(is_whole_job=hold is not None)) for part in self._parts]
        for part, created in zip(self._parts, srun_step.create(specs, self._maker, self._voice), strict=True):
            part.created = created
        with contextlib.ExitStack() as displays:
            self._run_created(folder, displays)

    def _run_created(self, folder: str, displays: contextlib.ExitStack) -> None:
        """displays: what is to last as long as the tasks do."""
        try:
            for part in self._parts:
                part.check_programs()
            ntasks = sum(part.ntasks for part in self._parts)
            streams = srun_files.open_streams(self._draft, self._parts[0].created, ntasks, folder)
            for part in self._parts:
                part.links = srun_launch.connect(part.created)
            # While srun is connected, nobody gives the step up, however long files take.
            for part in self._parts:
                part.broadcast(self._maker, self._voice)
                part.forward_x11(displays)
            srun_programs.run_prolog(self._parts[0], self._voice)
            size = self._terminal_size()
            self._write_launches(streams, size)
            control, writer = self._listeners(streams, size)
        except srun_launch.LaunchFailed as failure:
            self._tell_launch_failure(failure)
            self._release()
            return
        except srun_programs.PrologFailed:
            self._release()
            srun_launch.close(self._links)
            srun_programs.run_epilog(self._parts[0], self._voice)
            return
        except BaseException:
            self._release()
            raise
        self._run_linked(streams, size, control, writer)
        self._maker.wait_end(self._parts[0].created)
        if self._hold is not None:
            # The controller may have been restarted meanwhile, and the step told it no longer that srun is here.
            self._hold.renew()
        srun_programs.run_epilog(self._parts[0], self._voice)

    def _listeners(self, streams: Streams, size: tuple[int, int] | None) -> tuple[StepControl, OutputWriter]:
        """Return what hears of the step and what of its output, once it is launched."""
        draft, links = self._draft, self._links
        ntasks = sum(len(link.ranks) for link in links)
        is_unbuffered = bool(draft.own.get("unbuffered") or size)
        writer = OutputWriter(streams.outputs, ntasks, bool(draft.own.get("label")), is_unbuffered)
        if ntasks > 1 and draft.own.get("mpi") != "none" and not draft.own.get("launch"):
            self._tell_mpi(links[0].body)
        return self._control(links, size is not None), writer

    def _run_linked(
        self, streams: Streams, size: tuple[int, int] | None, control: StepControl, writer: OutputWriter
    ) -> None:
        voice, links = self._voice, self._links
        inbox.ignore(inbox.SIGTTIN)
        with Inbox(WATCHED) as signals, self._terminal(size):
            try:
                srun_launch.launch(links)
            except srun_launch.LaunchFailed as failure:
                self._tell_launch_failure(failure)
                self._release()
                srun_launch.close(links)
                return
            for part in self._parts:
                for link in part.links:
                    voice.verbose(f"launching StepId={part.name} on host {link.node}, {len(link.ranks)} tasks")
            StepLoop(links, streams, writer, control, signals).run()
        srun_launch.close(links)
        report = control.report
        report.tell_force()
        self.status, self.outcome = report.status, report.outcome
        if writer.problem:
            voice.error(f"the output of the tasks could not be written: {writer.problem}; some of it is lost")
            self.status = self.status or 1

    @property
    def _links(self) -> list[NodeLink]:
        return [link for part in self._parts for link in part.links]

    def _write_launches(self, streams: Streams, size: tuple[int, int] | None) -> None:
        if size is not None:
            streams.std_in = "0"
        for part in self._parts:
            body = srun_launch.launch_body(part.created, part.draft, part.argv, streams, size)
            body["is_verbose"] = self._voice.verbosity > 0
            for link in part.links:
                link.body = body
            if part.program is not None:
                part.program.place(part.links)
        if len(self._parts) > 1:
            from sluice_cli import srun_het

            srun_het.join(self._parts)
        for part in self._parts:
            if part.displays:
                from sluice_cli import x11

                x11.dress(part.links, part.displays)

    def _control(self, links: Sequence[NodeLink], has_terminal: bool) -> StepControl:
        first = self._parts[0]
        report = Report(self._voice, first.name)
        kill_wait_s = first.created.get("kill_wait_s", 30.0)
        control = StepControl(first.name, links, self._draft, report, self._voice, kill_wait_s, has_terminal)
        control.ids = [part.name for part in self._parts]
        return control

    def _tell_mpi(self, body: dict[str, Any]) -> None:
        """Warn of ranks that will not find each other, unless that was asked for."""
        from sluice_cli import linked_mpi

        if text := linked_mpi.hint(self._parts[0].argv[0], body["work_dir"], os.environ.get("PATH", ""), body["mpi"]):
            self._voice.info(f"Warning: {text}")

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

    def _tell_launch_failure(self, failure: srun_launch.LaunchFailed) -> None:
        step = self._parts[0].name
        self._voice.error(f"Task launch for StepId={step} failed on node {failure.node}: {failure.reason}")
        if _is_emulated(failure.node):
            self._voice.error(f"node {failure.node} is emulated: a job there is a timer, and nothing runs")
        self._voice.error("Application launch failed: Communication connection failure")

    def _release(self) -> None:
        """Give the step's resources back; the job's end does it where the controller does not answer."""
        for part in self._parts:
            body = {"job_id": part.job_id, "step_id": part.created["step"]["step_id"], "exit_code": 1}
            with contextlib.suppress(SluiceError):
                self._maker.call("FinishStep", body)


def _is_emulated(node: str) -> bool:
    """Tell whether the controller has *node* as one of those that stand for machines (sluice up --emulated)."""
    try:
        views = client.call("QueryNodes", {"names": node}).get("nodes", ())
    except SluiceError:
        return False
    return any((view["node"].get("inventory") or {}).get("arch") == _EMULATED for view in views)
