"""Records for the tests of the looking commands: true structs, as the plain maps that a reply decodes into."""

import time
from typing import Any

import msgspec

from sluice import hostlist, license_spec
from sluice.model.allocation import Allocation, GresGrant, NodeGrant
from sluice.model.job import Job, PendingArray
from sluice.model.node import Inventory, Node
from sluice.model.reason import Blocker, Reason
from sluice.model.request import JobSpec, StepSpec
from sluice.model.states import JobState, NodeState, StepState
from sluice.model.step import Step, StepNode
from sluice.wire.messages import JobView, NodeView, StepView


def at(text: str) -> float:
    """Return the local time of 2026-11-22 at HH:MM:SS."""
    return time.mktime(time.strptime(f"2026-11-22T{text}", "%Y-%m-%dT%H:%M:%S"))


def plain(record: msgspec.Struct) -> Any:
    """Return the maps that a command gets for *record*."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(record))


def spec(name: str = "wrap", user: str = "alice", uid: int = 1001, **fields: Any) -> JobSpec:
    base: dict[str, Any] = {
        "gid": uid,
        "group": user,
        "account": "physics",
        "qos": "normal",
        "partitions": ("batch",),
        "submit_host": "localhost",
        "submit_sid": 3501,
        "work_dir": "/home/user",
        "limit_s": 3600,
    }
    return JobSpec(name=name, user=user, uid=uid, **(base | fields))


def pending(job_id: int, reason: Reason = Reason.PRIORITY, text: str = "", priority: int = 11140, **fields: Any) -> Any:
    """Return the view of a waiting job; fields: of the spec, or job_..., view_... for the job's and the view's own."""
    job_fields, view_fields, spec_fields = _sort_out(fields)
    asked = spec(**spec_fields)
    job = Job(
        id=job_id,
        spec=asked,
        priority=priority,
        limit_s=job_fields.pop("limit_s", asked.limit_s),
        partition=asked.partitions[0],
        submitted_at=at("17:28:14"),
        eligible_at=job_fields.pop("eligible_at", at("17:28:14")),
        **job_fields,
    )
    view_fields.setdefault("last_scheduled_at", at("17:28:45"))
    return plain(JobView(job=job, blockers=(Blocker(reason=reason, text=text),), **view_fields))


def array(job_id: int, ranges: tuple[tuple[int, int, int], ...], throttle: int = 0, **fields: Any) -> Any:
    """Return the view of an array whose tasks all wait."""
    return pending(
        job_id,
        array=ranges,
        array_throttle=throttle,
        job_array_job_id=job_id,
        job_pending_array=PendingArray(ranges=ranges, throttle=throttle),
        **fields,
    )


def started(job_id: int, grants: tuple[NodeGrant, ...], state: str = "RUNNING", **fields: Any) -> Any:
    """Return the view of a job that has an allocation."""
    job_fields, view_fields, spec_fields = _sort_out(fields)
    asked = spec(**spec_fields)
    job = Job(
        **(
            {
                "id": job_id,
                "spec": asked,
                "state": JobState(state),
                "priority": 11375,
                "limit_s": asked.limit_s,
                "partition": asked.partitions[0],
                "submitted_at": at("17:28:14"),
                "eligible_at": at("17:28:14"),
                "started_at": at("17:28:24"),
                "allocation": Allocation(grants=grants, licenses=license_spec.parse(asked.licenses)[0]),
            }
            | job_fields
        )
    )
    nodes = hostlist.fold(grant.node for grant in grants)
    return plain(JobView(job=job, **({"nodes": nodes, "last_scheduled_at": at("17:28:24")} | view_fields)))


def grant(node: str, cpus: int, memory_mib: int = 0, gpus: str = "", first_cpu: int = 0) -> NodeGrant:
    """Return a node's part of an allocation; gpus: their numbers as a list ("0")."""
    count = 0 if not gpus else len(gpus.split(","))
    gres = (GresGrant(name="gpu", units=gpus, count=count),) if gpus else ()
    numbers = str(first_cpu) if cpus == 1 else f"{first_cpu}-{first_cpu + cpus - 1}"
    return NodeGrant(node=node, cpus=numbers, cpu_count=cpus, memory_mib=memory_mib, gres=gres)


def step(job_id: int, step_id: int, nodes: tuple[StepNode, ...], name: str = "sleep", **fields: Any) -> Any:
    """Return the view of a running step."""
    spec_fields = fields.pop("spec", {})
    record = Step(
        job_id=job_id,
        step_id=step_id,
        spec=StepSpec(name=name, **spec_fields),
        nodes=nodes,
        started_at=at("17:28:24"),
    )
    view = {"partition": "batch", "user": "alice", "uid": 1001, "nodes": hostlist.fold(each.node for each in nodes)}
    return plain(StepView(step=record, **(view | fields)))


def node(name: str, state: str = "idle", flags: tuple[str, ...] = (), **fields: Any) -> Any:
    """Return the view of a registered node of 8 CPUs and 23000 MiB."""
    view_names = ("allocated_cpus", "allocated_memory_mib", "gres_used", "cpu_load", "free_memory_mib", "reason_user")
    view_fields = {key: fields.pop(key) for key in view_names if key in fields}
    inventory = Inventory(
        cpus=8,
        memory_mib=23000,
        sockets=8,
        hostname="vm",
        arch="x86_64",
        os="Linux 6.18.44-fc-v657 #1 SMP PREEMPT_DYNAMIC @0",
        version="25.05.0",
        booted_at=at("17:01:13"),
        agent_started_at=at("17:26:14"),
    )
    base: dict[str, Any] = {
        "hostname": "vm",
        "address": "127.0.0.1",
        "port": 17001,
        "cpus": 8,
        "sockets": 8,
        "memory_mib": 23000,
        "state": NodeState.UP,
        "index": int(name.lstrip("n") or 0),
        "inventory": inventory,
        "idle_since_at": at("17:28:23"),
    }
    record = Node(name=name, **(base | fields))
    partitions = view_fields.pop("partitions", ("batch", "short"))
    view = {"cpu_load": 3.06, "free_memory_mib": 18553}
    return plain(NodeView(node=record, state=state, flags=flags, partitions=partitions, **(view | view_fields)))


def _sort_out(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    job = {key[4:]: value for key, value in fields.items() if key.startswith("job_")}
    view = {key[5:]: value for key, value in fields.items() if key.startswith("view_")}
    asked = {key: value for key, value in fields.items() if not key.startswith(("job_", "view_"))}
    return job, view, asked


def account(view: Any, *steps: Step, reason: str = "None") -> Any:
    """Return the accounting entry of the job of a view, with its steps."""
    nodes = view.get("nodes", "")
    return {"job": view["job"], "steps": [plain(each) for each in steps], "nodes": nodes, "reason": reason}


def account_step(job_id: int, step_id: int, nodes: tuple[StepNode, ...], name: str = "batch", **fields: Any) -> Step:
    """Return a step as it is kept."""
    base: dict[str, Any] = {"state": "RUNNING", "started_at": at("17:28:24")}
    merged = base | fields
    merged["state"] = StepState(merged["state"])
    return Step(job_id=job_id, step_id=step_id, spec=StepSpec(name=name), nodes=nodes, **merged)
