"""Slurm's sentence for each code of a refused request (CONTRACT section 15): the words that tools match.

A RequestError carries a code and a message of its own with the numbers; commands print the message first, where it says
more, and then the sentence in their own frame ("Batch job submission failed: ...").
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "invalid_request": "Invalid job request",
    "invalid_partition": "Invalid partition name specified",
    "no_partition": "No partition specified or system default partition",
    "invalid_account": "Invalid account or account/partition combination specified",
    "invalid_qos": "Invalid qos specification",
    "node_count": "Node count specification invalid",
    "infeasible": "Requested node configuration is not available",
    "partition_config": "Requested partition configuration not available now",
    "partition_not_available": "Required partition not available (inactive or drain)",
    "nodes_not_available": "Required node not available (down, drained or reserved)",
    "time_limit": "Requested time limit is invalid (missing or exceeds some limit)",
    "too_many_cpus": "More processors requested than permitted",
    "memory": "Memory specification can not be satisfied",
    "deadline_past": "Invalid time specified",
    "invalid_job": "Invalid job id specified",
    "already_done": "Job/step already completing or completed",
    "not_permitted": "Access/permission denied",
    "invalid_gres": "Invalid generic resource (gres) specification",
    "invalid_licenses": "Invalid license specification",
    "invalid_feature": "Invalid feature specification",
    "invalid_array": "Invalid job array specification",
    "dependency": "Job dependency problem",
    "policy": "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "reservation": "Requested reservation is invalid",
    "reservation_access": "Access denied to requested reservation",
    "reservation_overlap": "Requested reservation overlaps with another reservation",
    "reservation_nodes": "Requested nodes are busy",
    "reservation_in_use": "Requested reservation is in use",
    "reservation_name": "Duplicate reservation name",
    "reservation_begun": "Reservation already started",
    "reservation_time": "Invalid time specified",
    "reservation_nobody": "Reservation request lacks users, groups or accounts",
    "reservation_flags": "Requested reservation is invalid",
    "not_supported": "Requested operation not supported on this system",
    "invalid_node": "Invalid node name specified",
    "invalid_node_state": "Invalid node state specified",
    "not_pending": "Job is no longer pending execution",
    "not_running": "Job is not running",
    "pending": "Job is pending execution",
    "disabled": "Requested operation is presently disabled",
    "finished": "Job has already finished",
    "ntasks": "Task count specification invalid",
    "held": "Job is in held state, pending scheduler release",
    "too_long": "Pathname of a file, directory or other parameter too long",
    "nice": "Invalid --nice value",
    "too_many_jobs": "Slurm temporarily unable to accept job, sleeping and retrying",
    "invalid_user": "Invalid user id",
    "invalid_group": "Invalid group id",
    "step_busy": "Requested nodes are busy",
    "step_limit": "Step limit reached for this job",
    "storage": "The controller can not store the request now",
    "revoked": "Job allocation has been revoked",
    "component": "Operation not permitted on individual component of heterogeneous job",
    "het_size": "Invalid job request",
    "not_leader": "Job not heterogeneous job leader",
    "immediate": "Requested partition configuration not available now",
}


def text_of(code: str, message: str = "") -> str:
    """Return the sentence for *code*; an unknown code's own message."""
    return TEXTS.get(code, message or code)
