"""Who may import whom: the arrows between the packages, and what the pure rooms must not know."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

#: Package -> (its folder, the packages of ours that it may import besides itself).
ARROWS: dict[str, tuple[str, frozenset[str]]] = {
    "sluice": ("sluice", frozenset()),
    "sluice_plugins": ("plugins/sluice_plugins", frozenset({"sluice"})),
    "sluice_migrations": ("migrations/sluice_migrations", frozenset()),
    "sluicectld": ("controller/sluicectld", frozenset({"sluice", "sluice_plugins", "sluice_migrations"})),
    "sluiced": ("nodeagent/sluiced", frozenset({"sluice", "sluice_plugins"})),
    "sluice_cli": ("cli/sluice_cli", frozenset({"sluice"})),
}

#: Room -> what nothing in it may import: the pure rooms know neither time, chance, disk nor network.
PURE_ROOMS = {
    "controller/sluicectld/fairshare": frozenset({"asyncio", "time", "random", "logging", "sqlalchemy"}),
    "controller/sluicectld/scheduler": frozenset({"asyncio", "time", "random", "logging", "sqlalchemy"}),
    "controller/sluicectld/state": frozenset({"asyncio", "time", "random", "logging", "sqlalchemy"}),
}

#: Modules of the plugins' package that daemons may name; the built-in plugins are found by entry point.
PLUGIN_DOORS = ("sluice_plugins.interfaces", "sluice_plugins.registry")

#: What a command may not import at its start: each costs milliseconds of every call.
HEAVY = ("msgspec", "click", "typing", "dataclasses", "enum", "re", "json", "argparse", "asyncio", "logging")
DROP_INS = ("sbatch", "srun", "salloc", "squeue", "scancel", "sinfo", "scontrol", "sacct")


class Import(NamedTuple):
    """One import statement: file, line, and the full name of what is imported."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: imports {self.name}"


def imports_below(folder: str) -> Iterator[Import]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield from imports_of(path)


def imports_of(path: Path) -> Iterator[Import]:
    """Yield every import of a file, in functions and under TYPE_CHECKING too."""
    file = str(path.relative_to(ROOT))
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(file, node.lineno, f"{module}.{alias.name}") for alias in node.names)


def module_of(path: Path) -> str:
    """Return the dotted name of a file of ours."""
    for package, (folder, _) in ARROWS.items():
        if path.is_relative_to(ROOT / folder):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            return ".".join([package, *(part for part in parts if part != "__init__")])
    raise AssertionError(f"{path} is in none of our packages")


def told(imports: list[Import]) -> str:
    return "\n".join(map(str, imports))


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    folder, allowed = ARROWS[package]

    wrong = [
        each
        for each in imports_below(folder)
        if (top := each.name.partition(".")[0]) in ARROWS and top != package and top not in allowed
    ]

    assert not wrong, told(wrong)


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_a_pure_room_knows_no_outside(room: str) -> None:
    wrong = [each for each in imports_below(room) if each.name.partition(".")[0] in PURE_ROOMS[room]]

    assert not wrong, told(wrong)


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_a_pure_room_imports_no_shell(room: str) -> None:
    """Of the controller only pure rooms and the records of a transaction, of the wire only its messages."""
    pure = tuple(path.replace("controller/", "").replace("/", ".") for path in PURE_ROOMS)
    doors = (*pure, "sluicectld.store.batch", "sluice.wire.messages")
    outside = ("sluicectld.", "sluice.wire.")

    wrong = [each for each in imports_below(room) if each.name.startswith(outside) and not each.name.startswith(doors)]

    assert not wrong, told(wrong)


@pytest.mark.parametrize("package", ["sluicectld", "sluiced"])
def test_daemons_name_no_built_in_plugin(package: str) -> None:
    folder, _ = ARROWS[package]

    wrong = [
        each
        for each in imports_below(folder)
        if each.name.startswith("sluice_plugins") and not each.name.startswith(PLUGIN_DOORS)
    ]

    assert not wrong, told(wrong)


def test_a_package_init_is_its_map_alone() -> None:
    """No re-exports: what a package's __init__ imports, every user of one of its modules would pay for."""
    wrong = [
        each for _, (folder, _) in ARROWS.items() for each in imports_below(folder) if each.file.endswith("__init__.py")
    ]

    assert not wrong, told(wrong)


@pytest.mark.parametrize("command", DROP_INS)
def test_a_drop_in_starts_light(command: str) -> None:
    """What a command has imported before its main() is called."""
    program = f"import sys, sluice_cli.{command}; print(*sys.modules)"
    # -S: what .pth files of the test tools import is not the command's doing.
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & set(HEAVY)
