"""Job id specifications: which jobs, array tasks or steps a user names, 123_[1-5,9].

    ids   = id { "," id }                    commas inside brackets belong to the id
    id    = job [ "_" tasks | "+" component ] [ "." step ]
    tasks = index | "[" indices [ "%" throttle ] "]" | "*"
    step  = number | "batch" | "extern" | "interactive"

indices are array_spec's; the throttle that squeue shows is read over, and so is "*", which means all tasks
as the job number alone does.  Whether such a job exists is the controller's to say.
"""

from __future__ import annotations

from sluice import array_spec
from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STEP_WORDS = ("batch", "extern", "interactive")
#: Ids that one list may name.
IDS_MAX = 100_000
_DIGITS_MAX = 10


class JobIdSpec:
    """One id: a job, some tasks of its array, a component of it, or a step of these."""

    __slots__ = ("component", "job_id", "step", "tasks")

    def __init__(
        self,
        job_id: int,
        tasks: array_spec.Ranges | None = None,
        component: int | None = None,
        step: str | None = None,
    ) -> None:
        self.job_id = job_id
        #: Array indices as ranges; None: the job itself or all its tasks.
        self.tasks = tasks
        #: Offset of a component of a heterogeneous job; None: not named.
        self.component = component
        #: A number in decimal or one of STEP_WORDS; None: the job, not a step.
        self.step = step

    @property
    def task(self) -> int | None:
        """The array index if exactly one is named."""
        return self.tasks[0][0] if self.tasks and array_spec.count(self.tasks) == 1 else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobIdSpec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"JobIdSpec({format_spec(self)!r})"

    def _key(self) -> tuple[object, ...]:
        return self.job_id, self.tasks, self.component, self.step


def parse(text: str) -> JobIdSpec:
    """Return the id that *text* names.

    Raises InvalidRequest "Invalid job id TEXT" if it is none.
    """
    head, dot, step = text.partition(".")
    job, underscore, task_text = head.partition("_")
    component: int | None = None
    tasks: array_spec.Ranges | None = None
    if underscore:
        tasks = _parse_tasks(task_text, text)
    elif "+" in job:
        job, _, component_text = job.partition("+")
        component = _number(component_text, text)
    job_id = _number(job, text)
    if not job_id or (dot and not _is_step(step)):
        raise _refusal(text)
    return JobIdSpec(job_id, tasks, component, (step if step in STEP_WORDS else str(int(step))) if dot else None)


def parse_list(text: str) -> list[JobIdSpec]:
    """Return the ids of a comma list, in written order; blanks and empty places count for nothing."""
    parts = _split_outside_brackets(text)
    if not parts:
        raise _refusal(text)
    if len(parts) > IDS_MAX:
        raise InvalidRequest(f"{len(parts)} job ids, at most {IDS_MAX} allowed", code="invalid_job_id")
    return [parse(part) for part in parts]


def format_spec(spec: JobIdSpec, length_max: int = 0) -> str:
    """Return the notation of *spec*; several tasks are in brackets, cut to *length_max* characters (0: never)."""
    text = str(spec.job_id)
    if spec.component is not None:
        text += f"+{spec.component}"
    if spec.tasks is not None:
        task = spec.task
        text += f"_[{array_spec.format_ranges(spec.tasks, 0, length_max)}]" if task is None else f"_{task}"
    return text if spec.step is None else f"{text}.{spec.step}"


def format_list(specs: Iterable[JobIdSpec]) -> str:
    """Return the comma list of *specs*."""
    return ",".join(map(format_spec, specs))


def _parse_tasks(task_text: str, text: str) -> array_spec.Ranges | None:
    if task_text == "*":
        return None
    if not task_text.startswith("["):
        index = _number(task_text, text)
        return ((index, index, 1),)
    if not task_text.endswith("]"):
        raise _refusal(text)
    try:
        return array_spec.parse(task_text[1:-1])[0]
    except InvalidRequest:
        raise _refusal(text) from None


def _split_outside_brackets(text: str) -> list[str]:
    parts: list[str] = []
    is_inside = False
    for piece in text.split(","):
        if is_inside:
            parts[-1] += "," + piece
        else:
            parts.append(piece)
        is_inside = parts[-1].count("[") > parts[-1].count("]")
    return [part.strip() for part in parts if part.strip()]


def _is_step(step: str) -> bool:
    return step in STEP_WORDS or _is_number(step)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def _number(digits: str, text: str) -> int:
    if not _is_number(digits):
        raise _refusal(text)
    return int(digits)


def _refusal(text: str) -> InvalidRequest:
    # The text is the one that users and tools know; CONTRACT section 15.
    return InvalidRequest(f"Invalid job id {text[:80]}", code="invalid_job_id")
