# SPDX-License-Identifier: Apache-2.0
"""Seed Airflow's database with waits that nothing runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from airflow_import_progress.waiting.published import XCOM_KEY, PublishedProgress

_BUNDLE = "seeded-waits"


@dataclass(frozen=True, kw_only=True)
class SeededWait:
    """
    One wait in Airflow's database.

    :param dag_id: The DAG.
    :param run_id: The DAG run.
    :param task_id: The task that waits.
    :param map_index: The map index of the task.
    :param published: The published progress. Any other value is stored unchanged.
    :param task_state: The state of the task.
    :param try_number: The number of the task's try.
    :param published_at: When the progress was published. Defaults to now.
    :param started: How long before that the task started.
    :param run_after: When the DAG run could start. Defaults to now. If waits of a run differ, the first one counts.
    :param run_state: The state of the DAG run. If waits of a run differ, the first one counts.
    """

    dag_id: str = "imports"
    run_id: str = "manual__2026-01-01T00:00:00+00:00"
    task_id: str = "wait"
    map_index: int = -1
    published: PublishedProgress | Any
    task_state: str | None = "deferred"
    try_number: int = 1
    published_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: timedelta = timedelta(minutes=10)
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))
    run_state: str = "running"


def seed_waits(session: Session, *waits: SeededWait) -> None:
    """
    Store waits with their DAGs, DAG runs and tasks.

    :param session: A session on Airflow's database.
    :param waits: The waits.
    """
    _add_missing(session, DagBundleModel, [{"name": _BUNDLE}], "name")
    _add_missing(session, DagModel, [_dag(dag_id) for dag_id in {wait.dag_id for wait in waits}], "dag_id")
    runs = {(wait.dag_id, wait.run_id): wait for wait in reversed(waits)}
    number = session.scalar(select(func.max(DagRun.id))) or 0
    run_numbers = {
        (dag_id, run_id): at for dag_id, run_id, at in session.execute(select(DagRun.dag_id, DagRun.run_id, DagRun.id))
    }
    for run in sorted(runs.keys() - run_numbers.keys()):
        run_numbers[run] = number = number + 1
        session.execute(insert(DagRun.__table__).values(_run(number, runs[run])))
    session.execute(insert(TaskInstance.__table__), [_task(wait) for wait in waits])
    session.execute(insert(XComModel.__table__), [_xcom(wait, run_numbers[wait.dag_id, wait.run_id]) for wait in waits])
    session.commit()


def _add_missing(session: Session, model: Any, rows: list[dict[str, Any]], key: str) -> None:
    existing = set(session.scalars(select(getattr(model, key))))
    if missing := [row for row in rows if row[key] not in existing]:
        session.execute(insert(model.__table__), missing)


def _dag(dag_id: str) -> dict[str, Any]:
    return _only_columns(
        DagModel,
        {
            "dag_id": dag_id,
            "bundle_name": _BUNDLE,
            "is_paused": False,
            "is_stale": False,
            "fileloc": "/dags/imports.py",
            "relative_fileloc": "imports.py",
            "max_active_tasks": 16,
            "max_active_runs": 16,
            "max_consecutive_failed_dag_runs": 0,
            "has_task_concurrency_limits": False,
            "exceeds_max_non_backfill": False,
            "fail_fast": False,
            "timetable_type": "",
            "timetable_partitioned": False,
            "timetable_periodic": False,
            "partition_mapper_info": {},
        },
    )


def _run(number: int, wait: SeededWait) -> dict[str, Any]:
    return _only_columns(
        DagRun,
        {
            "id": number,
            "dag_id": wait.dag_id,
            "run_id": wait.run_id,
            "run_type": "manual",
            "state": wait.run_state,
            "run_after": wait.run_after,
            "start_date": wait.run_after,
            "end_date": wait.published_at if wait.run_state in ("success", "failed") else None,
            "clear_number": 0,
            "span_status": "not_started",
            "logical_date": None,
        },
    )


def _task(wait: SeededWait) -> dict[str, Any]:
    is_over = wait.task_state in ("success", "failed", "skipped")
    return _only_columns(
        TaskInstance,
        {
            "id": uuid.uuid4() if _takes_uuids() else str(uuid.uuid4()),
            "dag_id": wait.dag_id,
            "run_id": wait.run_id,
            "task_id": wait.task_id,
            "map_index": wait.map_index,
            "state": wait.task_state,
            "try_number": wait.try_number,
            "max_tries": 1,
            "start_date": wait.published_at - wait.started,
            "end_date": wait.published_at if is_over else None,
            "pool": "default_pool",
            "pool_slots": 1,
            "span_status": "not_started",
            "operator": "LuccaLeaveImportSensor",
        },
    )


def _xcom(wait: SeededWait, dag_run_id: int) -> dict[str, Any]:
    published = wait.published
    return {
        "dag_run_id": dag_run_id,
        "dag_id": wait.dag_id,
        "run_id": wait.run_id,
        "task_id": wait.task_id,
        "map_index": wait.map_index,
        "key": XCOM_KEY,
        "value": published.to_dict() if isinstance(published, PublishedProgress) else published,
        "timestamp": wait.published_at,
    }


def _only_columns(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for which the installed Airflow has a column."""
    return {name: value for name, value in values.items() if name in model.__table__.columns}


def _takes_uuids() -> bool:
    return "uuid" in type(TaskInstance.__table__.columns["id"].type).__name__.lower()
