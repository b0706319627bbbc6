"""JobSubmitPlugins=require_timelimit: a job must say how long it runs at most."""

from sluice.errors import RequestError
from sluice.model.request import JobSpec
from sluice_plugins.interfaces import Submission


class RequireTimelimit:
    """Refuses a submission without --time."""

    def filter(self, spec: JobSpec, submission: Submission) -> JobSpec:
        if spec.limit_s is None and not spec.is_unlimited:
            raise RequestError(
                "a time limit is required here; add -t, for example -t 30 for half an hour", "time_limit"
            )
        return spec
