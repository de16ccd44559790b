# SPDX-License-Identifier: Apache-2.0
"""Waits that workers poll."""

from __future__ import annotations

from airflow.sdk import DAG
from dag_parts import ARGUMENTS, add_waits

with DAG("rescheduled", **ARGUMENTS):
    add_waits(50, deferrable=False, mode="reschedule")
