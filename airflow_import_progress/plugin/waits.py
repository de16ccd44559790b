# SPDX-License-Identifier: Apache-2.0
"""What the database knows of the imports that tasks wait for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import Select, Text, and_, case, cast, or_, select

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.published import XCOM_KEY, PublishedProgress

#: So many waits are told at most.
MOST_TOLD = 200
#: The longest text and the largest number of records that are sent to the browser, which counts no further.
MAX_TEXT_LENGTH, MAX_COUNT = 2000, 2**53
#: So many are looked at for those of one vendor or in one state.
MOST_LOOKED_AT = 1000


class State(StrEnum):
    """Where a wait stands, by what is known of its import and of its task."""

    #: The task waits, and of its import is known no more than that it has not begun, or that it is over.
    WAITING = "waiting"
    RUNNING = "running"
    NEEDS_ACTION = "needs_action"
    RETRYING = "retrying"
    DONE = "done"
    #: The import has failed, or did not pass.
    FAILED = "failed"
    #: The task has failed, and what became of the import is not known.
    GAVE_UP = "gave_up"
    SKIPPED = "skipped"


#: A wait in one of these is not over.
UNDER_WAY = frozenset({State.WAITING, State.RUNNING, State.NEEDS_ACTION, State.RETRYING})

_RETRYING = {TaskInstanceState.UP_FOR_RETRY}
_DONE = {TaskInstanceState.SUCCESS}
_SKIPPED = {TaskInstanceState.SKIPPED}
_FAILED = {TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, TaskInstanceState.REMOVED}
_WAITING = set(TaskInstanceState) - _RETRYING - _DONE - _SKIPPED - _FAILED

#: In which states a task may be whose wait is in a state.
_TASK_STATES: Mapping[State, set[TaskInstanceState]] = {
    State.WAITING: _WAITING,
    State.RUNNING: _WAITING,
    State.NEEDS_ACTION: _WAITING,
    State.RETRYING: _RETRYING,
    State.DONE: _DONE,
    State.FAILED: _FAILED,
    State.GAVE_UP: _FAILED,
    State.SKIPPED: _SKIPPED,
}

#: The states of DAG runs whose tasks may wait, however long ago the run began.
UNFINISHED_RUNS = (DagRunState.QUEUED, DagRunState.RUNNING)
_OVER_AT_THE_VENDOR = {ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED}


def waits_query(since: datetime | None = None) -> Select[Any]:
    """
    Return the query for waits with what is needed of their tasks, in one statement.

    It names columns rather than models, whose relations would be loaded with them or one by one.

    :param since: Only waits of DAG runs that could start since then, or that are running. Airflow has an index on both.
        None: all.
    """
    query: Any = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            # As a text: a single value that cannot be parsed would fail the whole query.
            cast(XComModel.value, Text).label("value"),
            TaskInstance.state.label("task_state"),
            TaskInstance.try_number,
            TaskInstance.start_date,
            TaskInstance.end_date,
        )
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == XComModel.dag_id,
                TaskInstance.run_id == XComModel.run_id,
                TaskInstance.task_id == XComModel.task_id,
                TaskInstance.map_index == XComModel.map_index,
            ),
        )
        .where(XComModel.key == XCOM_KEY)
    )
    if since is not None:
        runs = select(DagRun.id).where(or_(DagRun.run_after >= since, DagRun.state.in_(UNFINISHED_RUNS)))
        query = query.where(XComModel.dag_run_id.in_(runs))
    bounded: Select[Any] = query
    return bounded


def newest_first(query: Select[Any], limit: int) -> Select[Any]:
    """
    Return the query for the waits that are not over and, if there is room, for those that ended last.

    :param query: The query for all of them.
    :param limit: For how many there is room.
    """
    under_way = case((_in_states(UNDER_WAY), 0), else_=1)
    return query.order_by(under_way, XComModel.timestamp.desc()).limit(limit)


def in_states(query: Select[Any], states: Iterable[State]) -> Select[Any]:
    """
    Return the query for the waits that may be in one of the states, as far as their tasks tell.

    :param query: The query for all of them.
    :param states: The states.
    """
    return query.where(_in_states(states))


def _in_states(states: Iterable[State]) -> Any:
    task_states = set().union(*(_TASK_STATES[state] for state in states))
    known = TaskInstance.state.in_(sorted(state.value for state in task_states))
    # A task that was cleared has no state until it is scheduled again.
    return or_(known, TaskInstance.state.is_(None)) if task_states & _WAITING else known


def tell(row: Any) -> dict[str, Any] | None:
    """
    Return one wait as plain JSON values without its history, or None if the XCom was not written by a wait.

    :param row: A row of :func:`waits_query`.
    """
    published = _published(row.value, with_history=False)
    return None if published is None else _tell(row, published)


def _tell(row: Any, published: PublishedProgress) -> dict[str, Any]:
    progress = None
    # What an earlier try has seen says nothing about this one, which may wait for another import.
    is_current = published.try_number == row.try_number
    if is_current and published.progress is not None:
        progress = ImportProgress.from_dict(published.progress)
    state = _state(row.task_state, progress)
    wait = {
        "dag_id": row.dag_id,
        "run_id": row.run_id,
        "task_id": row.task_id,
        "map_index": row.map_index,
        "task_state": row.task_state,
        "try_number": row.try_number,
        "state": state,
        "vendor": _text(published.vendor),
        "conn_id": _text(published.conn_id),
        "label": _text(published.label),
        "import_id": _text(published.import_id),
        "import_url": _web_address(published.import_url),
        "ended_at": row.end_date.timestamp() if row.end_date and state not in UNDER_WAY else None,
        "waiting_since": row.start_date.timestamp() if row.start_date else None,
    }
    return wait | _progress(progress) | (_poll(published, progress, state) if is_current else _NO_POLL)


def tell_history(row: Any) -> Sequence[Sequence[float]]:
    """
    Return the percentages that a wait has seen in this try, as pairs of time and percent, oldest first.

    :param row: A row of :func:`waits_query`.
    """
    published = _published(row.value, with_history=True)
    if published is None or published.try_number != row.try_number:
        return []
    return [point for point in published.history if all(map(math.isfinite, point))]


def order(wait: Mapping[str, Any]) -> tuple[Any, ...]:
    """
    Return by what waits are sorted: under way or over, the newest first; not by what changes with each poll.

    :param wait: What :func:`tell` returned.
    """
    is_over = wait["state"] not in UNDER_WAY
    moment = (wait["ended_at"] if is_over else wait["waiting_since"]) or 0.0
    return is_over, -moment, wait["dag_id"], wait["run_id"], wait["task_id"], wait["map_index"]


def _published(value: str, *, with_history: bool) -> PublishedProgress | None:
    try:
        values = json.loads(value)
        if isinstance(values, str):
            values = json.loads(values)
        if isinstance(values, dict) and not with_history:
            values = values | {"history": ()}
        return PublishedProgress.from_dict(values)
    # Deeply nested values end in a RecursionError, numbers without end in an OverflowError.
    except (ValueError, RecursionError, OverflowError):
        return None


def _state(task_state: str | None, progress: ImportProgress | None) -> State:
    if task_state in _DONE:
        return State.DONE
    if task_state in _SKIPPED:
        return State.SKIPPED
    if task_state in _RETRYING:
        return State.RETRYING
    if task_state in _FAILED:
        return State.FAILED if progress and progress.state in _OVER_AT_THE_VENDOR else State.GAVE_UP
    if progress and progress.state is ImportState.RUNNING:
        return State.RUNNING
    if progress and progress.state is ImportState.ACTION_REQUIRED:
        return State.NEEDS_ACTION
    return State.WAITING


_NO_PROGRESS = dict.fromkeys(
    ("import_state", "percent", "total", "processed", "failed", "vendor_status", "message", "warning")
)


def _progress(progress: ImportProgress | None) -> dict[str, Any]:
    if progress is None:
        return _NO_PROGRESS
    return {
        "import_state": progress.state,
        "percent": progress.percent,
        "total": _count(progress.total),
        "processed": _count(progress.processed),
        "failed": _count(progress.failed),
        "vendor_status": _text(progress.vendor_status),
        "message": _text(progress.message),
        "warning": _text(progress.warning),
    }


_NO_POLL = dict.fromkeys(
    ("deadline", "polled_at", "progress_at", "percent_per_minute", "records_per_minute", "ends_at", "error"),
) | {"failures": 0}


def _poll(published: PublishedProgress, progress: ImportProgress | None, state: State) -> dict[str, Any]:
    pace = _number(published.percent_per_minute)
    total = _count(progress.total) if progress else None
    return {
        "waiting_since": _number(published.waiting_since),
        "deadline": _number(published.deadline),
        "polled_at": _number(published.polled_at),
        "progress_at": _number(published.progress_at),
        "percent_per_minute": pace,
        "records_per_minute": _number(pace * total / 100) if pace is not None and total else None,
        # What is over does not end any more, whatever was expected.
        "ends_at": _number(published.ends_at) if state in UNDER_WAY - {State.RETRYING} else None,
        "error": _text(published.error),
        "failures": _count(published.failures) or 0,
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    # Half a pair of surrogates cannot be sent.
    return str(value)[:MAX_TEXT_LENGTH].encode("utf-8", "replace").decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else None


def _web_address(value: Any) -> str | None:
    """Return an address that a browser may be sent to, or None: a script, for one, is an address too."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return None
    is_usable = parts is not None and parts.scheme in ("http", "https") and bool(parts.netloc)
    # Cut, it would lead elsewhere.
    return _text(value) if is_usable and len(value) <= MAX_TEXT_LENGTH else None
