"""How tasks ended: the words on stderr, folded by node and kind of end, and srun's exit status.

Source: CONTRACT.md section 15 and the recorded cases.
"""

from __future__ import annotations

from sluice_cli.inbox import SIGKILL, SIGTERM, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluice_cli.talk import Voice

#: As sluice.model.states.OUT_OF_MEMORY_SIGNAL, whose import takes longer.
_OUT_OF_MEMORY = 125

#: (exit code, signal, was out of memory)
End = tuple[int, int, bool]


class Report:
    """Collects the tasks' ends; tell() says those that are new and not good."""

    def __init__(self, voice: Voice, step_name: str) -> None:
        self._voice = voice
        self._step_name = step_name
        self.ends: dict[int, End] = {}
        self._untold: dict[tuple[str, End], list[int]] = {}
        #: The step was ended from outside, and the user has been told.
        self.is_aborted = False
        #: Of the first task that has ended the whole step (MPI_Abort); others may follow it.  0: none has.
        self.abort_code = 0

    @property
    def has_untold(self) -> bool:
        return bool(self._untold)

    def add(self, node: str, task: int, end: End, has_aborted: bool) -> None:
        self.ends[task] = end
        if has_aborted:
            self.abort_code = self.abort_code or end[0]
        if end != (0, 0, False):
            self._untold.setdefault((node, end), []).append(task)

    def tell(self) -> None:
        for (node, end), tasks in sorted(self._untold.items(), key=lambda item: min(item[1])):
            self._voice.error(f"{node}: {task_list(tasks)}: {_words(end)}")
        self._untold.clear()

    def tell_force(self) -> None:
        """A step whose tasks died by somebody's signal, without a word before."""
        killed = any(number in (SIGKILL, SIGTERM) for _, number, _ in self.ends.values())
        if killed and not self.is_aborted:
            self._voice.info(f"Force Terminated StepId={self._step_name}")

    @property
    def status(self) -> int:
        """The highest exit code; a signal counts as 128 and its number.  After an abort it is that one's code."""
        worst = max((128 + number if number else code for code, number, _ in self.ends.values()), default=0)
        return self.abort_code or worst

    @property
    def outcome(self) -> tuple[int, int]:
        """The exit code and signal that stand for the whole step."""
        if any(is_out_of_memory for _, _, is_out_of_memory in self.ends.values()):
            return 0, _OUT_OF_MEMORY
        if self.abort_code:
            return self.abort_code, 0
        worst = max(self.ends.values(), key=lambda end: 128 + end[1] if end[1] else end[0], default=(0, 0, False))
        return worst[0], worst[1]


def _words(end: End) -> str:
    code, number, is_out_of_memory = end
    if is_out_of_memory:
        return "Out Of Memory"
    return describe(number) if number else f"Exited with exit code {code}"


def task_list(tasks: Iterable[int]) -> str:
    """Return `task 3` or `tasks 0-2,4-11`."""
    ordered = sorted(tasks)
    if len(ordered) == 1:
        return f"task {ordered[0]}"
    runs: list[list[int]] = []
    for task in ordered:
        if runs and task == runs[-1][1] + 1:
            runs[-1][1] = task
        else:
            runs.append([task, task])
    return "tasks " + ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
