# SPDX-License-Identifier: Apache-2.0
"""Queries for the waits in Airflow's database."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState
from sqlalchemy import Select, Text, and_, case, cast, func, literal, or_, select

from airflow_import_progress.plugin.status import (
    IS_OF_THIS_TRY,
    IS_UNDER_WAY,
    STATUS,
    UNDER_WAY,
    WENT_WRONG,
    WaitStatus,
    has_status,
    may_have_status,
)
from airflow_import_progress.plugin.stored_values import epoch, published_number, published_text
from airflow_import_progress.waiting.published import XCOM_KEY

#: The states of DAG runs whose tasks may still wait, regardless of the run's age.
_UNFINISHED_RUN_STATES = (DagRunState.QUEUED, DagRunState.RUNNING)

#: Number of earlier durations of a task, and maximum number of DAG runs in which they are looked for.
MAX_DURATIONS, MAX_EARLIER_RUNS = 30, 100

#: When a wait ended, or was published last if its task is over without an end.
_ENDED_AT: Any = func.coalesce(TaskInstance.end_date, XComModel.timestamp)
#: The same, or NULL if the wait is not over.
_END: Any = case((IS_UNDER_WAY, None), else_=_ENDED_AT)
#: When the wait of this try began, in seconds since the epoch.
_WAITING_SINCE: Any = case((IS_OF_THIS_TRY, published_number("waiting_since")), else_=epoch(TaskInstance.start_date))
#: How long a wait took that is over, in seconds.
_TOOK: Any = epoch(_ENDED_AT) - _WAITING_SINCE
_IDENTITY = (XComModel.dag_run_id, XComModel.task_id, XComModel.map_index)


class SortKey(StrEnum):
    """The columns by which waits can be sorted."""

    IMPORT = "import"
    TASK = "task"
    STATE = "state"
    PROGRESS = "progress"
    STARTED = "started"
    TOOK = "took"
    ENDED = "ended"


def _took(now: float) -> Any:
    """Return how long a wait took or, if its try is not over, takes so far, in seconds."""
    is_timed = may_have_status(UNDER_WAY - {WaitStatus.RETRYING})
    return case((is_timed, literal(now) - _WAITING_SINCE), else_=_TOOK)


def _sort_columns(key: SortKey, now: float) -> tuple[Any, ...]:
    columns: dict[SortKey, tuple[Any, ...]] = {
        SortKey.IMPORT: (published_text("vendor"), published_text("import_id")),
        SortKey.TASK: (XComModel.dag_id, XComModel.task_id),
        SortKey.STATE: (STATUS,),
        SortKey.PROGRESS: (case((IS_OF_THIS_TRY, published_number("progress", "percent"))),),
        SortKey.STARTED: (_WAITING_SINCE,),
        SortKey.TOOK: (_took(now),),
        SortKey.ENDED: (_END,),
    }
    return columns[key]


def waits_query(now: float) -> Select[Any]:
    """
    Return a query for all waits and their tasks, as one statement.

    It selects columns instead of models, because models would load their relations as well.

    :param now: The time up to which those under way take, in seconds since the epoch.
    """
    query: Select[Any] = _from_waits(
        XComModel.dag_run_id,
        XComModel.dag_id,
        XComModel.run_id,
        XComModel.task_id,
        XComModel.map_index,
        # As text, because one value that is not valid JSON would fail the whole query.
        cast(XComModel.value, Text).label("value"),
        STATUS.label("status"),
        TaskInstance.state.label("task_state"),
        TaskInstance.try_number,
        TaskInstance.end_date,
        _WAITING_SINCE.label("waiting_since"),
        _took(now).label("took"),
    )
    return query


def _from_waits(*columns: Any) -> Any:
    return (
        select(*columns)
        .select_from(XComModel)
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


def candidates_query(since: datetime, runs_ended_since: datetime | None = None) -> Select[Any]:
    """
    Return a query for the identities of waits, to which filters are added.

    :param since: Only waits of DAG runs whose ``run_after`` is not earlier, or that are unfinished. Airflow has
        indexes for both.
    :param runs_ended_since: Also waits of DAG runs that ended at this time or later, however old they are. Airflow has
        no index for that, so the database reads all runs.
    """
    conditions = [DagRun.run_after >= since, DagRun.state.in_(_UNFINISHED_RUN_STATES)]
    if runs_ended_since is not None:
        conditions.append(DagRun.end_date >= runs_ended_since)
    query: Select[Any] = _from_waits(*_IDENTITY).where(
        XComModel.dag_run_id.in_(select(DagRun.id).where(or_(*conditions))),
        # Another task's XCom with the same key.
        published_text("vendor").is_not(None),
    )
    return query


def matching(query: Select[Any], search: str) -> Select[Any]:
    """
    Leave out the waits that do not contain a text.

    :param query: The query.
    :param search: A part of the import's id, of the id of the DAG, the task or the run, or of a message. Upper and
        lower case do not matter.
    """
    texts: list[Any] = [
        published_text("import_id"),
        case((IS_OF_THIS_TRY, published_text("error"))),
        case((IS_OF_THIS_TRY, published_text("progress", "message"))),
    ]
    # MySQL refuses to compare ids with other characters, which they cannot contain there.
    if max(search) <= "\uffff":
        texts += [XComModel.dag_id, XComModel.task_id, XComModel.run_id]
    escaped = re.sub(r"([%_/])", r"/\1", search)
    # Lowered by the database, because Python lowers more characters than some databases do.
    pattern = func.lower(literal(f"%{escaped}%"))
    return query.where(or_(*(func.lower(text).like(pattern, escape="/") for text in texts)))


def at_vendor(query: Select[Any], vendor: str) -> Select[Any]:
    """
    Leave out the waits at other vendors.

    :param query: The query.
    :param vendor: The vendor's name. Upper and lower case do not matter.
    """
    return query.where(func.lower(published_text("vendor")) == func.lower(literal(vendor)))


def with_status(query: Select[Any], statuses: Iterable[WaitStatus]) -> Select[Any]:
    """
    Leave out the waits with another status.

    :param query: The query.
    :param statuses: The statuses.
    """
    return query.where(has_status(statuses))


def ended_since(query: Select[Any], moment: datetime) -> Select[Any]:
    """
    Leave out the waits that ended earlier. Waits that are not over remain.

    :param query: The query.
    :param moment: The earliest end.
    """
    return query.where(or_(IS_UNDER_WAY, moment <= _ENDED_AT))


def page_query(
    candidates: Select[Any], now: float, *, sort: SortKey | None, descending: bool, offset: int, limit: int
) -> Any:
    """
    Return a query for the waits of one page of a list.

    Without a sort key, those under way come first, the newest first, and then the others by their end. That order does
    not change with each poll.

    :param candidates: The query for the identities of the waits in the list.
    :param now: The current time, in seconds since the epoch.
    :param sort: The column to sort by.
    :param descending: Whether to sort in descending order. Waits without a value come last in both.
    :param offset: Number of waits before the page.
    :param limit: Maximum number of waits on the page.
    """
    order = _order(sort, now, descending=descending)
    # The identities first, so that the database reads and converts no other values than those of the page.
    page = candidates.order_by(*order).offset(offset).limit(limit).subquery()
    is_on_page = and_(*(column == page.c[column.name] for column in _IDENTITY))
    return waits_query(now).join(page, is_on_page).order_by(*order)


def _order(sort: SortKey | None, now: float, *, descending: bool) -> list[Any]:
    if sort is None:
        columns: tuple[Any, ...] = (case((IS_UNDER_WAY, _WAITING_SINCE)), _END)
        descending = True
    else:
        columns = _sort_columns(sort, now)
    order = [] if sort else [case((IS_UNDER_WAY, 0), else_=1)]
    for column in columns:
        # Databases disagree on where NULL is.
        order += [case((column.is_(None), 1), else_=0), column.desc() if descending else column.asc()]
    return [*order, XComModel.dag_run_id.desc(), XComModel.task_id, XComModel.map_index]


def counts_query(candidates: Select[Any], day_began_at: datetime) -> Any:
    """
    Return a query for each DAG's numbers of waits under way, of those that ended on a day, and that went wrong on it.

    :param candidates: The query for the identities of the waits.
    :param day_began_at: The beginning of the day.
    """
    ended_today = day_began_at <= _ENDED_AT
    return (
        candidates.with_only_columns(
            XComModel.dag_id,
            _count(IS_UNDER_WAY).label("under_way"),
            _count(and_(~IS_UNDER_WAY, ended_today)).label("ended"),
            _count(and_(ended_today, has_status(WENT_WRONG))).label("went_wrong"),
        )
        .group_by(XComModel.dag_id)
        .order_by(XComModel.dag_id)
    )


def _count(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


def slowest_query(candidates: Select[Any], day_began_at: datetime, now: float) -> Any:
    """
    Return a query for the waits that took longest, of those under way and those that ended on a day.

    There are a few, because a value that another task has stored may not be one that a wait has published.

    :param candidates: The query for the identities of the waits.
    :param day_began_at: The beginning of the day.
    :param now: The current time, in seconds since the epoch.
    """
    timed = ended_since(candidates, day_began_at).where(_took(now).is_not(None))
    return page_query(timed, now, sort=SortKey.TOOK, descending=True, offset=0, limit=5)


def durations_query(dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """
    Return a query for the durations of the earlier waits of a task, the newest first.

    :param dag_id: The task's DAG.
    :param run_id: The DAG run before which they were.
    :param task_id: The task.
    :param map_index: The index of a mapped task, or -1.
    """
    before: Any = select(DagRun.run_after).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id).scalar_subquery()
    runs: Any = (
        select(DagRun.id, DagRun.run_after)
        .where(DagRun.dag_id == dag_id, DagRun.run_after < before)
        .order_by(DagRun.run_after.desc())
        .limit(MAX_EARLIER_RUNS)
        .subquery()
    )
    return (
        _from_waits(XComModel.run_id, STATUS.label("status"), _TOOK.label("took"), _ENDED_AT.label("ended_at"))
        .join(runs, runs.c.id == XComModel.dag_run_id)
        .where(
            XComModel.task_id == task_id,
            XComModel.map_index == map_index,
            has_status({WaitStatus.DONE, WaitStatus.FAILED}),
            # Not those whose import was not started.
            published_text("progress", "state").is_not(None),
            _TOOK.is_not(None),
        )
        .order_by(runs.c.run_after.desc())
        .limit(MAX_DURATIONS)
    )
