# SPDX-License-Identifier: Apache-2.0
"""Queries for the waits in Airflow's database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState
from sqlalchemy import Select, Text, and_, case, cast, func, or_, select

from airflow_import_progress.plugin.status import TASK_STATES, UNDER_WAY, WAITING_TASK_STATES, WaitStatus
from airflow_import_progress.waiting.published import XCOM_KEY

#: The states of DAG runs whose tasks may still wait, regardless of the run's age.
_UNFINISHED_RUN_STATES = (DagRunState.QUEUED, DagRunState.RUNNING)


def waits_query(since: datetime | None = None, runs_ended_since: datetime | None = None) -> Select[Any]:
    """
    Return a query for waits and their tasks, as one statement.

    It selects columns instead of models, because models would load their relations as well.

    :param since: Only waits of DAG runs whose ``run_after`` is not earlier, or that are unfinished. Airflow has an
        index on both. None: all waits.
    :param runs_ended_since: Also waits of DAG runs that ended at this time or later, however old they are.
    """
    query: Any = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            # As text, because one value that is not valid JSON would fail the whole query.
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
        conditions = [DagRun.run_after >= since, DagRun.state.in_(_UNFINISHED_RUN_STATES)]
        if runs_ended_since is not None:
            conditions.append(DagRun.end_date >= runs_ended_since)
        runs = select(DagRun.id).where(or_(*conditions))
        query = query.where(XComModel.dag_run_id.in_(runs))
    selected: Select[Any] = query
    return selected


def newest_first(query: Select[Any], limit: int) -> Select[Any]:
    """Sort waits: those under way first, then the others by the time of their last publication."""
    is_over = case((_may_have_status(UNDER_WAY), 0), else_=1)
    return query.order_by(is_over, XComModel.timestamp.desc()).limit(limit)


def with_status(query: Select[Any], statuses: Iterable[WaitStatus]) -> Select[Any]:
    """Filter waits by the task states that a status permits. The result may include waits with another status."""
    return query.where(_may_have_status(statuses))


def ended_since(query: Select[Any], moment: datetime) -> Select[Any]:
    """Leave out the waits that ended earlier. Waits that are not over remain."""
    # The last publication, because a task may be over without an end.
    ended_at = func.coalesce(TaskInstance.end_date, XComModel.timestamp)
    return query.where(or_(_may_have_status(UNDER_WAY), ended_at >= moment))


def _may_have_status(statuses: Iterable[WaitStatus]) -> Any:
    task_states = set().union(*(TASK_STATES[status] for status in statuses))
    condition = TaskInstance.state.in_(sorted(state.value for state in task_states))
    # A cleared task has no state until it is scheduled again.
    return or_(condition, TaskInstance.state.is_(None)) if task_states & WAITING_TASK_STATES else condition
