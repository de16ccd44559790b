# SPDX-License-Identifier: Apache-2.0
"""The status of a wait, derived from the states of its task and its import."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from airflow.utils.state import TaskInstanceState

from airflow_import_progress.progress import ImportProgress, ImportState


class WaitStatus(StrEnum):
    """The status of a wait."""

    #: The task waits, and its import is unknown, pending or already over.
    WAITING = "waiting"
    RUNNING = "running"
    NEEDS_ACTION = "needs_action"
    RETRYING = "retrying"
    DONE = "done"
    #: The import failed, or did not pass the gate.
    FAILED = "failed"
    #: The task failed, and the outcome of the import is unknown.
    GAVE_UP = "gave_up"
    SKIPPED = "skipped"


#: The statuses of waits that are not over.
UNDER_WAY = frozenset({WaitStatus.WAITING, WaitStatus.RUNNING, WaitStatus.NEEDS_ACTION, WaitStatus.RETRYING})

_RETRYING = {TaskInstanceState.UP_FOR_RETRY}
_DONE = {TaskInstanceState.SUCCESS}
_SKIPPED = {TaskInstanceState.SKIPPED}
_FAILED = {TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, TaskInstanceState.REMOVED}
#: The states of a task that is still waiting. A cleared task has none until it is scheduled again, and counts too.
WAITING_TASK_STATES = set(TaskInstanceState) - _RETRYING - _DONE - _SKIPPED - _FAILED

#: The possible task states for each status.
TASK_STATES: Mapping[WaitStatus, set[TaskInstanceState]] = {
    WaitStatus.WAITING: WAITING_TASK_STATES,
    WaitStatus.RUNNING: WAITING_TASK_STATES,
    WaitStatus.NEEDS_ACTION: WAITING_TASK_STATES,
    WaitStatus.RETRYING: _RETRYING,
    WaitStatus.DONE: _DONE,
    WaitStatus.FAILED: _FAILED,
    WaitStatus.GAVE_UP: _FAILED,
    WaitStatus.SKIPPED: _SKIPPED,
}


def wait_status(task_state: str | None, progress: ImportProgress | None) -> WaitStatus:
    """
    Return the status of a wait.

    :param task_state: The state of the task.
    :param progress: The progress of the import in this try of the task, or None if it is unknown.
    """
    if task_state in _DONE:
        return WaitStatus.DONE
    if task_state in _SKIPPED:
        return WaitStatus.SKIPPED
    if task_state in _RETRYING:
        return WaitStatus.RETRYING
    if task_state in _FAILED:
        return WaitStatus.FAILED if progress and progress.state.is_final else WaitStatus.GAVE_UP
    if progress and progress.state is ImportState.RUNNING:
        return WaitStatus.RUNNING
    if progress and progress.state is ImportState.ACTION_REQUIRED:
        return WaitStatus.NEEDS_ACTION
    return WaitStatus.WAITING
