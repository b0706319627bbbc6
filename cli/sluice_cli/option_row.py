"""One row of the table of job options."""

from __future__ import annotations

from sluice_cli.getopt import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice_cli.draft import Draft

    Setter = Callable[[Draft, "JobOption", str | None], None]


class JobOption(Option):
    """An option of the submitting commands.

    commands: letters of those that have it, b sbatch, a salloc, r srun.
    field: what the setter sets.  stem: its variable after SBATCH_ and SALLOC_; variables: srun's, complete, in
    rising order of precedence.
    """

    __slots__ = ("commands", "field", "setter", "stem", "variables")

    def __init__(
        self,
        names: str,
        letter: str,
        argument: int,
        commands: str,
        setter: Setter,
        field: str = "",
        stem: str = "",
        variables: str = "",
        metavar: str = "",
        help: str = "",
    ) -> None:
        super().__init__(names, letter, argument, metavar, help)
        self.commands = commands
        self.setter = setter
        self.field = field or self.key
        self.stem = stem
        self.variables = variables.split()
