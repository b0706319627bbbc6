"""The words for limits: as squeue prints them, and each a Reason."""

import pytest

from sluice.model.limit_words import all_limit_words, limit_word, member_name
from sluice.model.reason import Reason


@pytest.mark.parametrize(
    ("key", "tres", "word"),
    [
        ("AssocGrpTRES", "cpu", "AssocGrpCpuLimit"),
        ("AssocGrpTRES", "mem", "AssocGrpMemLimit"),
        ("AssocGrpTRES", "gres/gpu:a100", "AssocGrpGRES"),
        ("AssocGrpTRES", "license/matlab", "AssocGrpLicense"),
        ("AssocGrpTRES", "fs/disk", "AssocGrpUnknown"),
        ("AssocGrpTRESMins", "cpu", "AssocGrpCPUMinutesLimit"),
        ("AssocGrpTRESRunMins", "billing", "AssocGrpBillingRunMinutes"),
        ("AssocMaxTRESPerJob", "node", "AssocMaxNodePerJobLimit"),
        ("AssocMaxTRESPerNode", "cpu", "AssocMaxCpuPerNode"),
        ("AssocMaxJobs", "", "AssocMaxJobsLimit"),
        ("AssocMaxSubmitJobs", "", "AssocMaxSubmitJobLimit"),
        ("AssocMaxWall", "", "AssocMaxWallDurationPerJobLimit"),
        ("QOSGrpTRES", "cpu", "QOSGrpCpuLimit"),
        ("QOSGrpTRES", "mem", "QOSGrpMemLimit"),
        ("QOSGrpTRESMins", "mem", "QOSGrpMemoryMinutes"),
        ("QOSMaxTRESPerUser", "cpu", "QOSMaxCpuPerUserLimit"),
        ("QOSMaxTRESPerUser", "mem", "QOSMaxMemoryPerUser"),
        ("QOSMaxTRESPerAccount", "gres/gpu", "MaxGRESPerAccount"),
        ("QOSMinTRESPerJob", "cpu", "QOSMinCpuNotSatisfied"),
        ("QOSMaxJobsPerUser", "", "QOSMaxJobsPerUserLimit"),
        ("QOSMaxJobsPerAccount", "", "MaxJobsPerAccount"),
        ("MaxTRESRunMinsPerUser", "cpu", "MaxCpuRunMinsPerUser"),
    ],
)
def test_a_limit_has_the_word_that_squeue_prints(key: str, tres: str, word: str) -> None:
    assert limit_word(key, tres) == word


def test_every_word_is_a_reason_of_its_own() -> None:
    words = all_limit_words()

    assert len(set(words)) == len(words)
    assert {Reason(word).name for word in words} == {member_name(word) for word in words}


def test_a_member_is_named_after_the_words_in_its_word() -> None:
    assert member_name("AssocGrpCPUMinutesLimit") == "ASSOC_GRP_CPU_MINUTES_LIMIT"
    assert member_name("QOSMaxGRESPerUser") == "QOS_MAX_GRES_PER_USER"
    assert member_name("QOSGrpBB") == "QOS_GRP_BB"
