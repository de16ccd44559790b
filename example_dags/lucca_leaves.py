# SPDX-License-Identifier: Apache-2.0
"""
Import leaves into Lucca and go on when they are really in.

Lucca accepts the file at once and imports it in the background, so the upload's success says nothing about
the import. **upload** sends the CSV and returns Lucca's `summaryId`, **wait_for_import** waits, deferred,
until Lucca says that the import is done, and only then does **run_payroll** start.

* The import fails: `wait_for_import` fails at once, without retries, with what Lucca says, and `run_payroll`
  does not run.
* Lucca is down for a while: `wait_for_import` waits it out.

Needs a connection `lucca_default` of the type *Lucca*: the host `{account}.ilucca.net`, and an API key as
password. Trigger it with another `csv` to import something else.
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
            description="A CSV file with Lucca's columns: UTF-8, divided by semicolons, dates as DD/MM/YYYY.",
        )
    },
)
def lucca_leaves() -> None:
    """Upload leaves, wait for the end of their import, then run the payroll."""

    # No retries: a retry cannot know whether the file had arrived, and Lucca would import it twice and cannot
    # undo it. When this task fails, look into Lucca's import history, and clear the task if the file is not
    # there.
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

    # Retries are for the wait alone, when Lucca could not be asked for long; a failed import is never
    # retried. Lucca allows 50 requests a minute to all clients of an account together: six of them go to this
    # wait.
    wait_for_import = LuccaLeaveImportSensor(
        task_id="wait_for_import",
        lucca_conn_id="lucca_default",
        summary_id=summary_id,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def run_payroll(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done: all leaves are in Lucca, payroll may run.")

    run_payroll(wait_for_import.output)


lucca_leaves()
