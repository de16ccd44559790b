# SPDX-License-Identifier: Apache-2.0
"""Start an import and wait for it in one task."""

from airflow.sdk import DAG

from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator

with DAG("with_operator", schedule=None, params={"file": "/data/leaves.csv"}):
    LuccaLeaveImportOperator(task_id="import_leaves", file="{{ params.file }}", poke_interval=10, timeout=3600)
