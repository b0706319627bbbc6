"""Command lines as GNU getopt_long reads them, from a table of options.

    TABLE = OptionTable(
        Option("states", "t", REQUIRED, "states", "comma separated job states"),
        Option("noheader", "h", help="no headers on output"),
        Option("cluster clusters", "M", REQUIRED, "names"),
        Option("json", argument=OPTIONAL, metavar="version"),
    )
    found, positionals = TABLE.parse(["-ht", "R,PD", "--json=v1", "12", "--clu", "a"])
    # found: [("noheader", None), ("states", "R,PD"), ("json", "v1"), ("cluster", "a")]; positionals: ["12"]

An option is found under the first of its long names, in the order of the command line; repeated options are found
repeatedly.  Long names may be abbreviated while unambiguous, short options cluster, a required value may be the rest
of the word or the next word (whatever it is), an optional one only the rest of the word; NEXT_WORD is an optional one
that may also be the next word, where that is no option.  `--` ends the options.
UsageError carries getopt's text; talk.usage_error() prints it as the commands do.

Source: getopt_long(3); CONTRACT.md section 1.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Found = list[tuple[str, str | None]]

NO_ARGUMENT = 0
REQUIRED = 1
OPTIONAL = 2
NEXT_WORD = 3


class UsageError(Exception):
    """A command line that getopt_long refuses; the text is the one it prints after the program's name.

    where: what is told before it, where the words are not those of the command line.
    """

    where = ""


class PlacedOption(tuple["str", "str | None"]):
    """A found option that was not on the command line: (key, value), and the words that say where it was."""

    where: str

    def __new__(cls, key: str, value: str | None, where: str) -> PlacedOption:
        made = super().__new__(cls, (key, value))
        made.where = where
        return made


class Option:
    """One row: long names (separated by blanks, the first is the key), letter, what argument it takes, help."""

    __slots__ = ("argument", "help", "key", "letter", "metavar", "names")

    def __init__(
        self, names: str, letter: str = "", argument: int = NO_ARGUMENT, metavar: str = "", help: str = ""
    ) -> None:
        self.names = names.split()
        self.key = self.names[0]
        self.letter = letter
        self.argument = argument
        self.metavar = metavar
        self.help = help


class OptionTable:
    """The options of one command.

    stops_at_positional: the first word that is no option ends them (sbatch, salloc, srun); otherwise options
    and positionals mix freely.
    """

    def __init__(self, *options: Option, stops_at_positional: bool = False) -> None:
        self.options = options
        self.stops_at_positional = stops_at_positional
        self._by_name = {name: option for option in options for name in option.names}
        self._by_letter = {option.letter: option for option in options if option.letter}

    def parse(self, words: Sequence[str]) -> tuple[Found, list[str]]:
        """Return the options found, as (key, value or None), and the positional words.

        Raises UsageError.
        """
        found: Found = []
        positionals: list[str] = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if word == "--":
                positionals += words[position:]
                break
            if word.startswith("--"):
                position += self._read_long(word, words[position : position + 1], found)
            elif len(word) > 1 and word[0] == "-":
                position += self._read_cluster(word, words[position : position + 1], found)
            else:
                positionals.append(word)
                if self.stops_at_positional:
                    positionals += words[position:]
                    break
        return found, positionals

    def resolve(self, typed: str) -> Option:
        """Return the option of the long name *typed* (without dashes), complete or abbreviated.

        Raises UsageError; *typed* may carry its =value for the message.
        """
        name = typed.partition("=")[0]
        option = self._by_name.get(name)
        if option is not None:
            return option
        # In the order of the table: getopt_long lists them so, and the recorded texts keep it.
        candidates = [each for each in self._by_name if each.startswith(name)] if name else []
        if not candidates:
            raise UsageError(f"unrecognized option '--{typed}'")
        options = {id(self._by_name[each]) for each in candidates}
        if len(options) > 1:
            names = " ".join(f"'--{each}'" for each in candidates)
            raise UsageError(f"option '--{typed}' is ambiguous; possibilities: {names}")
        return self._by_name[candidates[0]]

    def _read_long(self, word: str, rest: Sequence[str], found: Found) -> int:
        """Add a long option to *found*; return how many words of *rest* it took."""
        typed, equals, value = word[2:].partition("=")
        option = self.resolve(word[2:])
        full_name = typed if typed in option.names else next(each for each in option.names if each.startswith(typed))
        if equals:
            if option.argument == NO_ARGUMENT:
                raise UsageError(f"option '--{full_name}' doesn't allow an argument")
            found.append((option.key, value))
            return 0
        if not _takes(option, rest):
            found.append((option.key, None))
            return 0
        if not rest:
            raise UsageError(f"option '--{full_name}' requires an argument")
        found.append((option.key, rest[0]))
        return 1

    def _read_cluster(self, word: str, rest: Sequence[str], found: Found) -> int:
        """Add the short options of *word* to *found*; return how many words of *rest* they took."""
        for position in range(1, len(word)):
            letter = word[position]
            option = self._by_letter.get(letter)
            if option is None:
                raise UsageError(f"invalid option -- '{letter}'")
            if option.argument == NO_ARGUMENT:
                found.append((option.key, None))
                continue
            attached = word[position + 1 :]
            if attached or not _takes(option, rest):
                found.append((option.key, attached or None))
                return 0
            if not rest:
                raise UsageError(f"option requires an argument -- '{letter}'")
            found.append((option.key, rest[0]))
            return 1
        return 0


def _takes(option: Option, rest: Sequence[str]) -> bool:
    """Return whether the value of an option that has none in its own word is the next one."""
    if option.argument == NEXT_WORD:
        return bool(rest) and not rest[0].startswith("-")
    return option.argument == REQUIRED
