"""The fields of sacct: name, width (below zero: to the left), what a job's line and what a step's line show.

Source: CONTRACT section 9; widths and values as Slurm 22.05 prints them.  Names are looked up in any case, and may be
cut as long as what is left begins the first of the table.
"""

# ruff: noqa: E501

from __future__ import annotations

from sluice import duration, gres_spec, size, tres
from sluice_cli import account_line, fields_step, job_size, job_text
from sluice_cli.account_line import AccountLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Text = Callable[[AccountLine], str]


class AccountField:
    """One row of the table."""

    __slots__ = ("name", "of_job", "of_step", "width")

    def __init__(self, name: str, width: int, of_job: Text, of_step: Text | None = None) -> None:
        self.name = name
        self.width = width
        self.of_job = of_job
        self.of_step = of_step or _nothing

    def get(self, line: AccountLine) -> str:
        return self.of_job(line) if line.step is None else self.of_step(line)


def _nothing(line: AccountLine) -> str:
    return ""


def _constant(text: str) -> Text:
    return lambda line: text


def _spec(key: str) -> Text:
    return lambda line: str(line.spec.get(key) or "")


def _option(key: str) -> Text:
    return lambda line: str(dict(line.spec.get("other", ())).get(key, ""))


def _clock(key: str) -> Text:
    return lambda line: line.context.clock(line.job.get(key), "Unknown")


def _step_start(line: AccountLine) -> str:
    return line.context.clock(account_line.start_at(line), "Unknown")


def _end(line: AccountLine) -> str:
    return line.context.clock(account_line.end_at(line), "Unknown")


def _limit(line: AccountLine) -> str:
    return duration.format_long(line.job.get("limit_s"))


def _limit_minutes(line: AccountLine) -> str:
    limit_s = line.job.get("limit_s")
    return duration.UNLIMITED if limit_s is None else str(duration.round_up_minutes(limit_s))


def _waited_s(line: AccountLine) -> int:
    since_at = line.job.get("eligible_at")
    until_at = account_line.start_at(line) or account_line.end_at(line) or line.context.now_at
    return 0 if since_at is None else max(0, int(until_at) - int(since_at))


def _granted_tres(line: AccountLine) -> str:
    return tres.format_sorted(job_size.granted_tres(line.row.grants)) if line.row.grants else ""


def _step_tres(line: AccountLine) -> str:
    assert line.step is not None
    nodes = line.step.get("nodes", ())
    counts = {
        "cpu": account_line.cpus(line),
        "mem": sum([node.get("memory_mib", 0) for node in nodes]),
        "node": len(nodes),
    }
    gres = job_size.granted_gres(_gres_holders(line))
    return tres.format_sorted(tres.without_zeros(counts | gres_spec.to_tres(gres)))


def _gres_holders(line: AccountLine) -> list[dict[str, Any]]:
    """Return the records that have what a step holds: its parts, or the job's grants where it is an agent's own step."""
    assert line.step is not None
    parts: list[dict[str, Any]] = line.step.get("nodes", [])
    if fields_step.step_word(line.step["step_id"]) not in ("batch", "extern"):
        return parts
    names = [part["node"] for part in parts]
    return [grant for grant in line.row.grants if grant["node"] in names]


def _requested_tres(line: AccountLine) -> str:
    counts = job_size.requested_tres(line.spec)
    if "mem" not in counts and line.row.grants:
        counts["mem"] = line.row.grants[0].get("memory_mib", 0) * job_size.least_nodes(line.spec)
    return tres.format_sorted(tres.without_zeros(counts))


def _kib(key: str, is_average: bool = False) -> Text:
    """Return the getter of a size that the kernel counted; nothing was counted when it is zero."""

    def get(line: AccountLine) -> str:
        found = account_line.usage(line).get(key, 0)
        if is_average and found:
            found = max(1, round(found / max(account_line.tasks(line), 1)))
        return line.scale.kib(found) if found else ""

    return get


def _counted(text: Text) -> Text:
    """Return the getter of what goes with a counted size: empty where there is none."""
    return lambda line: text(line) if account_line.usage(line).get("max_rss_kib") else ""


def _disk(key: str) -> Text:
    return _counted(lambda line: f"{account_line.usage(line).get(key, 0) / 2**20:.2f}M")


def _average_cpu(line: AccountLine) -> str:
    spent_s = account_line.cpu_seconds(line, "user_s", "system_s")
    return duration.format_long(spent_s / max(account_line.tasks(line), 1))


def _gpu_words(used: dict[str, Any], is_average: bool, is_total: bool) -> str:
    """Return what a step had of its GPUs, on the node that had most, on all, or on average over time and nodes."""
    gpu = used.get("gpu", {})
    if not gpu.get("nodes"):
        return ""
    memory = gpu.get("memory_total_bytes" if is_total else "memory_peak_bytes", 0)
    util = gpu.get("util_mean_percent" if is_total else "util_peak_percent")
    if is_average:
        memory = gpu.get("memory_mean_bytes", 0) // gpu["nodes"]
        util = None if util is None else gpu.get("util_mean_percent", 0.0) / gpu["nodes"]
    words = f"gres/gpumem={size.format_kib(memory // 1024)},"
    return words if util is None else f"{words}gres/gpuutil={round(util)},"


def _tres_in(is_average: bool, is_total: bool = False) -> Text:
    def get(line: AccountLine) -> str:
        used, tasks = account_line.usage(line), max(account_line.tasks(line), 1)
        memory = used.get("total_rss_kib", 0) if is_total else used.get("max_rss_kib", 0)
        if is_average:
            memory = used.get("total_rss_kib", 0) // tasks or memory
        spent_s = account_line.cpu_seconds(line, "user_s", "system_s") / (tasks if is_average else 1)
        read = used.get("disk_read_bytes", 0) // (tasks if is_average else 1)
        return (
            f"cpu={duration.format_long(spent_s)},energy=0,fs/disk={read},"
            f"{_gpu_words(used, is_average, is_total)}mem={memory}K,vmem={used.get('max_vmsize_kib', 0)}K"
        )

    return _counted(get)


def _tres_out(is_average: bool) -> Text:
    def get(line: AccountLine) -> str:
        written = account_line.usage(line).get("disk_written_bytes", 0)
        return f"energy=0,fs/disk={written // max(account_line.tasks(line), 1) if is_average else written}"

    return _counted(get)


def _usage(key: str) -> Text:
    return _counted(lambda line: str(account_line.usage(line).get(key, "")))


def _layout(line: AccountLine) -> str:
    assert line.step is not None
    return "Block" if line.step["step_id"] >= 0 else "Unknown"


def _frequency(line: AccountLine) -> str:
    assert line.step is not None
    return "Unknown" if line.step["step_id"] >= 0 else "0"


def _step_name(line: AccountLine) -> str:
    assert line.step is not None
    return str(line.step["spec"].get("name") or fields_step.step_word(line.step["step_id"]))


def _cpu_seconds(line: AccountLine) -> int:
    return account_line.elapsed_s(line) * account_line.cpus(line)


def _cpus(line: AccountLine) -> str:
    return str(account_line.cpus(line))


def _nodes(line: AccountLine) -> str:
    return str(account_line.node_count(line))


def _both(name: str, width: int, text: Text) -> AccountField:
    """Return a field that job and step read the same way."""
    return AccountField(name, width, text, text)


def _of_step(name: str, width: int, text: Text) -> AccountField:
    """Return a field that only steps have."""
    return AccountField(name, width, _nothing, text)


def _empty(name: str, width: int) -> AccountField:
    """Return a field of what is not kept here."""
    return AccountField(name, width, _nothing)


# One row is one line, however long: the table is read by its columns.
# fmt: off

FIELDS = (
    _both("Account", 10, _spec("account")),
    AccountField("AdminComment", 15, _spec("admin_comment")),
    _both("AllocCPUS", 10, _cpus),
    _both("AllocNodes", 10, _nodes),
    AccountField("AllocTRES", 10, _granted_tres, _step_tres),
    _both("AssocID", 7, _constant("0")),
    _of_step("AveCPU", 10, _counted(_average_cpu)),
    _of_step("AveCPUFreq", 10, _constant("0")),
    _of_step("AveDiskRead", 14, _disk("disk_read_bytes")),
    _of_step("AveDiskWrite", 14, _disk("disk_written_bytes")),
    _empty("AvePages", 10),
    _of_step("AveRSS", 10, _kib("total_rss_kib", True)),
    _of_step("AveVMSize", 10, _kib("max_vmsize_kib")),
    _empty("BlockID", 16),
    _both("Cluster", 10, lambda line: line.context.cluster),
    AccountField("Comment", 14, _spec("comment")),
    AccountField("Constraints", 19, _spec("features")),
    _both("ConsumedEnergy", 14, _constant("0")),
    _both("ConsumedEnergyRaw", 17, _constant("0")),
    AccountField("Container", 19, _option("container")),
    _both("CPUTime", 10, lambda line: duration.format_long(_cpu_seconds(line))),
    _both("CPUTimeRAW", 10, lambda line: str(_cpu_seconds(line))),
    _both("DBIndex", -10, lambda line: str(line.job["id"])),
    AccountField("DerivedExitCode", 15, lambda line: f"{line.job.get('derived_exit_code', 0)}:{line.job.get('derived_exit_signal', 0)}"),
    _both("Elapsed", 10, lambda line: duration.format_long(account_line.elapsed_s(line))),
    _both("ElapsedRaw", 10, lambda line: str(account_line.elapsed_s(line))),
    AccountField("Eligible", 19, _clock("eligible_at"), _step_start),
    _both("End", 19, _end),
    AccountField("Exclusive", 9, lambda line: (line.spec.get("exclusive") or "no").upper()),
    _both("ExitCode", 8, account_line.exit_text),
    AccountField("Extra", 20, _option("extra")),
    AccountField("FailedNode", 20, lambda line: line.job.get("failed_node", "")),
    _empty("Flags", 19),
    AccountField("GID", 6, lambda line: str(line.spec["gid"])),
    AccountField("Group", 9, lambda line: job_text.group_name(line.row)),
    _both("JobID", -12, account_line.line_id),
    _both("JobIDRaw", -12, account_line.raw_id),
    AccountField("JobName", 10, lambda line: line.spec["name"], _step_name),
    _of_step("Layout", 9, _layout),
    AccountField("Licenses", 20, _spec("licenses")),
    _of_step("MaxDiskRead", 12, _disk("disk_read_bytes")),
    _of_step("MaxDiskReadNode", 15, _usage("max_rss_node")),
    _of_step("MaxDiskReadTask", 15, _usage("max_rss_task")),
    _of_step("MaxDiskWrite", 12, _disk("disk_written_bytes")),
    _of_step("MaxDiskWriteNode", 16, _usage("max_rss_node")),
    _of_step("MaxDiskWriteTask", 16, _usage("max_rss_task")),
    _empty("MaxPages", 8),
    _empty("MaxPagesNode", 12),
    _empty("MaxPagesTask", 14),
    _of_step("MaxRSS", 10, _kib("max_rss_kib")),
    _of_step("MaxRSSNode", 10, _usage("max_rss_node")),
    _of_step("MaxRSSTask", 10, _counted(lambda line: str(account_line.usage(line).get("max_rss_task", 0)))),
    _of_step("MaxVMSize", 10, _kib("max_vmsize_kib")),
    _of_step("MaxVMSizeNode", 14, _usage("max_rss_node")),
    _of_step("MaxVMSizeTask", 14, _counted(lambda line: str(account_line.usage(line).get("max_rss_task", 0)))),
    AccountField("McsLabel", 12, _option("mcs-label")),
    _of_step("MinCPU", 10, _counted(_average_cpu)),
    _of_step("MinCPUNode", 10, _usage("max_rss_node")),
    _of_step("MinCPUTask", 10, _counted(_constant("0"))),
    _both("NCPUS", 10, _cpus),
    _both("NNodes", 8, _nodes),
    _both("NodeList", 15, account_line.node_text),
    _of_step("NTasks", 8, lambda line: str(account_line.tasks(line))),
    _empty("OriginalSLUID", 15),
    AccountField("OverSubscribe", 13, lambda line: job_text.over_subscribe(line.spec)),
    AccountField("Partition", 10, lambda line: line.job.get("partition", "")),
    AccountField("Planned", 10, lambda line: duration.format_long(_waited_s(line))),
    AccountField("PlannedCPU", 10, lambda line: duration.format_long(_waited_s(line) * job_size.requested_cpus(line.spec))),
    AccountField("PlannedCPURAW", 13, lambda line: str(_waited_s(line) * job_size.requested_cpus(line.spec))),
    AccountField("Priority", 10, lambda line: str(line.job.get("priority", 0))),
    AccountField("QOS", 10, _spec("qos")),
    AccountField("QOSRAW", 6, _constant("0")),
    AccountField("QOSREQ", 10, _spec("qos")),
    AccountField("Reason", 22, lambda line: line.entry.get("reason") or line.job.get("reason", "None")),
    AccountField("ReqCPUFreq", 10, _constant("Unknown"), _frequency),
    AccountField("ReqCPUFreqGov", 13, _constant("Unknown"), _frequency),
    AccountField("ReqCPUFreqMax", 13, _constant("Unknown"), _frequency),
    AccountField("ReqCPUFreqMin", 13, _constant("Unknown"), _frequency),
    AccountField("ReqCPUS", 8, lambda line: str(job_size.requested_cpus(line.spec)), _cpus),
    AccountField("ReqMem", 10, account_line.requested_memory),
    AccountField("ReqNodes", 8, lambda line: str(job_size.least_nodes(line.spec)), _nodes),
    AccountField("ReqReservation", 20, _spec("reservation")),
    AccountField("ReqTRES", 10, _requested_tres),
    AccountField("Reservation", 20, lambda line: str(line.job.get("reservation") or line.spec.get("reservation") or "")),
    _empty("ReservationId", 8),
    AccountField("Reserved", 10, lambda line: duration.format_long(_waited_s(line))),
    AccountField("Restarts", 8, lambda line: str(line.job.get("attempt", 0))),
    AccountField("ResvCPU", 10, lambda line: duration.format_long(_waited_s(line) * job_size.requested_cpus(line.spec))),
    AccountField("ResvCPURAW", 10, lambda line: str(_waited_s(line) * job_size.requested_cpus(line.spec))),
    AccountField("SegmentSize", 11, lambda line: str(line.spec.get("segment") or "")),
    AccountField("SLUID", 15, lambda line: str(line.job["id"])),
    AccountField("Start", 19, account_line.start_text, _step_start),
    _both("State", 10, account_line.state),
    AccountField("StdErr", 20, lambda line: job_text.stderr_path(line.row)),
    AccountField("StdIn", 20, lambda line: job_text.stdin_path(line.row)),
    AccountField("StdOut", 20, lambda line: job_text.stdout_path(line.row)),
    AccountField("Submit", 19, _clock("submitted_at"), _step_start),
    AccountField("SubmitLine", 20, _spec("submit_line")),
    _both("Suspended", 10, lambda line: duration.format_long(0 if line.step is not None else line.job.get("suspended_s", 0.0))),
    _empty("SystemComment", 15),
    _both("SystemCPU", 10, lambda line: account_line.cpu_time_text(line, "system_s")),
    AccountField("Timelimit", 10, _limit),
    AccountField("TimelimitRaw", 10, _limit_minutes),
    _both("TotalCPU", 10, lambda line: account_line.cpu_time_text(line, "user_s", "system_s")),
    _of_step("TRESUsageInAve", 14, _tres_in(True)),
    _of_step("TRESUsageInMax", 14, _tres_in(False)),
    _empty("TRESUsageInMaxNode", 18),
    _empty("TRESUsageInMaxTask", 18),
    _empty("TRESUsageInMin", 14),
    _empty("TRESUsageInMinNode", 18),
    _empty("TRESUsageInMinTask", 18),
    _of_step("TRESUsageInTot", 14, _tres_in(False, True)),
    _of_step("TRESUsageOutAve", 15, _tres_out(True)),
    _of_step("TRESUsageOutMax", 15, _tres_out(False)),
    _empty("TRESUsageOutMaxNode", 19),
    _empty("TRESUsageOutMaxTask", 19),
    _empty("TRESUsageOutMin", 15),
    _empty("TRESUsageOutMinNode", 19),
    _empty("TRESUsageOutMinTask", 19),
    _of_step("TRESUsageOutTot", 15, _tres_out(False)),
    AccountField("UID", 6, lambda line: str(line.spec["uid"])),
    AccountField("User", 9, lambda line: line.spec["user"]),
    _both("UserCPU", 10, lambda line: account_line.cpu_time_text(line, "user_s")),
    AccountField("WCKey", 10, _spec("wckey")),
    AccountField("WCKeyID", 10, _constant("0")),
    AccountField("WorkDir", 20, _spec("work_dir")),
)

# fmt: on

#: What needs the steps even when they are not listed.
SUMMED_FIELDS = ("TotalCPU", "UserCPU", "SystemCPU")
DEFAULT_FORMAT = "jobid,jobname,partition,account,alloccpus,state,exitcode"
BRIEF_FORMAT = "jobid,state,exitcode"
LONG_FORMAT = (
    "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,maxrsstask,"
    "averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,alloccpus,elapsed,"
    "state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,maxdiskread,"
    "maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,avediskwrite,reqtres,"
    "alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,tresusageinmin,tresusageinminnode,"
    "tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,tresusageoutmaxtask,tresusageoutave,"
    "tresusageouttot"
)


def field_named(name: str) -> AccountField | None:
    """Return the field of that name, or the first that it begins; None if there is none."""
    lower = name.lower()
    beginning = None
    for field in FIELDS:
        own = field.name.lower()
        if own == lower:
            return field
        if beginning is None and own.startswith(lower):
            beginning = field
    return beginning if lower else None
