# SPDX-License-Identifier: Apache-2.0
"""
Imports that operators start, and to whose tasks something happens while the import is under way.

They last until the test releases them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from import_files import LEAVES, LOCATIONS, archive, written
from start_specs import ACTIONS, HAS_ALL_TASKS

from airflow_import_progress.operators import zilliz
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator, LuccaUserLocationImportOperator
from airflow_import_progress.operators.rocketchat import RocketChatFileImportOperator
from airflow_import_progress.operators.zilliz import ZillizImportOperator

# The sandbox processes a request at once, so that a search need not wait for its effect as long as at a vendor.
zilliz.MAX_START_SECONDS = 15.0

MODES: dict[str, dict[str, Any]] = {
    "deferred": {},
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
}
COMMON: dict[str, Any] = {"poke_interval": 5, "timeout": 600}
# Before the tasks of other DAGs, because a request cannot be held for longer than a few minutes.
DEFAULTS: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=1), "priority_weight": 10}


def add_tasks(action: str) -> None:
    """Add the tasks to which something happens."""
    for mode, arguments in MODES.items():
        task_id = f"{action}_{mode}"
        file = written(task_id, LEAVES)
        LuccaLeaveImportOperator(task_id=task_id, file=file, lucca_conn_id=f"lucca_{action}", **arguments, **COMMON)
    RocketChatFileImportOperator(
        task_id=f"{action}_rocketchat",
        file=archive(),
        importer_key="csv",
        rocketchat_conn_id=f"rocketchat_{action}",
        **COMMON,
    )
    # The requests of these two take minutes: the first import of user locations, and the first job of v2.
    task_id = f"{action}_request"
    LuccaUserLocationImportOperator(
        task_id=task_id, file=written(task_id, LOCATIONS), lucca_conn_id=f"lucca_{action}", **COMMON
    )
    for task_id, conn_id in (
        (f"{action}_zilliz", f"zilliz_{action}"),
        (f"{action}_zilliz_request", f"zilliz_v2_{action}"),
    ):
        ZillizImportOperator(
            task_id=task_id,
            collection_name=task_id,
            object_urls=f"s3://bucket/{task_id}.parquet",
            zilliz_conn_id=conn_id,
            **COMMON,
        )


if HAS_ALL_TASKS:
    for action in ACTIONS:
        # Three of the tasks occupy a worker all the time.
        with DAG(action, schedule=None, default_args=DEFAULTS, max_active_tasks=5):
            add_tasks(action)
