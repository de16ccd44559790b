# SPDX-License-Identifier: Apache-2.0
"""One DAG for each behavior of a vendor, with a sensor and then an operator for each mode and flag."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from tests.e2e.parity.operator_tasks import OPERATOR_TASKS
from tests.support.behaviors import BEHAVIORS, FLAGS, MODES, STARTS, Behavior, dag_id_of, import_id_of

# Long enough for two tries of a rescheduled sensor, which share one timeout.
TIMEOUT = 400
# Long enough for two polls of each wait, which queue behind those of all others at the limit of one connection.
SHORT_TIMEOUT = 150

FILES = Path(os.environ["PARITY_FILES"])


def common(behavior: Behavior, mode: str, flag: str) -> dict[str, Any]:
    """Return the arguments that sensors and operators share."""
    return {
        # A sleeping worker takes no processor: only those that work are to be few.
        "pool": "sleeping" if mode == "poke" else "default_pool",
        "poke_interval": 10,
        "timeout": SHORT_TIMEOUT if behavior.times_out(flag) else TIMEOUT,
        "max_consecutive_failures": 4,
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
    }


for name, behavior in BEHAVIORS.items():
    with DAG(dag_id_of(name), schedule=None, max_active_tasks=16):
        sensors = [
            behavior.sensor(
                import_id_of(name, mode, flag), mode, flag, task_id=f"{mode}-{flag}", **common(behavior, mode, flag)
            )
            for mode in MODES
            for flag in FLAGS
        ]
        # Not at the same time, which would be too much work for the processors.
        sensors_ended = EmptyOperator(task_id="sensors_ended", trigger_rule=TriggerRule.ALL_DONE)
        operators = [
            STARTS[task.behavior.imported].operator_class(
                task_id=task.task_id,
                **common(task.behavior, task.mode, task.flag),
                **MODES[task.mode],
                **{
                    **task.behavior.operator_arguments(FILES / task.behavior.file_name(task.import_id), task.flag),
                    **task.connection,
                },
            )
            for task in OPERATOR_TASKS
            if task.name == name
        ]
        sensors >> sensors_ended >> operators
