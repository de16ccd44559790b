# SPDX-License-Identifier: Apache-2.0
"""Airflow's LocalExecutor, which writes down what each start of a worker costs."""

from __future__ import annotations

import json
import os
import resource
import time
from typing import Any

from airflow.executors.base_executor import BaseExecutor
from airflow.executors.local_executor import LocalExecutor

#: The environment variable with the path of the file to write to.
COSTS_FILE = "BENCHMARK_COSTS_FILE"

_run_workload = BaseExecutor.run_workload


def _cpu_seconds() -> float:
    # The task's own process is a child that its supervisor, which is this process, has waited for.
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _measured(workload: Any, **arguments: Any) -> Any:
    before, began_at = _cpu_seconds(), time.monotonic()
    try:
        return _run_workload(workload, **arguments)
    finally:
        ti = workload.ti
        cost = {
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "cpu_seconds": _cpu_seconds() - before,
            "seconds": time.monotonic() - began_at,
        }
        with open(os.environ[COSTS_FILE], "a") as costs:
            costs.write(f"{json.dumps(cost)}\n")


class MeasuredExecutor(LocalExecutor):
    """Run tasks as LocalExecutor does, and measure each."""

    def start(self) -> None:
        """Start the workers."""
        # The workers are forked from here, and call it by this name.
        BaseExecutor.run_workload = staticmethod(_measured)  # type: ignore[method-assign]
        super().start()
