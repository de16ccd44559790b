# SPDX-License-Identifier: Apache-2.0
"""
Import user locations into Lucca and continue when every line of the file has been imported.

Lucca reports an import of user locations as done even if it refused some of its lines. With `check_results` the sensor
also reads the import's results, and `max_failed_records` limits the refused lines: here, to none.

**upload** sends the CSV and returns Lucca's `summaryId`. **wait_for_import** waits, deferred, until the import is
done, and only then **publish_seating_plan** starts.

The DAG needs a connection `lucca_default` of the type *Lucca*: the host `{account}.ilucca.net`, and an API key with
the permission *Import schedule* as password. Trigger it with another `csv` to import other locations.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.hooks.lucca import LuccaHook
from airflow_import_progress.sensors.lucca import LuccaUserLocationImportSensor

USER_LOCATIONS = """\
login;workLocationName;areaName;date;position;comment;isDeletion
jdupont;Paris;B1;2026-09-14;FullDay;;false
pmartin;Paris;B2;2026-09-14;FirstHalf;;false
lnguyen;Remote;;2026-09-14;FullDay;;false
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
            USER_LOCATIONS,
            type="string",
            format="multiline",
            title="User locations",
            description="A CSV file with Lucca's columns: UTF-8, separated by semicolons, dates as YYYY-MM-DD.",
        )
    },
)
def lucca_user_locations() -> None:
    """Upload user locations, wait for their import, then publish the seating plan."""

    # No retries: the file may have arrived, and a retry would import it twice. When this task fails, check Lucca's
    # import history, and clear the task if the file is not there.
    @task(retries=0)
    def upload(params: dict[str, Any]) -> str:
        answer = LuccaHook(lucca_conn_id="lucca_default").request(
            "POST",
            "/work-locations/public/api/imports/user-locations",
            params={"create": "true", "overrideUserLocations": "true"},
            files={"file": ("user-locations.csv", params["csv"].encode(), "text/csv")},
        )
        summary_id: str = answer.json()["summaryId"]
        return summary_id

    summary_id = upload()

    # Retries are for the wait, when Lucca could not be reached for a long time. A failed import is never retried.
    # Lucca allows 50 requests a minute to all clients of an account together; this wait uses six of them.
    wait_for_import = LuccaUserLocationImportSensor(
        task_id="wait_for_import",
        lucca_conn_id="lucca_default",
        summary_id=summary_id,
        check_results=True,
        max_failed_records=0,
        min_records=1,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def publish_seating_plan(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done: all {progress['total']} lines are in Lucca.")

    publish_seating_plan(wait_for_import.output)


lucca_user_locations()
