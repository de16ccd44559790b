# SPDX-License-Identifier: Apache-2.0
"""Waits alone, of which ten runs make many."""

from __future__ import annotations

from airflow.sdk import DAG
from dag_parts import ARGUMENTS, WITHOUT_WORKERS, add_waits

with DAG("fifty", **ARGUMENTS):
    add_waits(50, has_next_steps=False, **WITHOUT_WORKERS)
