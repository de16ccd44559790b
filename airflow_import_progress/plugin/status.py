# SPDX-License-Identifier: Apache-2.0
"""The status of a wait, derived from the states of its task, its import and the start of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import TaskInstanceState
from sqlalchemy import and_, case, or_

from airflow_import_progress.plugin.stored_values import published_number, published_text
from airflow_import_progress.progress import ImportState
from airflow_import_progress.waiting.published import PublishedStartState


class WaitStatus(StrEnum):
    """The status of a wait."""

    #: The task waits, and its import is unknown, pending or already over.
    WAITING = "waiting"
    RUNNING = "running"
    NEEDS_ACTION = "needs_action"
    RETRYING = "retrying"
    DONE = "done"
    #: The task succeeded, but no success of the import was published: somebody marked it, or the last write failed.
    TASK_SUCCEEDED = "task_succeeded"
    #: The task has started the import, and has succeeded without waiting for it.
    STARTED = "started"
    #: The import failed, did not pass the gate, or was not started.
    FAILED = "failed"
    #: The task failed, and the outcome of the import is unknown.
    GAVE_UP = "gave_up"
    #: The task failed, and it is unknown whether it has started an import.
    START_UNKNOWN = "start_unknown"
    SKIPPED = "skipped"


#: The statuses of waits that are not over.
UNDER_WAY = frozenset({WaitStatus.WAITING, WaitStatus.RUNNING, WaitStatus.NEEDS_ACTION, WaitStatus.RETRYING})
#: The statuses of waits that someone has to look at.
WENT_WRONG = frozenset({WaitStatus.FAILED, WaitStatus.GAVE_UP, WaitStatus.START_UNKNOWN})

_RETRYING = {TaskInstanceState.UP_FOR_RETRY}
_DONE = {TaskInstanceState.SUCCESS}
_SKIPPED = {TaskInstanceState.SKIPPED}
_FAILED = {TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, TaskInstanceState.REMOVED}
#: The states of a task that is still waiting. A cleared task has none until it is scheduled again, and counts too.
_WAITING = set(TaskInstanceState) - _RETRYING - _DONE - _SKIPPED - _FAILED

#: The possible task states for each status.
_TASK_STATES: Mapping[WaitStatus, set[TaskInstanceState]] = {
    WaitStatus.WAITING: _WAITING,
    WaitStatus.RUNNING: _WAITING,
    WaitStatus.NEEDS_ACTION: _WAITING,
    WaitStatus.RETRYING: _RETRYING,
    WaitStatus.DONE: _DONE,
    WaitStatus.TASK_SUCCEEDED: _DONE,
    WaitStatus.STARTED: _DONE,
    WaitStatus.FAILED: _FAILED,
    WaitStatus.GAVE_UP: _FAILED,
    WaitStatus.START_UNKNOWN: _FAILED | _SKIPPED,
    WaitStatus.SKIPPED: _SKIPPED,
}


def _task_is(states: Iterable[TaskInstanceState]) -> Any:
    condition = TaskInstance.state.in_(sorted(state.value for state in states))
    return or_(condition, TaskInstance.state.is_(None)) if _WAITING & set(states) else condition


def _values(states: Iterable[StrEnum]) -> list[str]:
    return sorted(state.value for state in states)


#: Whether what was published is about the current try of the task. The next one may wait for another import. Until a
#: cleared task is scheduled again, it has no state, and its try number is that of the last try.
IS_OF_THIS_TRY = and_(TaskInstance.state.is_not(None), published_number("try_number") == TaskInstance.try_number)

_import_state, _start_state = published_text("progress", "state"), published_text("start", "state")
_HAS_UNKNOWN_START = and_(
    IS_OF_THIS_TRY,
    _import_state.is_(None),
    _start_state.in_(_values({PublishedStartState.STARTING, PublishedStartState.UNKNOWN})),
)
_HAS_OUTCOME = and_(
    IS_OF_THIS_TRY,
    or_(
        _import_state.in_(_values(state for state in ImportState if state.is_final)),
        _start_state.in_(_values({PublishedStartState.NOT_STARTED, PublishedStartState.FAILED})),
    ),
)
_IS_NOT_AWAITED = and_(IS_OF_THIS_TRY, _import_state.is_(None), _start_state == PublishedStartState.NOT_AWAITED.value)

#: The status of a wait, as an expression of SQL. The task's state comes first, because reading a published value costs
#: the database far more.
STATUS: Any = case(
    (and_(_task_is(_DONE), IS_OF_THIS_TRY, _import_state == ImportState.SUCCEEDED.value), WaitStatus.DONE.value),
    (and_(_task_is(_DONE), _IS_NOT_AWAITED), WaitStatus.STARTED.value),
    (_task_is(_DONE), WaitStatus.TASK_SUCCEEDED.value),
    (_task_is(_RETRYING), WaitStatus.RETRYING.value),
    (and_(_task_is(_FAILED | _SKIPPED), _HAS_UNKNOWN_START), WaitStatus.START_UNKNOWN.value),
    (_task_is(_SKIPPED), WaitStatus.SKIPPED.value),
    # A task that failed because of another one, or was removed, has not seen the outcome.
    (and_(_task_is({TaskInstanceState.FAILED}), _HAS_OUTCOME), WaitStatus.FAILED.value),
    (_task_is(_FAILED), WaitStatus.GAVE_UP.value),
    (and_(IS_OF_THIS_TRY, _import_state == ImportState.RUNNING.value), WaitStatus.RUNNING.value),
    (and_(IS_OF_THIS_TRY, _import_state == ImportState.ACTION_REQUIRED.value), WaitStatus.NEEDS_ACTION.value),
    else_=WaitStatus.WAITING.value,
)


def may_have_status(statuses: Iterable[WaitStatus]) -> Any:
    """
    Return a condition on the task's state alone that each wait with one of these statuses fulfils, and maybe others.

    :param statuses: The statuses.
    """
    return _task_is(set().union(*(_TASK_STATES[status] for status in statuses)))


def has_status(statuses: Iterable[WaitStatus]) -> Any:
    """
    Return a condition that the waits with one of these statuses fulfil.

    :param statuses: The statuses.
    """
    return and_(may_have_status(statuses), STATUS.in_(_values(statuses)))


#: Whether a wait is not over. Only its task's state decides that.
IS_UNDER_WAY = may_have_status(UNDER_WAY)
