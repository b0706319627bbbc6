"""The control groups of a node as a whole; each step makes its own where the configuration says."""

from __future__ import annotations

import logging

from sluice.wire.messages import AgentConfig
from sluiced.cgroup import detect
from sluiced.cgroup.interface import GroupName
from sluiced.spool import Spool

logger = logging.getLogger(__name__)


class NodeGroups:
    """spool: its path is in the groups' name, and it tells which jobs are known."""

    def __init__(self, node: str, spool: Spool) -> None:
        self._node = node
        self._spool = spool

    def note(self, config: AgentConfig) -> None:
        """Have whoever takes the node down find its groups."""
        try:
            self._spool.note_groups(detect.node_folders(config.cgroup, self._name(config)))
        except OSError as error:
            logger.error("node %s: spool %r: %s", self._node, self._spool.path, error.strerror)

    def kill_unknown(self, config: AgentConfig) -> None:
        """End what is in groups of jobs that the spool does not know."""
        known = {detect.job_name(*key) for key in self._spool.jobs()}
        detect.kill_unknown_jobs(config.cgroup, self._name(config), known)
        self.remove_empty()

    def remove_step(self, config: AgentConfig, name: str) -> None:
        """Take away the group of a step, named JOB.ATTEMPT.STEP, that nothing is in any more."""
        job_id, attempt, step = name.split(".")
        group = GroupName(self._name(config), detect.job_name(int(job_id), int(attempt)), f"step_{step}")
        detect.remove_step(config.cgroup, group)

    def remove_empty(self) -> None:
        """Without a job there is no step daemon that may be about to use a group of the node."""
        if not self._spool.jobs():
            detect.remove_empty(self._spool.read_groups())

    def _name(self, config: AgentConfig) -> str:
        return detect.node_name(config.cluster, self._node, self._spool.path)
