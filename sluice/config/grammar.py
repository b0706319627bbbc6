r"""slurm.conf's grammar: files to logical lines of (key, value) pairs, in one pass.

    file    = { line }
    line    = [ pair { blanks pair } ] [ comment ]  |  "Include" blanks path
    pair    = key [ blanks ] "=" [ blanks ] value
    value   = '"' text '"' | word                     a word may hold further "="
    comment = "#" up to the end of the line           "\#" is a plain "#", and so is one in quotes

A backslash at the end of a line (after its comment is gone) joins the next line.  A word after "Key= "
that looks like a pair is one: "Nodes= State=UP" gives an empty Nodes.  Include paths are relative to
the file they stand in, and %c in them is the ClusterName seen so far.

What keys mean is schema.py's and the builders'.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from sluice.config.light import FILE_BYTES_MAX, INCLUDE_DEPTH_MAX
from sluice.config.problems import Problems

#: The folder beside the main file whose *.conf are read after it, in name order.
PARTITIONS_FOLDER = "partitions.d"

_PAIR = re.compile(
    r'\s*([^\s=]+)(?:[ \t]+=[ \t]*|=[ \t]*(?![^\s=,"]+=)|=)'  # the key, and whether a pair follows an empty value
    r'(?:"([^"]*)"(?=\s|$)|([^\s"]\S*)|(?=\s|$))'  # quoted, a word, or nothing
)
_COMMENT = re.compile(r'((?:[^"#\\]|\\.|\\$|"[^"]*"|")*?)(?:#.*)?$', re.DOTALL)
_INCLUDE = re.compile(r"\s*include\s+(\S.*?)\s*$", re.IGNORECASE)


def read_bounded(path: Path) -> bytes:
    """Return what the file holds, at most a byte more than is taken: a device tells no size and may have no end."""
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One logical line: where it starts and its pairs as written."""

    file: str
    number: int
    pairs: tuple[tuple[str, str], ...]


class Document(msgspec.Struct, frozen=True):
    """Everything that was read: lines in reading order, file paths, a digest of names and contents."""

    lines: tuple[Line, ...]
    files: tuple[str, ...]
    digest: str


def read_document(path: Path, problems: Problems, *, with_partitions_folder: bool = False) -> Document:
    """Return the logical lines of *path* and all it includes; what cannot be read is reported to *problems*."""
    reader = _Reader(problems)
    reader.read_file(path, "", 0)
    if with_partitions_folder:
        for each in sorted((path.parent / PARTITIONS_FOLDER).glob("*.conf")):
            reader.read_file(each, str(path), 0)
    return Document(tuple(reader.lines), tuple(reader.files), reader.digest.hexdigest())


def split_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return the (key, value) pairs of one logical line without comment.

    Raises ValueError naming the text that is no pair.
    """
    if '"' not in text:
        words = text.split()
        if all("=" in word and word[0] != "=" and word[-1] != "=" for word in words):
            return tuple([(key, value) for key, _, value in [word.partition("=") for word in words]])
    pairs = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _PAIR.match(text, position)
        if match is None:
            raise ValueError(f"{text[position:end].strip()!r} is not Key=Value")
        pairs.append((match[1], match[2] or match[3] or ""))
        position = match.end()
    return tuple(pairs)


class _Reader:
    """The state of one reading: what was read so far and which files are open."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.lines: list[Line] = []
        self.files: list[str] = []
        self.digest = hashlib.sha256()
        self._open: list[Path] = []
        self._cluster_name = ""

    def read_file(self, path: Path, from_file: str, from_line: int) -> None:
        real = path.resolve()
        if real in self._open or len(self._open) >= INCLUDE_DEPTH_MAX:
            story = " -> ".join(map(str, [*self._open, real]))
            wrong = "includes itself" if real in self._open else f"more than {INCLUDE_DEPTH_MAX} files deep"
            self.problems.error(from_file, from_line, "Include", f"{wrong}: {story}")
            return
        text = self._load(path, from_file, from_line)
        if text is None:
            return
        self._open.append(real)
        self._read_lines(path, text)
        self._open.pop()

    def _load(self, path: Path, from_file: str, from_line: int) -> str | None:
        where = (from_file, from_line, "Include") if from_line else (str(path), 0, "")
        try:
            content = read_bounded(path)
            if len(content) > FILE_BYTES_MAX:
                self.problems.error(*where, f"{str(path)!r} has more than {FILE_BYTES_MAX} bytes")
                return None
            text = content.decode()
        except OSError as error:
            which = f"{str(path)!r} " if from_line else ""
            self.problems.error(*where, f"{which}cannot be read: {(error.strerror or str(error)).lower()}")
            return None
        except UnicodeDecodeError as error:
            self.problems.error(*where, f"{str(path)!r} is not UTF-8: byte {error.start}")
            return None
        self.files.append(str(path))
        # Lengths are hashed too, so that no text can move from one file into the next unnoticed.
        self.digest.update(f"{path.name}\0{len(content)}\0".encode())
        self.digest.update(content)
        return text

    def _read_lines(self, path: Path, text: str) -> None:
        file = str(path)
        joined = ""
        start = 0
        for number, physical in enumerate(text.split("\n"), 1):
            line = physical.rstrip()
            if "#" in line:
                line = _without_comment(line)
            if not joined:
                start = number
            if line.endswith("\\"):
                joined += line[:-1]
                continue
            if joined:
                line, joined = joined + line, ""
            if line and not line.isspace():
                self._read_line(path, file, start, line)
        if joined:
            self._read_line(path, file, start, joined)

    def _read_line(self, path: Path, file: str, number: int, text: str) -> None:
        include = _INCLUDE.match(text) if text.lstrip()[:7].lower() == "include" else None
        if include:
            self._include(path, number, include[1])
            return
        try:
            pairs = split_pairs(text)
        except ValueError as error:
            self.problems.error(file, number, "", str(error))
            return
        if len(pairs) == 1 and pairs[0][0].lower() == "clustername":
            self._cluster_name = pairs[0][1].lower()
        self.lines.append(Line(file, number, pairs))

    def _include(self, path: Path, number: int, name: str) -> None:
        if "%c" in name and not self._cluster_name:
            self.problems.error(str(path), number, "Include", f"{name!r} needs ClusterName on a line above")
            return
        name = name.strip('"').replace("%c", self._cluster_name)
        self.read_file(path.parent / name, str(path), number)


def _without_comment(line: str) -> str:
    if "\\" not in line and '"' not in line:
        return line[: line.index("#")].rstrip()
    match = _COMMENT.match(line)
    assert match is not None, "the comment pattern matches every line"
    return match[1].replace("\\#", "#").rstrip()
