"""The public Python client: submit, look, wait, cancel, from a program.

    from sluice.api import Client

    with Client() as client:
        job = client.submit("#!/bin/sh\\nhostname\\n", name="hello", ntasks=2, limit_s=600)
        print(client.wait(job).state, client.output(job))

It speaks the wire's messages over one connection to the controller and gives the records of sluice.model.  Submissions
carry a token and are repeated through a controller restart: what submit() returned exists, once.  Compatible with
controllers two releases older and newer, as the wire is.  Not a light module.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from sluice import jobid_spec
from sluice.config.light import Endpoints, find_config, read_endpoints
from sluice.errors import RequestError, Unreachable
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluice.wire import light
from sluice.wire.messages import (
    AccountingRow,
    EndedJob,
    JobFilter,
    KillJobs,
    KillOutcome,
    NodeView,
    StreamTail,
    SubmitOutcome,
)

T = TypeVar("T")

#: Submissions in one message: few enough that none has to wait long for its neighbours.
_SUBMISSIONS_PER_MESSAGE = 100
_WAIT_LIMIT_S = 365 * 86400.0


class Client:
    """A connection to one cluster's controller.  Not for several threads at once.

    conf: the configuration file; default as for the commands (SLUICE_CONF, SLURM_CONF, /etc).
    patience_s: how long calls are repeated while no controller answers.
    Raises ConfigError when there is no configuration, Unreachable when nobody answers in time.
    """

    def __init__(self, conf: str | None = None, *, patience_s: float = 60.0) -> None:
        self._endpoints: Endpoints = read_endpoints(conf or find_config())
        self._patience_s = patience_s
        self._connection: light.LightConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Submission.

    def submit(self, script: str | bytes, spec: JobSpec | None = None, **fields: Any) -> int:
        """Return the id of a new job that runs *script*, which begins with `#!`.

        fields: of JobSpec, such as name, ntasks, cpus_per_task, limit_s, partitions, array; on top of *spec*.
        environment: NAME=value mapping for the job, default this process's.
        Raises RequestError with the controller's reason.
        """
        return self.submit_many([script], spec, **fields)[0]

    def submit_many(self, scripts: Sequence[str | bytes], spec: JobSpec | None = None, **fields: Any) -> list[int]:
        """Return the ids of new jobs, one a script, in order; they share everything else.

        Raises RequestError for the first that is refused; those before it exist, and its `accepted` attribute has
        their ids.
        """
        environment = [
            f"{name}={value}".encode("utf-8", "surrogateescape")
            for name, value in fields.pop("environment", os.environ).items()
        ]
        request = msgspec.to_builtins(_complete(spec, fields))
        job_ids: list[int] = []
        for first in range(0, len(scripts), _SUBMISSIONS_PER_MESSAGE):
            submissions = [
                {
                    "token": light.new_token(),
                    "spec": request,
                    "script": script.encode() if isinstance(script, str) else script,
                    "environment": environment,
                }
                for script in scripts[first : first + _SUBMISSIONS_PER_MESSAGE]
            ]
            reply = self._call("SubmitJobs", {"submissions": submissions})
            for outcome in msgspec.convert(reply.get("outcomes", []), list[SubmitOutcome]):
                if not outcome.job_id:
                    refusal = RequestError(outcome.message, outcome.code)
                    refusal.accepted = job_ids  # type: ignore[attr-defined]
                    raise refusal
                job_ids.append(outcome.job_id)
        return job_ids

    # Looking.

    def jobs(self, **filters: Iterable[Any]) -> list[Job]:
        """Return the jobs in memory: all active ones and those that ended in the last MinJobAge.

        filters: ids, users, names, partitions, states, nodes; each a list, all must match.
        """
        query = {"filter": msgspec.to_builtins(_filter(filters))}
        return [msgspec.convert(view["job"], Job) for part in self._stream("QueryJobs", query) for view in part["jobs"]]

    def job(self, job_id: int) -> Job:
        """Return one job of any age.  Raises RequestError ("invalid_job") if it never existed."""
        rows = self.history(ids=[job_id])
        if not rows:
            raise RequestError(f"job {job_id} is not known", "invalid_job")
        return rows[-1].job

    def history(
        self, *, start_at: float | None = None, end_at: float | None = None, **filters: Iterable[Any]
    ) -> list[AccountingRow]:
        """Return jobs of any age with their steps, in order of id, as sacct does."""
        query: dict[str, Any] = {"filter": msgspec.to_builtins(_filter(filters)), "all_users": True}
        if start_at is not None:
            query["start_at"] = start_at
        if end_at is not None:
            query["end_at"] = end_at
        parts = self._stream("QueryAccounting", query)
        return [msgspec.convert(row, AccountingRow) for part in parts for row in part.get("rows", [])]

    def nodes(self) -> list[NodeView]:
        """Return every node with what is allocated on it."""
        return msgspec.convert(self._call("QueryNodes", {}).get("nodes", []), list[NodeView])

    def partitions(self) -> list[Partition]:
        """Return every partition."""
        return msgspec.convert(self._call("QueryPartitions", {}).get("partitions", []), list[Partition])

    def output(self, job_id: int) -> list[StreamTail]:
        """Return the kept end of each of the job's streams, with why a file could not be written."""
        return msgspec.convert(self._call("QueryOutput", {"job_id": job_id}).get("tails", []), list[StreamTail])

    def statistics(self) -> dict[str, float]:
        """Return the controller's counters by name."""
        return dict(self._call("QueryStatistics", {}).get("counters", {}))

    # Waiting and ending.

    def wait(self, job_id: int, limit_s: float = _WAIT_LIMIT_S) -> EndedJob:
        """Return how the job ended, once it (or every task of the array) has.

        Raises Unreachable after limit_s.
        """
        ends_at = time.monotonic() + limit_s
        while True:
            try:
                reply = self._connected().call("WaitJobEnd", {"job_id": job_id}, ends_at - time.monotonic())
                return msgspec.convert(reply, EndedJob)
            except Unreachable:
                self.close()
                if time.monotonic() >= ends_at:
                    raise
            except RequestError as error:
                if error.code != "invalid_job":
                    raise
                # Forgotten by the controller's memory: the tables know.
                job = self.job(job_id)
                return EndedJob(state=job.state.value, exit_code=job.exit_code, exit_signal=job.exit_signal)

    def cancel(self, *job_ids: int | str, signal: int = 0) -> list[KillOutcome]:
        """End jobs, or send them a signal; ids as for scancel ("12", "12_3", "12.0").  Return what became of each."""
        ids = tuple(str(job_id) for job_id in job_ids)
        reply = self._call("KillJobs", msgspec.to_builtins(KillJobs(ids=ids, signal=signal)))
        return msgspec.convert(reply.get("outcomes", []), list[KillOutcome])

    # The wire.

    def _connected(self) -> light.LightConnection:
        if self._connection is None:
            self._connection = light.connect(self._endpoints)
        return self._connection

    def _call(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask over the open connection; through a restart, repeat: every request here may be."""
        try:
            reply: dict[str, Any] = self._connected().call(name, body)
        except Unreachable:
            self.close()
            reply = light.call_with_retry(self._endpoints, name, body, self._patience_s)
        return reply

    def _stream(self, name: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            parts = list(self._connected().stream(name, body))
        except Unreachable:
            self.close()
            parts = list(self._connected().stream(name, body))
        yield from parts


def is_ended(job: Job) -> bool:
    """Has the job reached its final state?"""
    return job.state not in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED)


def _complete(spec: JobSpec | None, fields: dict[str, Any]) -> JobSpec:
    """Return the request with who and where filled in."""
    base = spec or JobSpec(name=fields.pop("name", "job"), uid=os.getuid(), gid=os.getgid(), user="")
    defaults: dict[str, Any] = {}
    if not base.work_dir and "work_dir" not in fields:
        defaults["work_dir"] = os.getcwd()
    if not base.submit_host:
        defaults["submit_host"] = socket.gethostname()
    return msgspec.structs.replace(base, **defaults, **fields)


def _filter(filters: dict[str, Iterable[Any]]) -> JobFilter:
    words = {name: tuple(str(value) for value in values) for name, values in filters.items()}
    for text in words.get("ids", ()):
        jobid_spec.parse_list(text)
    return JobFilter(**words)
