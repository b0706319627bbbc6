"""scontrol show job: the record of a job, line by line.

Source: CONTRACT section 8.2; values as Slurm 22.05 prints them.
"""

from __future__ import annotations

from sluice import array_spec, duration, gres_spec, hostlist, tres
from sluice.errors import InvalidRequest, NotFound, SluiceError
from sluice.jobid_spec import JobIdSpec, parse
from sluice_cli import job_row, job_size, job_text, talk
from sluice_cli.fields_job import accrued_at
from sluice_cli.job_row import JobRow
from sluice_cli.scontrol_session import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sluice_cli.scontrol_session import Session

    Map = dict[str, Any]

NULL = job_text.NULL
_PRINT_ERROR = "scontrol_print_job error: Invalid job id specified"
#: Mail types that stand for a list.
_MAIL_ALL = "INVALID_DEPEND,BEGIN,END,FAIL,REQUEUE,STAGE_OUT"


def show_jobs(session: Session, text: str) -> None:
    """Print the jobs that *text* names, all without one."""
    spec: JobIdSpec | None = None
    if text:
        try:
            spec = parse(text)
        except InvalidRequest:
            spec = None
        if spec is None or spec.step is not None:
            session.fail(_PRINT_ERROR)
            return
    try:
        rows = load_rows(session, spec)
    except SluiceError as error:
        session.fail(f"slurm_load_jobs error: {sentence(error)}")
        return
    if session.structured:
        from sluice_cli import json_job, json_out

        json_out.put(session.structured, "jobs", [json_job.job_object(row) for row in rows])
        return
    if not rows:
        talk.put(f"Job {text} not found\n" if text else "No jobs in the system\n")
        session.exit_status = 1 if text else session.exit_status
    for row in rows:
        put_job(session, row)


def load_rows(session: Session, spec: JobIdSpec | None) -> list[JobRow]:
    """Return the jobs of one id, the waiting part of an array first; all jobs for None.  Raises SluiceError."""
    wanted = {"ids": [str(spec.job_id)]} if spec is not None else {}
    views: list[Map] = []
    now_at = 0.0
    for part in session.stream("QueryJobs", {"filter": wanted}):
        views += part.get("jobs", ())
        now_at = part.get("now_at", 0.0)
    context = session.context(now_at)
    rows = [JobRow(view, context) for view in views]
    if spec is None:
        return rows
    if not rows:
        raise NotFound(f"job {spec.job_id} is not known", "invalid_job")
    if spec.component is not None:
        named = f"{spec.job_id}+{spec.component}"
        return [row for row in rows if job_row.display_id(row) == named]
    if spec.tasks is not None:
        return [part for row in rows for part in _tasks_of(row, spec.tasks)]
    return sorted(rows, key=lambda row: (row.tasks is None, job_row.id_key(row)))


def _tasks_of(row: JobRow, tasks: array_spec.Ranges) -> list[JobRow]:
    if row.tasks is None:
        return [row] if row.index is not None and array_spec.contains(tasks, row.index) else []
    meant = array_spec.intersect(row.tasks, tasks)
    return [row.with_tasks(meant)] if meant else []


def put_job(session: Session, row: JobRow) -> None:
    """Print one record."""
    lines = job_lines(row, session.has_details, session.is_oneliner)
    if session.is_oneliner:
        talk.put(" ".join(lines) + " \n")
    else:
        talk.put("\n   ".join(lines) + "\n   \n\n")


def job_lines(row: JobRow, has_details: bool, is_oneliner: bool) -> list[str]:
    """Return the record's lines."""
    lines = [*_identity_lines(row), *_state_lines(row, has_details), *_time_lines(row), *_place_lines(row)]
    lines += _size_lines(row)
    if has_details:
        lines += _detail_lines(row, is_oneliner)
    return [*lines, *_request_lines(row), *_file_lines(row, is_oneliner), *_gres_lines(row), *_mail_lines(row.spec)]


def _identity_lines(row: JobRow) -> list[str]:
    job, spec = row.job, row.spec
    array = ""
    if job.get("array_job_id"):
        array = f" ArrayJobId={job['array_job_id']} ArrayTaskId={job_row.task_text(row)}"
        throttle = row.throttle or spec.get("array_throttle", 0)
        array += f" ArrayTaskThrottle={throttle}" if throttle else ""
    het_ids = job_row.component_ids(row)
    if het_ids:
        array = f" HetJobId={job['het_job_id']} HetJobOffset={job.get('het_offset', 0)}"
    wckey = f" WCKey={spec['wckey']}" if spec.get("wckey") else ""
    return [
        f"JobId={job['id']}{array} JobName={spec['name']}",
        *([f"HetJobIdSet={het_ids}"] if het_ids else ()),
        f"UserId={spec['user']}({spec['uid']}) GroupId={job_text.group_name(row)}({spec['gid']}) MCS_label=N/A",
        f"Priority={job.get('priority', 0)} Nice={spec.get('nice', 0)} Account={spec.get('account') or NULL} "
        f"QOS={spec.get('qos') or NULL}{wckey}",
    ]


def _state_lines(row: JobRow, has_details: bool) -> list[str]:
    job = row.job
    failed = f" FailedNode={job['failed_node']}" if job.get("failed_node") else ""
    reason = job_text.reason(row).replace(" ", "_")
    lines = [
        f"JobState={job_row.shown_state(row)} Reason={reason}{failed} Dependency={job_text.dependency(row)}",
        f"Requeue={0 if row.spec.get('can_requeue') is False else 1} Restarts={job.get('attempt', 0)} "
        f"BatchFlag={job_row.batch_flag(row)} Reboot=0 "
        f"ExitCode={job.get('exit_code', 0)}:{job.get('exit_signal', 0)}",
    ]
    if has_details:
        lines.append(f"DerivedExitCode={job.get('derived_exit_code', 0)}:{job.get('derived_exit_signal', 0)}")
    return lines


def _time_lines(row: JobRow) -> list[str]:
    job, spec, clock = row.job, row.spec, row.context.clock
    least_s = spec.get("min_limit_s")
    eligible_at = job.get("eligible_at") or (job.get("begin_at") if row.state == "PENDING" else None)
    evaluated_at = row.view.get("last_scheduled_at") or job.get("started_at") or job.get("submitted_at")
    ran_s = int(job_row.elapsed_s(row)) if job.get("suspended_at") is not None else 0
    preempted_at = (job.get("preemption") or {}).get("at")
    preempted = [f"PreemptTime={clock(preempted_at, 'None')}"] if preempted_at else []
    return [
        f"RunTime={duration.format_long(job_row.elapsed_s(row))} TimeLimit={duration.format_long(job.get('limit_s'))} "
        f"TimeMin={duration.format_long(least_s) if least_s else 'N/A'}",
        f"SubmitTime={clock(job.get('submitted_at'), 'Unknown')} EligibleTime={clock(eligible_at, 'Unknown')}",
        f"AccrueTime={clock(accrued_at(row), 'Unknown')}",
        f"StartTime={clock(job_row.start_at(row), 'Unknown')} EndTime={clock(job_row.end_at(row), 'Unknown')} "
        f"Deadline={clock(spec.get('deadline_at'), 'N/A')}",
        *preempted,
        f"SuspendTime={clock(job.get('suspended_at'), 'None')} SecsPreSuspend={ran_s} "
        f"LastSchedEval={clock(evaluated_at, 'Unknown')} Scheduler=Main",
    ]


def _place_lines(row: JobRow) -> list[str]:
    spec = row.spec
    planned = f" SchedNodeList={row.view['planned_nodes']}" if row.view.get("planned_nodes") else ""
    submitter = f"{spec.get('submit_host') or NULL}:{spec.get('submit_sid', 0)}"
    lines = [
        f"Partition={job_row.partitions(row)} AllocNode:Sid={submitter}",
        f"ReqNodeList={job_size.node_list(spec.get('required_nodes')) or NULL} "
        f"ExcNodeList={job_size.node_list(spec.get('excluded_nodes')) or NULL}",
        f"NodeList={row.view.get('nodes', '')}{planned}",
    ]
    if row.grants:
        lines.append(f"BatchHost={row.grants[0]['node']}")
    return lines


def _size_lines(row: JobRow) -> list[str]:
    spec = row.spec
    nodes = job_size.node_count(row)
    most = spec.get("max_nodes", 0)
    node_text = f"{nodes}-{most}" if not row.grants and most > nodes else str(nodes)
    geometry = (
        f"0:{spec.get('sockets_per_node', 0)}:{_or_star(spec, 'cores_per_socket')}:{_or_star(spec, 'threads_per_core')}"
    )
    granted = tres.format_by_id(job_size.granted_tres(row.grants)) if row.grants else NULL
    return [
        f"NumNodes={node_text} NumCPUs={job_size.cpu_count(row)} NumTasks={job_size.requested_tasks(spec)} "
        f"CPUs/Task={spec.get('cpus_per_task', 1)} ReqB:S:C:T={geometry}",
        f"ReqTRES={tres.format_by_id(job_size.requested_tres(spec))}",
        f"AllocTRES={granted}",
        f"Socks/Node={_or_star(spec, 'sockets_per_node')} NtasksPerN:B:S:C={spec.get('ntasks_per_node', 0)}:0:"
        f"{_or_star(spec, 'ntasks_per_socket')}:{_or_star(spec, 'ntasks_per_core')} "
        f"CoreSpec={_or_star(spec, 'core_spec')}",
    ]


def _or_star(spec: Map, key: str) -> str:
    return str(spec.get(key) or "*")


def _detail_lines(row: JobRow, is_oneliner: bool) -> list[str]:
    """Return JOB_GRES and a line for each set of nodes that have the same share."""
    total = gres_spec.format_spec(job_size.granted_gres(row.grants)) if row.grants else ""
    lines = [f"JOB_GRES={total or NULL}"]
    indent = "" if is_oneliner else "  "
    groups: list[tuple[tuple[str, int, str], list[str]]] = []
    for grant in row.grants:
        share = (grant["cpus"], grant.get("memory_mib", 0), _units(grant))
        if groups and groups[-1][0] == share:
            groups[-1][1].append(grant["node"])
        else:
            groups.append((share, [grant["node"]]))
    for (cpus, memory_mib, gres), nodes in groups:
        lines.append(f"{indent}Nodes={hostlist.fold(nodes)} CPU_IDs={cpus} Mem={memory_mib} GRES={gres}")
    return lines


def _units(grant: Map) -> str:
    """Return a node's GRES with the numbers of its units: gpu:a100:2(IDX:0-1)."""
    entries = []
    for item in grant.get("gres", ()):
        kind = f":{item['type']}" if item.get("type") else ""
        units = f"(IDX:{item['units']})" if item.get("units") else ""
        entries.append(f"{item['name']}{kind}:{item.get('count', 0)}{units}")
    return ",".join(entries)


def _request_lines(row: JobRow) -> list[str]:
    spec = row.spec
    other = dict(spec.get("other", ()))
    if job_size.is_memory_per_cpu(spec):
        memory = f"MinMemoryCPU={job_size.memory_text(spec)}"
    else:
        memory = f"MinMemoryNode={job_size.memory_text(spec)}"
    licenses = spec.get("licenses") or NULL
    allocated = f" LicensesAlloc={row.licenses}" if row.licenses else ""
    lines = [
        f"MinCPUsNode={job_size.least_cpus_per_node(spec)} {memory} MinTmpDiskNode={spec.get('tmp_disk_mib', 0)}",
        f"Features={spec.get('features') or NULL} DelayBoot=00:00:00",
    ]
    if reservation := job_text.reservation(row):
        lines.append(f"Reservation={reservation}")
    lines.append(
        f"OverSubscribe={job_text.over_subscribe(spec)} Contiguous={int(bool(spec.get('is_contiguous')))} "
        f"Licenses={licenses}{allocated} Network={other.get('network') or NULL}"
    )
    return lines


def _file_lines(row: JobRow, is_oneliner: bool) -> list[str]:
    spec = row.spec
    lines = [f"Command={job_text.command(row)}"]
    # Its words have no "=": on one line they would not be told from the other pairs.
    if spec.get("submit_line") and not is_oneliner:
        lines.append(f"SubmitLine={spec['submit_line']}")
    lines.append(f"WorkDir={spec.get('work_dir', '')}")
    if spec.get("admin_comment"):
        lines.append(f"AdminComment={spec['admin_comment']} ")
    if spec.get("comment"):
        lines.append(f"Comment={spec['comment']} ")
    if spec.get("is_batch", True):
        lines.append(f"StdErr={job_text.stderr_path(row)}")
        lines.append(f"StdIn={job_text.stdin_path(row)}")
        lines.append(f"StdOut={job_text.stdout_path(row)}")
    if spec.get("switches"):
        lines.append(f"Switches={_switches(spec['switches'])}")
    if spec.get("kill_on_invalid_dependency"):
        lines.append("KillOInInvalidDependent=Yes")
    return lines


def _switches(text: str) -> str:
    count, _, wait = text.partition("@")
    try:
        return f"{count}@{duration.format_long((duration.parse(wait) if wait else 0) or 0)}"
    except InvalidRequest:
        return text


def _gres_lines(row: JobRow) -> list[str]:
    spec = row.spec
    lines = []
    if spec.get("cpus_per_gpu"):
        lines.append(f"CpusPerTres=gres:gpu:{spec['cpus_per_gpu']}")
    if spec.get("memory_per_gpu_mib"):
        lines.append(f"MemPerTres=gres:gpu:{spec['memory_per_gpu_mib']}")
    if spec.get("gpu_bind"):
        lines.append(f"TresBind=gres:gpu:{spec['gpu_bind']}")
    for name, key in (
        ("TresPerJob", "gres_per_job"),
        ("TresPerNode", "gres_per_node"),
        ("TresPerSocket", "gres_per_socket"),
        ("TresPerTask", "gres_per_task"),
    ):
        text = job_size.gres_text(spec, key, "")
        if text:
            lines.append(f"{name}={text}")
    return lines


def _mail_lines(spec: Map) -> list[str]:
    types = spec.get("mail_types", ())
    if not types:
        return []
    words = ",".join(_MAIL_ALL if word.upper() == "ALL" else word.upper() for word in types)
    return [f"MailUser={spec.get('mail_user') or spec['user']} MailType={words}"]
