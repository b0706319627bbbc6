"""One submitting client in a process of its own: ``python -m bench.submit_client SOCKET COUNT [--mode ...]``.

Prints one JSON object: when it began and ended (CLOCK_MONOTONIC, comparable between processes), how many were
accepted, and each request's latency in seconds.

single    one request at a time on one connection
pipelined WINDOW requests under way on one connection
batch     SubmitJobs of WINDOW submissions, one frame at a time
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from sluice.wire.framing import ERROR, REPLY
from sluice.wire.light import LightConnection, connect_unix, new_token

SCRIPT = b"#!/bin/sh\ntrue\n"


#: What every job of this client asks besides.
_common: dict[str, object] = {}


def submission(script: bytes = SCRIPT, **more: object) -> dict[str, Any]:
    """Return a SubmitJob body with a token of its own."""
    return {
        "token": new_token(),
        "spec": {
            "name": "bench",
            "uid": os.getuid(),
            "gid": os.getgid(),
            "user": "",
            "work_dir": "/tmp",
            "std_out": "/dev/null",
            "limit_s": 600,
            **_common,
            **more,
        },
        "script": script,
        "environment": [b"PATH=/usr/bin:/bin", b"HOME=/tmp", b"LANG=C"],
    }


def submit_singly(connection: LightConnection, count: int, _window: int, latencies: list[float]) -> int:
    for _ in range(count):
        began_s = time.perf_counter()
        connection.call("SubmitJob", submission())
        latencies.append(time.perf_counter() - began_s)
    return count


def submit_pipelined(connection: LightConnection, count: int, window: int, latencies: list[float]) -> int:
    sent_at: dict[int, float] = {}
    sent = accepted = 0
    while accepted < count:
        while sent < count and len(sent_at) < window:
            sent_at[connection.send_request("SubmitJob", submission())] = time.perf_counter()
            sent += 1
        kind, id, _, body = connection.receive()
        if kind == ERROR:
            raise SystemExit(f"refused: {body}")
        if kind == REPLY:
            latencies.append(time.perf_counter() - sent_at.pop(id))
            accepted += 1
    return accepted


def submit_batches(connection: LightConnection, count: int, window: int, latencies: list[float]) -> int:
    accepted = 0
    while accepted < count:
        size = min(window, count - accepted)
        body = {"submissions": [submission() for _ in range(size)]}
        began_s = time.perf_counter()
        outcomes = connection.call("SubmitJobs", body)["outcomes"]
        latencies.append(time.perf_counter() - began_s)
        refused = [outcome for outcome in outcomes if not outcome.get("job_id")]
        if refused:
            raise SystemExit(f"refused: {refused[0]}")
        accepted += size
    return accepted


MODES = {"single": submit_singly, "pipelined": submit_pipelined, "batch": submit_batches}


def main() -> None:
    parser = argparse.ArgumentParser(description="submit jobs and tell how it went")
    parser.add_argument("socket")
    parser.add_argument("count", type=int)
    parser.add_argument("--mode", choices=sorted(MODES), default="pipelined")
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--held", action="store_true", help="jobs wait for a release")
    options = parser.parse_args()
    if options.held:
        _common["is_held"] = True
    latencies: list[float] = []
    with connect_unix(options.socket) as connection:
        began_s = time.monotonic()
        accepted = MODES[options.mode](connection, options.count, options.window, latencies)
        ended_s = time.monotonic()
    print(json.dumps({"began_s": began_s, "ended_s": ended_s, "accepted": accepted, "latencies_s": latencies}))


if __name__ == "__main__":
    main()
