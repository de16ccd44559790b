# SPDX-License-Identifier: Apache-2.0
"""Waits that a worker begins and ends."""

from __future__ import annotations

from airflow.sdk import DAG
from dag_parts import ARGUMENTS, add_waits

with DAG("deferred", **ARGUMENTS):
    add_waits(50)
