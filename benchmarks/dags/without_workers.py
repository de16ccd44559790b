# SPDX-License-Identifier: Apache-2.0
"""Waits that start and end in the triggerer."""

from __future__ import annotations

from airflow.sdk import DAG
from dag_parts import ARGUMENTS, WITHOUT_WORKERS, add_waits

with DAG("without_workers", **ARGUMENTS):
    add_waits(50, **WITHOUT_WORKERS)
