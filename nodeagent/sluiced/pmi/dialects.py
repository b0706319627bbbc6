"""How PMI-1 and PMI-2 answer: one method a command, found by its name.  Pure.

What a command cannot do here (spawn, publish) is refused with a sentence that says so; MPI libraries report it as
their own error.

Source: "PMI v1 wire protocol" of MPICH's documentation; "PMI-2 API" draft; tried with Debian's MPICH and libpmi2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sluiced.pmi import text
from sluiced.pmi.layout import VALUE_MAX
from sluiced.pmi.store import KEY_MAX, Store, StoreFull
from sluiced.pmi.text import Request

MAPPING_KEY = "PMI_process_mapping"
NAME_MAX = 256
_NO_SPAWN = "spawning is not supported: ask for all tasks with srun -n"
_NO_PUBLISH = "publishing names is not supported"


class Job(NamedTuple):
    """The step as this node's ranks may ask about it.  mapping: empty where it cannot be told; appnum: of these."""

    name: str
    size: int
    mapping: str
    store: Store
    appnum: int = 0


class Abort(NamedTuple):
    """Why this rank ends the step, and with which exit code."""

    reason: str
    exit_code: int

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Abort:
        word = fields.get("exitcode", "1")
        code = int(word) if word.removeprefix("-").isdecimal() and len(word) < 12 else 1
        return cls(fields.get("msg") or f"exit code {word}", code)


class Answer(NamedTuple):
    """abort: this rank ends the step."""

    reply: bytes = b""
    enters_barrier: bool = False
    abort: Abort | None = None


class Pmi1:
    """Lines."""

    is_framed = False

    def __init__(self, rank: int, job: Job) -> None:
        self.has_finished = False
        self._job = job

    def answer(self, request: Request) -> Answer:
        handle = _PMI1.get(request.command)
        if handle is None:
            return _line("error", {"rc": -1, "msg": f"unknown_command_{request.command}"})
        return handle(self, request.fields)

    def release(self) -> bytes:
        """Return what tells that the barrier is over."""
        return text.format_line("barrier_out", {})

    def answer_waiting(self) -> bytes:
        """Return late answers to questions that waited for another rank; there are none in this version."""
        return b""

    def get_maxes(self, fields: Mapping[str, str]) -> Answer:
        return _line("maxes", {"kvsname_max": NAME_MAX, "keylen_max": KEY_MAX, "vallen_max": VALUE_MAX})

    def get_appnum(self, fields: Mapping[str, str]) -> Answer:
        return _line("appnum", {"appnum": self._job.appnum})

    def get_my_kvsname(self, fields: Mapping[str, str]) -> Answer:
        return _line("my_kvsname", {"kvsname": self._job.name})

    def get_universe_size(self, fields: Mapping[str, str]) -> Answer:
        return _line("universe_size", {"size": self._job.size})

    def put(self, fields: Mapping[str, str]) -> Answer:
        problem = _put(self._job.store, fields)
        return _line("put_result", {"rc": -1 if problem else 0, "msg": problem or "success"})

    def get(self, fields: Mapping[str, str]) -> Answer:
        key = fields.get("key", "")
        value = _get(self._job, key)
        if value is None:
            return _line("get_result", {"rc": -1, "msg": f"key_{key}_not_found", "value": "unknown"})
        return _line("get_result", {"rc": 0, "msg": "success", "value": value})

    def barrier_in(self, fields: Mapping[str, str]) -> Answer:
        return Answer(enters_barrier=True)

    def finalize(self, fields: Mapping[str, str]) -> Answer:
        self.has_finished = True
        return _line("finalize_ack", {})

    def abort(self, fields: Mapping[str, str]) -> Answer:
        return Answer(abort=Abort.of(fields))

    def spawn(self, fields: Mapping[str, str]) -> Answer:
        return _line("spawn_result", {"rc": -1, "msg": _NO_SPAWN.replace(" ", "_")})

    def publish(self, fields: Mapping[str, str]) -> Answer:
        return _line("publish_result", {"rc": -1, "msg": _NO_PUBLISH.replace(" ", "_")})

    def lookup(self, fields: Mapping[str, str]) -> Answer:
        return _line("lookup_result", {"rc": -1, "msg": _NO_PUBLISH.replace(" ", "_")})

    def unpublish(self, fields: Mapping[str, str]) -> Answer:
        return _line("unpublish_result", {"rc": -1, "msg": _NO_PUBLISH.replace(" ", "_")})


_PMI1: dict[str, Callable[[Pmi1, Mapping[str, str]], Answer]] = {
    "get_maxes": Pmi1.get_maxes,
    "get_appnum": Pmi1.get_appnum,
    "get_my_kvsname": Pmi1.get_my_kvsname,
    "get_universe_size": Pmi1.get_universe_size,
    "put": Pmi1.put,
    "get": Pmi1.get,
    "barrier_in": Pmi1.barrier_in,
    "finalize": Pmi1.finalize,
    "abort": Pmi1.abort,
    "spawn": Pmi1.spawn,
    "publish_name": Pmi1.publish,
    "lookup_name": Pmi1.lookup,
    "unpublish_name": Pmi1.unpublish,
}


class Pmi2:
    """Messages with a length; a thread's number (thrid) comes back with the answer."""

    is_framed = True

    def __init__(self, rank: int, job: Job) -> None:
        self.has_finished = False
        self._rank = rank
        self._job = job
        self._barrier_fields: dict[str, str] = {}
        #: Questions for attributes that nobody has put yet.
        self._waiting: list[dict[str, str]] = []

    def answer(self, request: Request) -> Answer:
        handle = _PMI2.get(request.command)
        if handle is None:
            return self._reply(request.command, request.fields, {}, f"unknown command {request.command}")
        return handle(self, request.fields)

    def release(self) -> bytes:
        return self._reply("kvs-fence", self._barrier_fields, {}).reply

    def answer_waiting(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return b"".join(self.get_node_attribute(fields).reply for fields in waiting)

    def fullinit(self, fields: Mapping[str, str]) -> Answer:
        said = {
            "pmi-version": 2,
            "pmi-subversion": 0,
            "rank": self._rank,
            "size": self._job.size,
            "appnum": self._job.appnum,
            "debugged": "FALSE",
            "pmiverbose": "FALSE",
        }
        return self._reply("fullinit", fields, said)

    def get_id(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("job-getid", fields, {"jobid": self._job.name})

    def get_job_attribute(self, fields: Mapping[str, str]) -> Answer:
        key = fields.get("key", "")
        value = str(self._job.size) if key == "universeSize" else _get(self._job, key)
        return self._found("info-getjobattr", fields, value)

    def put_node_attribute(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("info-putnodeattr", fields, {}, _put(self._job.store, fields, is_attribute=True))

    def get_node_attribute(self, fields: Mapping[str, str]) -> Answer:
        value = self._job.store.attribute(fields.get("key", ""))
        if value is None and fields.get("wait", "").upper() == "TRUE":
            self._waiting.append(dict(fields))
            return Answer()
        return self._found("info-getnodeattr", fields, value)

    def put(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("kvs-put", fields, {}, _put(self._job.store, fields))

    def get(self, fields: Mapping[str, str]) -> Answer:
        return self._found("kvs-get", fields, _get(self._job, fields.get("key", "")))

    def fence(self, fields: Mapping[str, str]) -> Answer:
        self._barrier_fields = dict(fields)
        return Answer(enters_barrier=True)

    def finalize(self, fields: Mapping[str, str]) -> Answer:
        self.has_finished = True
        return self._reply("finalize", fields, {})

    def abort(self, fields: Mapping[str, str]) -> Answer:
        return Answer(abort=Abort.of(fields))

    def spawn(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("spawn", fields, {}, _NO_SPAWN)

    def publish(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("name-publish", fields, {}, _NO_PUBLISH)

    def lookup(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("name-lookup", fields, {"found": "FALSE"}, _NO_PUBLISH)

    def unpublish(self, fields: Mapping[str, str]) -> Answer:
        return self._reply("name-unpublish", fields, {}, _NO_PUBLISH)

    def _found(self, command: str, fields: Mapping[str, str], value: str | None) -> Answer:
        found = {"found": "FALSE"} if value is None else {"found": "TRUE", "value": value}
        return self._reply(command, fields, found)

    def _reply(self, command: str, fields: Mapping[str, str], said: Mapping[str, object], problem: str = "") -> Answer:
        thread = {"thrid": fields["thrid"]} if "thrid" in fields else {}
        status = {"rc": -1, "errmsg": problem} if problem else {"rc": 0}
        return Answer(text.format_message(f"{command}-response", {**thread, **said, **status}))


_PMI2: dict[str, Callable[[Pmi2, Mapping[str, str]], Answer]] = {
    "fullinit": Pmi2.fullinit,
    "job-getid": Pmi2.get_id,
    "info-getjobattr": Pmi2.get_job_attribute,
    "info-putnodeattr": Pmi2.put_node_attribute,
    "info-getnodeattr": Pmi2.get_node_attribute,
    "kvs-put": Pmi2.put,
    "kvs-get": Pmi2.get,
    "kvs-fence": Pmi2.fence,
    "finalize": Pmi2.finalize,
    "abort": Pmi2.abort,
    "spawn": Pmi2.spawn,
    "name-publish": Pmi2.publish,
    "name-lookup": Pmi2.lookup,
    "name-unpublish": Pmi2.unpublish,
}

#: One rank's side of a version.
Dialect = Pmi1 | Pmi2


def _line(command: str, fields: Mapping[str, object]) -> Answer:
    return Answer(text.format_line(command, fields))


def _get(job: Job, key: str) -> str | None:
    return job.mapping or None if key == MAPPING_KEY else job.store.get(key)


def _put(store: Store, fields: Mapping[str, str], *, is_attribute: bool = False) -> str:
    """Return what stands against it, in a word that a line can hold; empty: it is done."""
    key, value = fields.get("key", ""), fields.get("value", "")
    if not key or len(key) > KEY_MAX or len(value) > VALUE_MAX:
        return f"key_of_1_to_{KEY_MAX}_and_value_of_up_to_{VALUE_MAX}_bytes_wanted"
    try:
        (store.put_attribute if is_attribute else store.put)(key, value)
    except StoreFull as full:
        return str(full).replace(" ", "_")
    return ""
