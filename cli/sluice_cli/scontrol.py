"""scontrol: look at and change the cluster, by one command or by a dialogue.

Source: CONTRACT section 8.
"""

from __future__ import annotations

import os
import sys

from sluice.errors import InvalidRequest, SluiceError
from sluice_cli import listing, talk
from sluice_cli.getopt import OPTIONAL, REQUIRED, Option, OptionTable
from sluice_cli.scontrol_session import Session, sentence
from sluice_cli.talk import Voice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Verb = Callable[[Session, list[str]], None]

SYNOPSIS = "[OPTIONS] [COMMAND]"
TABLE = OptionTable(
    Option("all", "a", help='equivalent to "all" command'),
    Option("cluster clusters", "M", REQUIRED, "names", "cluster to issue commands to"),
    Option("details", "d", help='equivalent to "details" command'),
    Option("federation", help="report federated job information if a member of one"),
    Option("future", "F", help="report nodes in future state"),
    Option("help", "h", help="equivalent to help command"),
    Option("hide", help='equivalent to "hide" command'),
    Option("json", argument=OPTIONAL, metavar="version", help="produce JSON output"),
    Option("local", help="report only local job information"),
    Option("oneliner", "o", help='equivalent to "oneliner" command'),
    Option("quiet", "Q", help='equivalent to "quiet" command'),
    Option("sibling", help="report sibling job information"),
    Option("uid", "u", REQUIRED, "uid", "update job as user ``uid''"),
    Option("usage", help="equivalent to help command"),
    Option("verbose", "v", help='equivalent to "verbose" command'),
    Option("version", "V", help="display tool version number"),
    Option("yaml", argument=OPTIONAL, metavar="version", help="produce YAML output"),
    Option("autocomplete", argument=REQUIRED, metavar="prefix"),
)

#: Fewest letters that name a verb; those of four letters and less are written out.
_LETTERS_MIN = 3
_LETTERS = {
    "version": 7,
    "update": 3,
    "reconfigure": 4,
    "requeuehold": 8,
    "resume": 4,
    "release": 4,
    "quit": 4,
    "verbose": 4,
}
#: Verbs on jobs that change their state.
_CHANGES = ("hold", "uhold", "release", "requeue", "requeuehold", "suspend", "resume", "top")
_UNAVAILABLE = (
    *("errnumstr", "fsdampeningfactor", "getaddrs", "getent", "listjobs", "liststeps", "power"),
    *("schedloglevel", "setdebugflags", "takeover", "token"),
)
_SWITCHES = ("all", "hide", "details", "oneliner", "quiet", "verbose", "exit", "quit", "help", "cluster")


def main(words: Sequence[str] | None = None) -> int:
    """Run scontrol; return its exit status."""
    voice = Voice("scontrol")
    answer = listing.read_command_line(voice, TABLE, sys.argv[1:] if words is None else words, SYNOPSIS)
    if isinstance(answer, int):
        return answer
    found, positionals = answer
    session = Session(voice)
    try:
        if not _apply_options(session, dict(found)):
            return listing.REFUSED_EXIT
        if positionals:
            run_command(session, positionals)
        else:
            _converse(session)
    except KeyboardInterrupt:
        return talk.INTERRUPTED_EXIT
    except SluiceError as error:
        session.fail(f"scontrol: error: {sentence(error)}")
    return session.exit_status


def _apply_options(session: Session, values: dict[str, str | None]) -> bool:
    session.shows_all = "all" in values or "SCONTROL_ALL" in os.environ
    session.has_details = "details" in values
    session.is_oneliner = "oneliner" in values
    session.voice.is_quiet = "quiet" in values
    session.structured = {key: "" for key in ("json", "yaml") if key in values}
    return listing.check_clusters(session.voice, values.get("cluster"))


def run_command(session: Session, words: list[str]) -> None:
    """Run one command; its failures are told and kept in the session's exit status."""
    name = _resolve(words[0])
    if not name:
        session.fail(f"invalid keyword: {words[0]}")
        return
    try:
        if name in _SWITCHES:
            _switch(session, name, words[1:])
        else:
            _verb(name)(session, words[1:])
    except SluiceError as error:
        session.forget_connection()
        session.fail(f"scontrol: error: {sentence(error)}")


def _resolve(typed: str) -> str:
    """Return the verb that *typed* names, in full or abbreviated; "" for none."""
    lower = typed.lower()
    names = (*_CHANGES, *_VERBS, *_UNAVAILABLE, *_SWITCHES)
    if lower in names:
        return lower
    for name in names:
        if len(lower) >= _LETTERS.get(name, _LETTERS_MIN) and name.startswith(lower):
            return name
    return ""


def _switch(session: Session, name: str, words: list[str]) -> None:
    if name in ("exit", "quit"):
        session.is_over = True
    elif name in ("all", "hide"):
        session.shows_all = name == "all"
    elif name == "details":
        session.has_details = True
    elif name == "oneliner":
        session.is_oneliner = True
    elif name in ("quiet", "verbose"):
        session.voice.is_quiet = name == "quiet"
    elif name == "help":
        talk.put_standard_answer("scontrol", "help", TABLE, SYNOPSIS)
        talk.put("\nCommands:\n  " + "\n  ".join(sorted((*_CHANGES, *_VERBS, *_SWITCHES))) + "\n")
    elif name == "cluster" and words and not listing.check_clusters(session.voice, words[0]):
        session.exit_status = 1


def _verb(name: str) -> Verb:
    """Return what does *name*.  Modules are loaded when they are needed: start-up is part of the speed."""
    if name in _CHANGES:
        from sluice_cli import scontrol_change

        return lambda session, words: scontrol_change.change_jobs(session, name, words)
    if name in _UNAVAILABLE:
        from sluice_cli import scontrol_admin

        return scontrol_admin.unavailable
    module, function = _VERBS[name].split(".")
    verb: Verb = getattr(__import__(f"sluice_cli.{module}", fromlist=[function]), function)
    return verb


_VERBS = {
    "cancel_reboot": "scontrol_update.cancel_reboot",
    "completing": "scontrol_admin.completing",
    "create": "scontrol_update.create",
    "delete": "scontrol_update.delete",
    "listpids": "scontrol_admin.list_pids",
    "notify": "scontrol_admin.notify",
    "pidinfo": "scontrol_admin.pid_info",
    "ping": "scontrol_admin.ping",
    "reboot": "scontrol_update.reboot",
    "reconfigure": "scontrol_admin.reconfigure",
    "setdebug": "scontrol_admin.set_debug",
    "show": "scontrol_show.show",
    "shutdown": "scontrol_admin.shutdown",
    "update": "scontrol_update.update",
    "version": "scontrol_admin.put_version",
    "wait_job": "scontrol_admin.wait_job",
    "write": "scontrol_admin.write",
}


def _converse(session: Session) -> None:
    """Read commands from stdin until it ends or says so; "!!" repeats the last one."""
    from sluice import shell_words

    last: list[str] = []
    while not session.is_over:
        talk.put("scontrol: ")
        line = sys.stdin.readline()
        if not line:
            talk.put("\n")
            return
        try:
            words = shell_words.split(line)
        except InvalidRequest as error:
            session.fail(f"scontrol: error: {error}")
            continue
        if words == ["!!"]:
            words = last
        if words:
            last = words
            run_command(session, words)
