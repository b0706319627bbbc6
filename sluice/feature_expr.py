"""Feature expressions: which nodes suit a job, (a100|h100)&ib.

    expr   = term { "|" term }
    term   = factor { "&" factor }
    factor = ( name | "(" expr ")" | "[" expr "]" ) [ "*" count ]

An expression is a tree of tuples: ("name", n), ("and", x, y, ...), ("or", x, y, ...), ("count", x, n) and
("match", x) for brackets.  Plain ones speak of one node: & and |.  The others speak of the whole
allocation: a*4 wants four nodes with a, [a*2&b*1] counts of each, [a|b] all nodes alike.  evaluate() answers
for one node in both cases; ways() and counts() tell what is to hold for all nodes together.
"""

from __future__ import annotations

from sluice.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Any

    # A tree is a tuple whose members are trees, names and counts; the type system has no short word for it.
    Tree = tuple[Any, ...]

#: Parentheses and brackets within one another.
DEPTH_MAX = 32
#: Characters of one expression.
LENGTH_MAX = 4096
#: Ways of one expression.
WAYS_MAX = 64
_COUNT_DIGITS_MAX = 7
_SPECIAL = "&|()[]*,"
_CLOSING = {"(": ")", "[": "]"}


def parse(text: str) -> Tree:
    """Return the tree of *text*.

    Raises InvalidRequest with what was expected where.
    """
    if len(text) > LENGTH_MAX:
        raise InvalidRequest(f"constraint of {len(text)} characters, at most {LENGTH_MAX} allowed", "invalid_feature")
    parser = _Parser(text)
    tree = parser.read_or(0)
    if parser.peek():
        raise parser.refusal("'&', '|' or the end")
    return tree


def evaluate(tree: Tree, features: Container[str]) -> bool:
    """Tell whether a node with these *features* suits *tree*.

    Of a bracket with counts a node serves one part, so there "and" asks for any part of it.
    """
    kind = tree[0]
    if kind == "name":
        return tree[1] in features
    if kind == "and":
        return all(evaluate(part, features) for part in tree[1:])
    if kind == "or":
        return any(evaluate(part, features) for part in tree[1:])
    if kind == "match" and tree[1][0] == "and" and not is_plain(tree[1]):
        return any(evaluate(part, features) for part in tree[1][1:])
    return evaluate(tree[1], features)


def ways(tree: Tree) -> list[Tree]:
    """Return the expressions of which one must suit all nodes of an allocation: the parts of [a|b], else *tree* alone.

    Of a great many ways only the first WAYS_MAX are told.
    """
    kind = tree[0]
    if kind == "name":
        return [tree]
    if kind == "count":
        return [("count", way, tree[2]) for way in ways(tree[1])]
    if kind == "match":
        inner = tree[1]
        if inner[0] == "or":
            return [way for part in inner[1:] for way in ways(part)][:WAYS_MAX]
        return [tree] if inner[0] == "and" and not is_plain(inner) else ways(inner)
    choices: list[Tree] = [(kind,)]
    for part in tree[1:]:
        choices = [(*choice, way) for choice in choices for way in ways(part)][:WAYS_MAX]
    return choices


def counts(tree: Tree) -> list[tuple[Tree, int]]:
    """Return (expression, how many nodes at least must suit it) for all that *tree* counts.

    Of [a*2&b] b counts as one.
    """
    kind = tree[0]
    if kind == "count":
        return [(tree[1], tree[2])]
    if kind == "match" and tree[1][0] == "and" and not is_plain(tree[1]):
        return [found for part in tree[1][1:] for found in counts(part) or [(part, 1)]]
    if kind == "match":
        return counts(tree[1])
    return [found for part in tree[1:] for found in counts(part)] if kind == "and" else []


def suits_nodes(tree: Tree, nodes: Sequence[Container[str]]) -> bool:
    """Tell whether nodes with these features may be one allocation: the meaning of *tree*, for one set of nodes."""
    for way in ways(tree):
        if all(evaluate(way, features) for features in nodes) and all(
            sum(evaluate(part, features) for features in nodes) >= count for part, count in counts(way)
        ):
            return True
    return False


def is_plain(tree: Tree) -> bool:
    """Tell whether *tree* speaks of each node alone: no counts, no brackets."""
    kind = tree[0]
    return kind == "name" or (kind in ("and", "or") and all(is_plain(part) for part in tree[1:]))


def names(tree: Tree) -> list[str]:
    """Return the features that *tree* names, each once, in written order."""
    if tree[0] == "name":
        return [tree[1]]
    parts = tree[1:2] if tree[0] in ("count", "match") else tree[1:]
    return list(dict.fromkeys(name for part in parts for name in names(part)))


def format_tree(tree: Tree) -> str:
    """Return the notation of *tree*, with the parentheses it needs."""
    kind = tree[0]
    if kind == "name":
        return str(tree[1])
    if kind == "match":
        return f"[{format_tree(tree[1])}]"
    if kind == "count":
        return f"{_enclosed(tree[1], ('and', 'or', 'count'))}*{tree[2]}"
    if kind == "and":
        return "&".join(_enclosed(part, ("and", "or")) for part in tree[1:])
    return "|".join(_enclosed(part, ("or",)) for part in tree[1:])


def _enclosed(tree: Tree, kinds: tuple[str, ...]) -> str:
    text = format_tree(tree)
    return f"({text})" if tree[0] in kinds else text


class _Parser:
    """Recursive descent over the text; read_* moves the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> str:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]

    def read_or(self, depth: int) -> Tree:
        return self._read_list("or", "|", depth)

    def _read_list(self, kind: str, operator: str, depth: int) -> Tree:
        parts = []
        while True:
            parts.append(self._read_list("and", "&", depth) if kind == "or" else self.read_factor(depth))
            if self.peek() != operator:
                return parts[0] if len(parts) == 1 else (kind, *parts)
            self.position += 1

    def read_factor(self, depth: int) -> Tree:
        opening = self.peek()
        if opening in _CLOSING:
            tree = self._read_enclosed(opening, depth)
        else:
            tree = ("name", self._read_word("a feature name"))
        if self.peek() != "*":
            return tree
        self.position += 1
        digits = self._read_word("a count")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _COUNT_DIGITS_MAX and int(digits)):
            self.position -= len(digits)
            raise self.refusal("a count")
        return ("count", tree, int(digits))

    def _read_enclosed(self, opening: str, depth: int) -> Tree:
        if depth >= DEPTH_MAX:
            raise self.refusal(f"at most {DEPTH_MAX} levels of parentheses")
        self.position += 1
        tree = self.read_or(depth + 1)
        if self.peek() != _CLOSING[opening]:
            raise self.refusal(f"'{_CLOSING[opening]}'")
        self.position += 1
        return ("match", tree) if opening == "[" else tree

    def _read_word(self, wanted: str) -> str:
        self.peek()
        end = self.position
        while end < len(self.text) and self.text[end] not in _SPECIAL and not self.text[end].isspace():
            end += 1
        word = self.text[self.position : end]
        if not word:
            raise self.refusal(wanted)
        self.position = end
        return word

    def refusal(self, wanted: str) -> InvalidRequest:
        found = repr(self.text[self.position : self.position + 20]) if self.position < len(self.text) else "the end"
        return InvalidRequest(
            f"{self.text[:80]!r} is not a constraint: expected {wanted}, found {found}", code="invalid_feature"
        )
