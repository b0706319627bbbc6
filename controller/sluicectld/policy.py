"""From the configuration to what the scheduler decides by.  Pure but for the local zone.

Which backfill it is stands in SchedulerParameters, in words of our own: bf_policy=hybrid (the default), easy,
easy-sjbf, conservative or predict, and bf_plans=N for hybrid.
"""

import time

from msgspec.structs import replace

from sluice.config.records import ClusterConfig
from sluice.config.settings import Settings
from sluice.errors import PluginError
from sluice.model.preemption import PreemptSetup
from sluice.model.priority import PrioritySetup
from sluice_plugins.registry import build_networks, find_preemption, prepare_priority
from sluicectld.configuration import nodes_of, partitions_of
from sluicectld.scheduler.snapshot import Policy
from sluicectld.scheduler.totals import compute_totals
from sluicectld.zone import find_local_zone

#: Of a number in SchedulerParameters.
_DIGITS_MAX = 9
#: More jobs than any queue has.
_ALL = 10**9
#: What sets the backfill policies apart, as fields of Policy.
_BACKFILL: dict[str, dict[str, int | bool]] = {
    "hybrid": {},
    "easy": {"planned_max": 1},
    "easy-sjbf": {"planned_max": 1, "is_shortest_first": True},
    "conservative": {"planned_max": _ALL, "planned_per_shape_max": _ALL, "keeps_promises": True},
    "predict": {"planned_max": 1, "is_predicting": True},
}


def policy_of(config: ClusterConfig) -> Policy:
    """Return what the scheduler decides by.  Raises PluginError for a plugin, factor or policy that does not exist."""
    settings = config.settings
    parameters = settings.scheduler_parameters
    words = {word.upper() for word in settings.select_type_parameters}
    unit = "node" if settings.select_type == "select/linear" else _select_unit(words)
    priority = priority_setup_of(settings)
    policy = Policy(
        is_backfilling=settings.scheduler_type == "sched/backfill",
        backfill_jobs_max=_count(parameters, "bf_max_job_test", 500),
        backfill_window_s=_count(parameters, "bf_window", 1440) * 60.0,
        backfill_resolution_s=_seconds(parameters, "bf_resolution", 0.0),
        select_unit=unit,
        has_memory=any(word.endswith("MEMORY") for word in words),
        is_least_loaded="CR_LLN" in words,
        default_memory_per_node_mib=settings.default_memory_per_node_mib,
        default_memory_per_cpu_mib=settings.default_memory_per_cpu_mib,
        default_cpus_per_gpu=settings.cpus_per_gpu or 0,
        enforce_partition_limits=settings.enforce_partition_limits,
        utc_offset_s=time.localtime().tm_gmtoff,
        priority=priority,
        priority_rule=prepare_priority(priority),
        totals=compute_totals(nodes_of(config), partitions_of(config), settings.licenses),
        networks=build_networks(config.topologies, [node.name for node in config.nodes]),
        switch_wait_max_s=_seconds(parameters, "max_switch_wait", 300.0),
        default_memory_per_gpu_mib=settings.default_memory_per_gpu_mib,
        is_one_task_per_core="CR_ONE_TASK_PER_CORE" in words,
        is_block_by_default="CR_CORE_DEFAULT_DIST_BLOCK" in words,
        packs_tasks="CR_PACK_NODES" in words,
        puts_serial_last="pack_serial_at_end" in parameters,
        prefers_busy_nodes="bf_busy_nodes" in parameters,
        allows_core_spec=settings.allow_spec_resources_usage,
        accounting_enforced=frozenset(settings.accounting_storage_enforce),
        is_billing_max="MAX_TRES" in settings.priority_flags,
        stops_at_limits="assoc_limit_stop" in parameters,
        max_memory_per_cpu_mib=settings.max_memory_per_cpu_mib,
        max_memory_per_node_mib=settings.max_memory_per_node_mib,
        time_zone=find_local_zone(),
        reservation_overrun_s=settings.reservation_overrun_s,
        preempt=preempt_setup_of(settings),
        preempt_plugin=find_preemption(settings.preempt_type.removeprefix("preempt/")),
        planned_max=_count(parameters, "bf_plans", 500),
        backfill_user_jobs_max=_count(parameters, "bf_max_job_user", 0),
        backfill_partition_jobs_max=_count(parameters, "bf_max_job_part", 0),
        backfill_user_partition_jobs_max=_count(parameters, "bf_max_job_user_part", 0),
        backfill_starts_max=_count(parameters, "bf_max_job_start", 0),
        plan_age_min_s=_seconds(parameters, "bf_min_age_reserve", 0.0),
        plan_priority_min=_count(parameters, "bf_min_prio_reserve", 0),
        partition_plans_min=_count(parameters, "bf_job_part_count_reserve", 0),
    )
    return replace(policy, **_find_backfill(_backfill_name(settings)))


def is_predicting(settings: Settings) -> bool:
    """Does the configured backfill policy go by predicted run times?"""
    return bool(_find_backfill(_backfill_name(settings)).get("is_predicting"))


def _backfill_name(settings: Settings) -> str:
    return settings.scheduler_parameters.get("bf_policy", "hybrid")


def _find_backfill(name: str) -> dict[str, int | bool]:
    if name not in _BACKFILL:
        known = ", ".join(_BACKFILL)
        raise PluginError(f"SchedulerParameters: bf_policy={name}: no such backfill policy; known are {known}")
    return _BACKFILL[name]


def _select_unit(words: set[str]) -> str:
    for unit in ("core", "socket", "cpu"):
        if any(word.startswith(f"CR_{unit.upper()}") for word in words):
            return unit
    return "cpu"


def _count(parameters: dict[str, str], name: str, default: int) -> int:
    """Return the number; 0 stands for the default."""
    return _number(parameters, name) or default


def _seconds(parameters: dict[str, str], name: str, default: float) -> float:
    number = _number(parameters, name)
    return default if number is None else float(number)


def _number(parameters: dict[str, str], name: str) -> int | None:
    """Return the parameter's number, None where it is not given.  Raises PluginError for another word."""
    text = parameters.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        raise PluginError(
            f"SchedulerParameters: {name}={text}: a whole number from 0 to {10**_DIGITS_MAX - 1} is wanted"
        )
    return int(text)


def priority_setup_of(settings: Settings) -> PrioritySetup:
    """Return how priorities and fair-share are computed.  Raises PluginError for a weight that is no number."""
    weights = {
        "age": settings.priority_weight_age,
        "assoc": settings.priority_weight_assoc,
        "fairshare": settings.priority_weight_fair_share,
        "jobsize": settings.priority_weight_job_size,
        "partition": settings.priority_weight_partition,
        "qos": settings.priority_weight_qos,
    }
    weights |= {name: _factor_weight(name, text) for name, text in settings.priority_parameters.items()}
    return PrioritySetup(
        type=settings.priority_type.removeprefix("priority/"),
        weights={name: weight for name, weight in weights.items() if weight},
        tres_weights={name: weight for name, weight in settings.priority_weight_tres.items() if weight},
        flags=frozenset(settings.priority_flags),
        is_small_favored=settings.priority_favor_small,
        max_age_s=float(settings.priority_max_age_s),
        site_factor=settings.priority_site_factor_plugin.removeprefix("site_factor/"),
        site_parameters=settings.priority_site_factor_parameters,
        half_life_s=float(settings.priority_decay_half_life_s),
        usage_reset_period=settings.priority_usage_reset_period,
        calculation_period_s=float(settings.priority_calc_period_s),
        dampening=float(settings.fair_share_dampening_factor),
    )


def preempt_setup_of(settings: Settings) -> PreemptSetup:
    """Return how jobs are preempted.  The words of PreemptParameters are heard in SchedulerParameters too, as once."""
    once = {
        name.removeprefix("preempt_"): value
        for name, value in settings.scheduler_parameters.items()
        if name.startswith("preempt_")
    }
    parameters = once | settings.preempt_parameters
    least = parameters.get("min_exempt_priority", "")
    return PreemptSetup(
        type=settings.preempt_type.removeprefix("preempt/"),
        modes=frozenset(settings.preempt_mode),
        exempt_s=float(settings.preempt_exempt_s or 0),
        min_exempt_priority=int(least) if least.isdecimal() else None,
        reclaims_licenses="reclaim_licenses" in parameters,
        reorder_count=_count(parameters, "reorder_count", 1),
        sends_user_signal="send_user_signal" in parameters,
        is_strict_order="strict_order" in parameters,
        is_youngest_first="youngest_first" in parameters,
        requeues=settings.job_requeue,
    )


def _factor_weight(name: str, text: str) -> int:
    if not text.isdecimal():
        raise PluginError(f"PriorityParameters: {name}={text}: a factor's weight is a whole number")
    return int(text)
