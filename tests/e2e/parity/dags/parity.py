# SPDX-License-Identifier: Apache-2.0
"""One DAG for each behavior of a vendor, with a sensor for each mode and argument."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from tests.support.behaviors import BEHAVIORS, FLAGS, MODES, dag_id_of, import_id_of

# Long enough for two tries of a rescheduled sensor, which share one timeout.
TIMEOUT = 400
# Long enough for two polls of each wait, which queue behind those of all others at the limit of one connection.
SHORT_TIMEOUT = 150

for name, behavior in BEHAVIORS.items():
    with DAG(dag_id_of(name), schedule=None, max_active_tasks=16):
        for mode in MODES:
            for flag in FLAGS:
                behavior.sensor(
                    import_id_of(name, mode, flag),
                    mode,
                    flag,
                    task_id=f"{mode}-{flag}",
                    # A sleeping worker takes no processor: only those that work are to be few.
                    pool="sleeping" if mode == "poke" else "default_pool",
                    poke_interval=10,
                    timeout=SHORT_TIMEOUT if behavior.times_out(flag) else TIMEOUT,
                    max_consecutive_failures=4,
                    retries=1,
                    retry_delay=timedelta(seconds=1),
                )
