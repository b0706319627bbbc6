"""Submit plugins: the contract, the built-in ones, and how the registry finds them."""

import pytest

from sluice.errors import PluginError, RequestError
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice_plugins import registry
from sluice_plugins.interfaces import Submission, SubmitFilter
from sluice_plugins.registry import SubmitFilters
from sluice_plugins.submit.all_partitions import AllPartitions
from sluice_plugins.submit.require_timelimit import RequireTimelimit
from sluice_plugins.testing import check_submit_filter

ALICE = Submission(
    uid=1000,
    user="alice",
    partitions=(Partition(name="long"), Partition(name="debug", is_default=True), Partition(name="old", state="DRAIN")),
)
PLAIN = JobSpec(name="plain", uid=1000, gid=1000, user="alice")


@pytest.mark.parametrize("plugin", [RequireTimelimit(), AllPartitions()])
def test_the_built_in_filters_keep_the_contract(plugin: SubmitFilter) -> None:
    check_submit_filter(plugin)


def test_the_contract_catches_a_filter_that_changes_the_submitter() -> None:
    class Impostor:
        def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
            return JobSpec(name=spec.name, uid=0, gid=0, user="root")

    with pytest.raises(AssertionError, match="who submits"):
        check_submit_filter(Impostor())


def test_a_job_without_a_time_limit_is_told_how_to_give_one() -> None:
    with pytest.raises(RequestError, match="-t 30"):
        RequireTimelimit().filter(PLAIN, ALICE)


def test_a_job_without_a_partition_gets_the_open_ones_default_first() -> None:
    assert AllPartitions().filter(PLAIN, ALICE).partitions == ("debug", "long")


def test_filters_are_found_by_the_names_of_the_configuration() -> None:
    filters = SubmitFilters(("all_partitions", "require_timelimit"))
    with pytest.raises(RequestError, match="time limit"):
        filters.apply(PLAIN, ALICE)


def test_an_unknown_plugin_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(PluginError, match=r"'lua'.*all_partitions.*require_timelimit"):
        registry.find("submit", "lua")


def test_a_filter_that_fails_refuses_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
            raise ZeroDivisionError("oops")

    monkeypatch.setattr(registry, "find", lambda kind, name: Broken())
    with pytest.raises(RequestError, match="'broken' failed: ZeroDivisionError"):
        SubmitFilters(("broken",)).apply(PLAIN, ALICE)
