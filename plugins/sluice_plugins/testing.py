"""The contract of each kind as functions, for the tests of any plugin.

from sluice_plugins.testing import check_submit_filter

def test_contract():
    check_submit_filter(MyFilter())
"""

from sluice.errors import RequestError
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice_plugins.interfaces import Submission, SubmitFilter

_PARTITIONS = (Partition(name="batch", is_default=True), Partition(name="short", state="INACTIVE"))

#: Requests that every filter must take or refuse properly.
REQUESTS = (
    JobSpec(name="plain", uid=1000, gid=1000, user="alice"),
    JobSpec(name="limited", uid=1000, gid=1000, user="alice", limit_s=60, partitions=("batch",)),
    JobSpec(name="array", uid=0, gid=0, user="root", array=((0, 999_999, 1),), is_unlimited=True),
    JobSpec(name="interactive", uid=1000, gid=1000, user="alice", is_batch=False, origin="salloc"),
)


def check_submit_filter(plugin: SubmitFilter) -> None:
    """Raise AssertionError unless the filter keeps its contract: an answer of the right type, twice the same."""
    for spec in REQUESTS:
        submission = Submission(uid=spec.uid, user=spec.user, partitions=_PARTITIONS)
        first = _outcome(plugin, spec, submission)
        assert first == _outcome(plugin, spec, submission), f"{spec.name}: the same request got two answers"
        if isinstance(first, JobSpec):
            assert (first.uid, first.user) == (spec.uid, spec.user), (
                f"{spec.name}: a filter must not change who submits"
            )


def _outcome(plugin: SubmitFilter, spec: JobSpec, submission: Submission) -> JobSpec | str:
    reason = ""
    result: JobSpec | None
    try:
        result = plugin.filter(spec, submission)
    except RequestError as refusal:
        result = None
        reason = refusal.message
    if result is None:
        assert reason, f"{spec.name}: refused without a reason"
        return reason
    assert isinstance(result, JobSpec), f"{spec.name}: gave back {type(result).__name__}"
    return result
