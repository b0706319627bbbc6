"""The command line and the variables of squeue.  Source: CONTRACT section 5."""

from __future__ import annotations

import os

from sluice_cli.getopt import NEXT_WORD, OPTIONAL, REQUIRED, Option, OptionTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sluice_cli.getopt import Found

SYNOPSIS = "[OPTIONS]"

TABLE = OptionTable(
    Option("account", "A", REQUIRED, "account(s)", "comma separated list of accounts to view"),
    Option("all", "a", help="display jobs in hidden partitions"),
    Option("array", "r", help="display one job array element per line"),
    Option("array-unique", help="display one unique pending job array element per line"),
    Option("cluster clusters", "M", REQUIRED, "names", "cluster to issue commands to"),
    Option("expand-patterns", help="expand patterns in file names (always done)"),
    Option("federation", help="report federated information if a member of one"),
    Option("Format", "O", REQUIRED, "format", "format by names of fields"),
    Option("format", "o", REQUIRED, "format", "format by letters"),
    Option("helpformat", help="show the names of the fields"),
    Option("helpstate", help="show the names of the states"),
    Option("hide", help="do not display jobs in hidden partitions"),
    Option("iterate", "i", REQUIRED, "seconds", "specify an interation period"),
    Option("jobs", "j", NEXT_WORD, "job(s)", "comma separated list of job ids to view, default is all"),
    Option("json", argument=OPTIONAL, metavar="version", help="produce JSON output"),
    Option("licenses", "L", REQUIRED, "names", "comma separated list of license names to view"),
    Option("local", help="report information only about jobs on the local cluster"),
    Option("long", "l", help="long report"),
    Option("me", help="equivalent to --user=$USER"),
    Option("name", "n", REQUIRED, "job_name(s)", "comma separated list of job names to view"),
    Option("noconvert", help="don't convert units from their original type"),
    Option("nodelist nodes", "w", REQUIRED, "hostlist", "list of nodes to view, default is all nodes"),
    Option("noheader", "h", help="no headers on output"),
    Option("notme", help="jobs of everybody else"),
    Option("only-job-state", help="report the states alone"),
    Option("partition", "p", REQUIRED, "partition(s)", "comma separated list of partitions to view"),
    Option("priority", "P", help="one line for each partition of a job that waits in several"),
    Option("qos", "q", REQUIRED, "qos(s)", "comma separated list of qos's to view"),
    Option("reservation", "R", REQUIRED, "name", "reservation to view, default is all"),
    Option("running-over", argument=REQUIRED, metavar="time", help="jobs that run for longer than time"),
    Option("running-under", argument=REQUIRED, metavar="time", help="jobs that run for less than time"),
    Option("sibling", help="report information about all sibling jobs"),
    Option("sort", "S", REQUIRED, "fields", "comma separated list of fields to sort on"),
    Option("start", help="print expected start times of pending jobs"),
    Option("states", "t", REQUIRED, "states", "comma separated list of states to view, default is pending and running"),
    Option("steps", "s", NEXT_WORD, "step(s)", "comma separated list of job steps to view, default is all"),
    Option("user", "u", REQUIRED, "user_name(s)", "comma separated list of users to view"),
    Option("verbose", "v", help="verbosity level"),
    Option("yaml", argument=OPTIONAL, metavar="version", help="produce YAML output"),
    Option("autocomplete", argument=REQUIRED, metavar="prefix"),
    Option("help", help="show this help message"),
    Option("usage", help="display a brief summary of squeue options"),
    Option("version", "V", help="output version information and exit"),
)

#: Options that a variable may give, where the command line does not.
_VARIABLES = {
    "account": "SQUEUE_ACCOUNT",
    "licenses": "SQUEUE_LICENSES",
    "name": "SQUEUE_NAMES",
    "partition": "SQUEUE_PARTITION",
    "qos": "SQUEUE_QOS",
    "sort": "SQUEUE_SORT",
    "states": "SQUEUE_STATES",
    "user": "SQUEUE_USERS",
    "cluster": "SLURM_CLUSTERS",
}
_FLAG_VARIABLES = {"all": "SQUEUE_ALL", "array": "SQUEUE_ARRAY", "priority": "SQUEUE_PRIORITY"}
#: Options whose values add up when they are repeated.
_LISTS = ("jobs", "steps")


def settle(found: Found, positionals: list[str]) -> dict[str, str]:
    """Return each option's value ("" without one), the command line before the variables.

    -j and -s without a value may take a word that comes later: it is removed from *positionals*.
    """
    values: dict[str, str] = {}
    for key, value in found:
        if value is None and key in _LISTS and positionals:
            value = positionals.pop(0)
        if key in _LISTS and values.get(key):
            value = f"{values[key]},{value or ''}"
        values[key] = value or ""
    _apply_variables(values)
    return values


def _apply_variables(values: dict[str, str]) -> None:
    environment = os.environ
    if not any(name in values for name in ("format", "Format", "long", "start", "steps")):
        if "SQUEUE_FORMAT" in environment:
            values["format"] = environment["SQUEUE_FORMAT"]
        elif "SQUEUE_FORMAT2" in environment:
            values["Format"] = environment["SQUEUE_FORMAT2"]
    for key, name in _VARIABLES.items():
        if key not in values and environment.get(name):
            values[key] = environment[name]
    if "me" in values:
        values["user"] = str(os.getuid())
    for key, name in _FLAG_VARIABLES.items():
        if name in environment:
            values[key] = ""
    if "hide" in values:
        values.pop("all", None)
