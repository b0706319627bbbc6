"""What limits refuse at submission, with the words of CONTRACT section 15 and the numbers."""

import pytest

from sluice.error_texts import text_of
from sluice.model.qos import QosFlag
from tests.limits_builder import Site

POLICY_TEXT = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


def told(verdict) -> tuple[str, str, str]:
    assert verdict is not None
    assert verdict.is_refusal
    return text_of(verdict.code), verdict.message, verdict.details


def site(**limits: object) -> Site:
    return Site().account("physics", **limits).user("ann", "physics").user("bob", "physics")


def test_a_job_within_all_limits_is_accepted() -> None:
    assert site(group_submit_jobs=1, max_submit_jobs=1).verdict("ann") is None


def test_grp_submit_jobs_counts_pending_and_running_jobs_of_the_account() -> None:
    physics = site(group_submit_jobs=3)
    physics.runs("ann")
    waiting, _ = physics.job("bob")
    physics.book.add_submitted(waiting, physics.partitions["batch"])

    assert physics.verdict("ann") is None
    assert told(physics.verdict("ann", tasks=2)) == (
        POLICY_TEXT,
        "AssocGrpSubmitJobsLimit",
        "account physics: GrpSubmitJobs 3, 2 submitted, 2 more wanted; 1 would fit",
    )


def test_max_submit_jobs_is_of_each_user() -> None:
    physics = site(max_submit_jobs=1)
    physics.runs("ann")

    assert told(physics.verdict("ann"))[1:] == (
        "AssocMaxSubmitJobLimit",
        "user ann in account physics: MaxSubmitJobs 1, 1 submitted, 1 more wanted; nothing more fits",
    )
    assert physics.verdict("bob") is None


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ("group_submit_jobs", "QOSGrpSubmitJobsLimit"),
        ("max_submit_jobs_per_user", "QOSMaxSubmitJobPerUserLimit"),
        ("max_submit_jobs_per_account", "MaxSubmitJobsPerAccount"),
    ],
)
def test_submit_limits_of_a_qos(limit: str, word: str) -> None:
    physics = site().qos("low", **{limit: 1})
    physics.runs("ann", qos="low")

    assert told(physics.verdict("ann", qos="low"))[1] == word
    assert physics.verdict("ann") is None


def test_an_array_counts_each_of_its_tasks() -> None:
    assert site(max_submit_jobs=100).verdict("ann", tasks=100) is None
    assert told(site(max_submit_jobs=100).verdict("ann", tasks=101))[1] == "AssocMaxSubmitJobLimit"


def test_what_could_never_start_is_accepted_and_waits() -> None:
    assert site(max_tres_per_job={"cpu": 1}).verdict("ann", cpus=2) is None


@pytest.mark.parametrize(
    ("limits", "job", "word"),
    [
        ({"max_tres_per_job": {"cpu": 4}}, {"cpus": 5}, "QOSMaxCpuPerJobLimit"),
        ({"max_wall_s": 60}, {}, "QOSMaxWallDurationPerJobLimit"),
        ({"max_tres_per_user": {"cpu": 4}}, {"cpus": 5}, "QOSMaxCpuPerUserLimit"),
        ({"group_tres": {"cpu": 4}}, {"cpus": 5}, "QOSGrpCpuLimit"),
        ({"min_tres_per_job": {"cpu": 4}}, {"cpus": 3}, "QOSMinCpuNotSatisfied"),
        ({"max_tres_per_node": {"cpu": 4}}, {"cpus": 5, "node_tres": {"cpu": 5}}, "QOSMaxCpuPerNode"),
    ],
)
def test_deny_on_limit_refuses_what_goes_over_a_limit_by_itself(limits, job, word) -> None:
    denying = site().qos("strict", (QosFlag.DENY_ON_LIMIT,), **limits)
    waiting = site().qos("strict", **limits)

    assert told(denying.verdict("ann", qos="strict", **job))[:2] == (POLICY_TEXT, word)
    assert waiting.verdict("ann", qos="strict", **job) is None


def test_deny_on_limit_holds_for_limits_of_associations_too() -> None:
    strict = site(max_tres_per_job={"cpu": 4}).qos("strict", (QosFlag.DENY_ON_LIMIT,))

    assert told(strict.verdict("ann", qos="strict", cpus=5))[1] == "AssocMaxCpuPerJobLimit"


def test_deny_on_limit_leaves_jobs_alone_that_only_have_to_wait_for_others() -> None:
    strict = site().qos("strict", (QosFlag.DENY_ON_LIMIT,), group_tres={"cpu": 4}, group_wall_s=60)
    strict.used("", qos="strict", wall_s=60.0)
    strict.runs("ann", qos="strict", cpus=4)

    assert strict.verdict("bob", qos="strict", cpus=4) is None


def test_a_user_outside_the_account_is_refused_with_the_accounts_that_would_do() -> None:
    assert told(site().account("biology").verdict("ann", account="biology")) == (
        "Invalid account or account/partition combination specified",
        "",
        "user ann has no association with account biology; it has one with physics",
    )


def test_a_qos_that_does_not_exist_or_is_not_allowed_is_refused() -> None:
    physics = site(qos=("normal",)).qos("high")

    assert told(physics.verdict("ann", qos="nope")) == ("Invalid qos specification", "", "QOS nope does not exist")
    assert told(physics.verdict("ann", qos="high"))[2] == "user ann may use the QOS normal, not high"


def test_an_unknown_qos_is_refused_where_none_is_enforced() -> None:
    lax = site()
    lax.enforced = frozenset()

    assert told(lax.verdict("ann", qos="nope"))[2] == "QOS nope does not exist; known are normal"


def test_a_qos_may_be_for_jobs_in_reservations_only() -> None:
    physics = site().qos("booked", (QosFlag.REQUIRES_RESERVATION,))

    assert told(physics.verdict("ann", qos="booked"))[2].startswith("QOS booked is for jobs in a reservation")
    assert physics.verdict("ann", qos="booked", reservation="maintenance") is None


def test_a_partition_that_leaves_the_account_or_qos_out_refuses() -> None:
    physics = site().partition("closed", deny_accounts=("physics",)).partition("low", allow_qos=("low",))

    assert told(physics.verdict("ann", partition="closed"))[0].startswith("Invalid account")
    assert told(physics.verdict("ann", partition="low"))[0] == "Invalid qos specification"


def test_a_user_below_the_usage_threshold_may_submit_and_waits() -> None:
    fair = site().qos("fair", (QosFlag.ENFORCE_USAGE_THRESHOLD,), usage_threshold=0.5)
    fair.used("physics", "ann", fair_share_factor=0.1)

    assert fair.verdict("ann", qos="fair") is None
