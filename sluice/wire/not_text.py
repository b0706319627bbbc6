"""Text that no frame can carry, because it is not UTF-8: which it is in a request, and what would work.

A light module.  Words and folders of other encodings come from command lines as surrogates (PEP 383); environments and
scripts are bytes on the wire and keep theirs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: How much of a long text is shown on either side of the bytes that are none.
_AROUND = 40
#: What the user knows the fields of requests by.
_NAMES = {
    "argv": "the word",
    "arguments": "the word",
    "work_dir": "the folder",
    "name": "the name",
    "std_in": "--input",
    "std_out": "--output",
    "std_err": "--error",
    "comment": "--comment",
    "multi_prog": "the --multi-prog file:",
}
_WORDS = ("argv", "arguments")
_RULE = "as the words, options and folders of a request have to be"
_ELSE = "hand such a name on in an environment variable, in the script or by --wrap"
_ADVICE = {"name": "-J gives another"} | dict.fromkeys((*_WORDS, "work_dir", "std_in", "std_out", "std_err"), _ELSE)


def complaint(body: object) -> str:
    """Return what to tell of a request that could not be encoded.  A word counts before what is derived of it."""
    found = [(key, error) for key, text in _texts(body, "") if (error := _problem(text)) is not None]
    key, error = min(found, key=lambda each: each[0] not in _WORDS)
    shown = error.object[max(0, error.start - _AROUND) : error.end + _AROUND]
    text = shown.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    what = f"{_NAMES.get(key, 'the text')} '{text}' is not UTF-8, {_RULE}"
    return f"{what}; {_ADVICE[key]}" if key in _ADVICE else what


def _problem(text: str) -> UnicodeEncodeError | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error
    return None


def _texts(value: object, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text with the key of the map that it is in."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(name, key)
            yield from _texts(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, key)
