# SPDX-License-Identifier: Apache-2.0
"""The waits in Airflow's database, as plain JSON values."""

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

#: Maximum number of waits in one answer.
MAX_ROWS = 200
#: Longest text and largest number of records in an answer: JavaScript has no larger exact integers.
MAX_TEXT_LENGTH, MAX_COUNT = 2000, 2**53
#: Maximum number of waits that are read to find those at one vendor or with one status.
MAX_SCANNED = 1000


class WaitStatus(StrEnum):
    """The status of a wait, from its import and its task."""

    #: The task waits, and its import has not begun, is over, or has an unknown state.
    WAITING = "waiting"
    RUNNING = "running"
    NEEDS_ACTION = "needs_action"
    RETRYING = "retrying"
    DONE = "done"
    #: The import has failed, or did not pass.
    FAILED = "failed"
    #: The task has failed, and the outcome of the import is unknown.
    GAVE_UP = "gave_up"
    SKIPPED = "skipped"


#: The statuses of waits that are not over.
UNDER_WAY = frozenset({WaitStatus.WAITING, WaitStatus.RUNNING, WaitStatus.NEEDS_ACTION, WaitStatus.RETRYING})

_RETRYING = {TaskInstanceState.UP_FOR_RETRY}
_DONE = {TaskInstanceState.SUCCESS}
_SKIPPED = {TaskInstanceState.SKIPPED}
_FAILED = {TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED, TaskInstanceState.REMOVED}
_WAITING = set(TaskInstanceState) - _RETRYING - _DONE - _SKIPPED - _FAILED

#: The states that a task may have, by the status of its wait.
_TASK_STATES: Mapping[WaitStatus, set[TaskInstanceState]] = {
    WaitStatus.WAITING: _WAITING,
    WaitStatus.RUNNING: _WAITING,
    WaitStatus.NEEDS_ACTION: _WAITING,
    WaitStatus.RETRYING: _RETRYING,
    WaitStatus.DONE: _DONE,
    WaitStatus.FAILED: _FAILED,
    WaitStatus.GAVE_UP: _FAILED,
    WaitStatus.SKIPPED: _SKIPPED,
}

#: The states of DAG runs whose tasks may still wait.
UNFINISHED_RUNS = (DagRunState.QUEUED, DagRunState.RUNNING)
_OVER_AT_THE_VENDOR = {ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED}


def waits_query(since: datetime | None = None) -> Select[Any]:
    """
    Return the query for waits and their tasks, as one statement.

    It selects columns instead of models, because the relations of models would be loaded too.

    :param since: Only waits of DAG runs that could start since then, or that are running. Airflow has an index on both.
        None: all.
    """
    query: Any = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            # As text, because a single value that is not JSON would fail the whole query.
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
    Return the query for the waits that are not over, followed by those that ended last.

    :param query: The query for all of them.
    :param limit: Maximum number of rows.
    """
    under_way = case((_in_states(UNDER_WAY), 0), else_=1)
    return query.order_by(under_way, XComModel.timestamp.desc()).limit(limit)


def in_states(query: Select[Any], states: Iterable[WaitStatus]) -> Select[Any]:
    """
    Return the query for the waits that may have one of the statuses, by the states of their tasks.

    :param query: The query for all of them.
    :param states: The statuses.
    """
    return query.where(_in_states(states))


def _in_states(states: Iterable[WaitStatus]) -> Any:
    task_states = set().union(*(_TASK_STATES[state] for state in states))
    known = TaskInstance.state.in_(sorted(state.value for state in task_states))
    # A task that was cleared has no state until it is scheduled again.
    return or_(known, TaskInstance.state.is_(None)) if task_states & _WAITING else known


def serialize_wait(row: Any) -> dict[str, Any] | None:
    """
    Return one wait as plain JSON values without its history, or None if the XCom was not written by a wait.

    :param row: A row of :func:`waits_query`.
    """
    published = _published(row.value, with_history=False)
    return None if published is None else _serialized(row, published)


def _serialized(row: Any, published: PublishedProgress) -> dict[str, Any]:
    progress = None
    # The progress of an earlier try is ignored, because it may be that of another import.
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
    return wait | _progress(progress) | (_poll(published, progress, state) if is_current else _EMPTY_POLL)


def serialize_history(row: Any) -> Sequence[Sequence[float]]:
    """
    Return the percentages of a wait in this try, as pairs of time and percent, oldest first.

    :param row: A row of :func:`waits_query`.
    """
    published = _published(row.value, with_history=True)
    if published is None or published.try_number != row.try_number:
        return []
    return [point for point in published.history if all(map(math.isfinite, point))]


def sort_key(wait: Mapping[str, Any]) -> tuple[Any, ...]:
    """
    Return the sort key: running waits first, the newest first. It does not change between polls.

    :param wait: What :func:`serialize_wait` returned.
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
    # A deeply nested value raises RecursionError, an infinite number OverflowError.
    except (ValueError, RecursionError, OverflowError):
        return None


def _state(task_state: str | None, progress: ImportProgress | None) -> WaitStatus:
    if task_state in _DONE:
        return WaitStatus.DONE
    if task_state in _SKIPPED:
        return WaitStatus.SKIPPED
    if task_state in _RETRYING:
        return WaitStatus.RETRYING
    if task_state in _FAILED:
        return WaitStatus.FAILED if progress and progress.state in _OVER_AT_THE_VENDOR else WaitStatus.GAVE_UP
    if progress and progress.state is ImportState.RUNNING:
        return WaitStatus.RUNNING
    if progress and progress.state is ImportState.ACTION_REQUIRED:
        return WaitStatus.NEEDS_ACTION
    return WaitStatus.WAITING


_EMPTY_PROGRESS = dict.fromkeys(
    ("import_state", "percent", "total", "processed", "failed", "vendor_status", "message", "warning")
)


def _progress(progress: ImportProgress | None) -> dict[str, Any]:
    if progress is None:
        return _EMPTY_PROGRESS
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


_EMPTY_POLL = dict.fromkeys(
    ("deadline", "polled_at", "progress_at", "percent_per_minute", "records_per_minute", "ends_at", "error"),
) | {"failures": 0}


def _poll(published: PublishedProgress, progress: ImportProgress | None, state: WaitStatus) -> dict[str, Any]:
    pace = _number(published.percent_per_minute)
    total = _count(progress.total) if progress else None
    return {
        "waiting_since": _number(published.waiting_since),
        "deadline": _number(published.deadline),
        "polled_at": _number(published.polled_at),
        "progress_at": _number(published.progress_at),
        "percent_per_minute": pace,
        "records_per_minute": _number(pace * total / 100) if pace is not None and total else None,
        # An estimate is of no use once the wait is over.
        "ends_at": _number(published.ends_at) if state in UNDER_WAY - {WaitStatus.RETRYING} else None,
        "error": _text(published.error),
        "failures": _count(published.failures) or 0,
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    # Unpaired surrogates cannot be sent.
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
    """Return an address that is safe as a link, or None: a script, for example, is an address too."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return None
    is_usable = parts is not None and parts.scheme in ("http", "https") and bool(parts.netloc)
    # Not shortened, because a shorter address would lead elsewhere.
    return _text(value) if is_usable and len(value) <= MAX_TEXT_LENGTH else None
