"""The file of srun --multi-prog: which program each rank runs.

    line  = ranks program { argument } | "#" comment
    ranks = "*" | range { "," range }

A backslash at the end of a line joins the next one to it, a comment's too, and stays: it takes the next line's first
character as it is.  "*" are the ranks that no line before it has; any other rank stands in one line.  %t in an argument
is the rank, %o its offset in the line's ranks.  Checked here, so that a mistake is told before anything runs; the nodes
get the text, with the lines joined.  Source: recorded from Slurm 22.05.
"""

from __future__ import annotations

from sluice_cli.draft import REFUSED_EXIT, OptionError


def read(path: str) -> str:
    """Return the file's text, its lines joined.  Raises OptionError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return join_lines(file.read())
    except OSError:
        raise _refusal(f"Could not open multi_prog config file {path}") from None


def join_lines(text: str) -> str:
    """Return the text with continued lines as one, where the first was; empty ones keep the place of the others."""
    joined: list[str] = []
    missing = 0
    is_continued = False
    for line in text.split("\n"):
        if is_continued:
            joined[-1] += line
            missing += 1
        else:
            joined += [""] * missing + [line]
            missing = 0
        is_continued = line.endswith("\\")
    return "\n".join(joined)


def check(text: str, path: str, ntasks: int) -> None:
    """Raise OptionError for a rank beyond the step's, or one without a program or with two."""
    named: set[int] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        spans = _spans(words[0], ntasks)
        if spans is None or len(words) < 2:
            raise _refusal(f"Line {number} of configuration file {path} invalid")
        for first, last in spans:
            if last >= ntasks:
                raise _refusal(
                    f"Invalid task id, {max(first, ntasks)} >= ntasks",
                    f"Line {number} of configuration file {path} invalid",
                )
            ranks = range(first, last + 1)
            if words[0] != "*" and (twice := named.intersection(ranks)):
                raise _refusal(
                    f"Duplicate record for task {min(twice)}", f"Line {number} of configuration file {path} invalid"
                )
            named.update(ranks)
    for rank in range(ntasks):
        if rank not in named:
            raise _refusal(f"Configuration file {path} invalid, no record for task id {rank}")


def highest_rank(text: str) -> int:
    """Return the highest rank that is named by number, -1 for none: the step is as large by default."""
    highest = -1
    for line in text.split("\n"):
        words = line.split()
        if words and words[0] != "*" and not words[0].startswith("#"):
            highest = max([highest, *(last for _, last in _spans(words[0], 0) or ())])
    return highest


def _spans(text: str, ntasks: int) -> list[tuple[int, int]] | None:
    """Return the ranges as (first, last); None for what is none."""
    if text == "*":
        return [(0, ntasks - 1)]
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return None
        span = int(first), int(last if dash else first)
        if span[0] > span[1]:
            return None
        spans.append(span)
    return spans


def _refusal(*lines: str) -> OptionError:
    return OptionError(*lines, exit_code=REFUSED_EXIT)
