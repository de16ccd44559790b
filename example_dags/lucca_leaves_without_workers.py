# SPDX-License-Identifier: Apache-2.0
"""
Import leaves into Lucca, wait without a worker, and continue when the import has succeeded.

In place of the operator of `lucca_leaves`, it has two tasks. **upload** sends the CSV and returns Lucca's `summaryId`,
which **wait_for_import**, a sensor, receives as `upload`'s output. With `start_from_trigger` the scheduler passes the
wait directly to the triggerer, and with `end_from_trigger` a successful wait ends there. No worker is started for it,
and **run_payroll** receives its result as usual.

* If the import fails, a worker is started, and `wait_for_import` fails on it as it does in the other modes.
* If Airflow is older than 3.3, a worker defers the wait as usual.

The DAG needs a connection `lucca_default` of the type *Lucca*: the host `{account}.ilucca.net`, and an API key as
password. Trigger it with another `csv` to import other leaves.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

LEAVES = """\
legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved
Acme SAS;00042;Dupont;Jeanne;1;03/08/2026;AM;14/08/2026;PM;true
Acme SAS;00043;Martin;Paul;1;10/08/2026;AM;10/08/2026;AM;true
Acme SAS;00044;Nguyen;Linh;2;17/08/2026;PM;21/08/2026;PM;true
"""


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["lucca", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "csv": Param(
            LEAVES,
            type="string",
            format="multiline",
            title="Leaves",
            description="A CSV file with Lucca's columns: UTF-8, separated by semicolons, dates as DD/MM/YYYY.",
        )
    },
)
def lucca_leaves_without_workers() -> None:
    """Upload leaves, wait for their import in the triggerer alone, then run the payroll."""

    # No retries: the file may have arrived, and a retry would import it twice, which Lucca cannot undo. When this task
    # fails, check Lucca's import history, and clear the task if the file is not there.
    @task(retries=0)
    def upload(params: dict[str, Any]) -> str:
        answer = LuccaHook(lucca_conn_id="lucca_default").request(
            "POST",
            "/timmi-absences/api/imports/v1.0/leavePeriods",
            params={"create": "true", "async": "true"},
            files={"file": ("leaves.csv", params["csv"].encode(), "text/csv")},
        )
        summary_id: str = answer.json()["summaryId"]
        return summary_id

    summary_id = upload()

    # Retries are for the wait, when Lucca could not be reached for a long time. A failed import is never retried.
    # Lucca allows 50 requests a minute to all clients of an account together; this wait uses six of them.
    wait_for_import = LuccaLeaveImportSensor(
        task_id="wait_for_import",
        lucca_conn_id="lucca_default",
        summary_id=summary_id,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
        start_from_trigger=True,
        end_from_trigger=True,
    )

    @task
    def run_payroll(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done: all leaves are in Lucca, payroll may run.")

    run_payroll(wait_for_import.output)


lucca_leaves_without_workers()
