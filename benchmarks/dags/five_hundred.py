# SPDX-License-Identifier: Apache-2.0
"""Many waits alone."""

from __future__ import annotations

from airflow.sdk import DAG
from dag_parts import ARGUMENTS, WITHOUT_WORKERS, add_waits

with DAG("five_hundred", **ARGUMENTS):
    add_waits(500, has_next_steps=False, **WITHOUT_WORKERS)
