# SPDX-License-Identifier: Apache-2.0
"""
Import leads into Leadsy and continue when the import has succeeded.

Leadsy accepts the file immediately and imports it in the background. It reports an import as completed even if some
of its records failed. **upload** sends the CSV and returns Leadsy's `import_code`. **wait_for_import** waits,
deferred, until the import is completed. **call_leads** starts only if at most two leads failed.

* If the import fails, or too many leads fail, `wait_for_import` fails at once, without retries, with the numbers and
  the address of Leadsy's error file, and `call_leads` does not run.
* If Leadsy is down for a while, `wait_for_import` keeps waiting.
* If Leadsy reports an unknown status, `wait_for_import` logs a warning that shows how to map it.

The DAG needs a connection `leadsy_default` of the type *Leadsy*: the host of Leadsy's API, and a token as password.
Trigger it with another `csv` to import other leads; with more than two broken lines, it fails.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.hooks.leadsy import LeadsyHook
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor

LEADS = """\
full_name,email,phone
Jeanne Dupont,jeanne@example.com,+33 1 99 00 00 01
Paul Martin,paul@example.com,+33 1 99 00 00 02
Linh Nguyen,linh@example.com,+33 1 99 00 00 03
"""


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["leadsy", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "csv": Param(
            LEADS,
            type="string",
            format="multiline",
            title="Leads",
            description="A CSV file, separated by commas.",
        )
    },
)
def leadsy_leads() -> None:
    """Upload leads, wait for their import, then call them."""

    # No retries: the file may have arrived, and a retry would import it twice. When this task fails, check Leadsy's
    # list of imports, and clear the task if the file is not there.
    @task(retries=0)
    def upload(params: dict[str, Any]) -> str:
        # Leadsy's public reference names this endpoint, but not its fields: use those of your own account.
        answer = LeadsyHook(leadsy_conn_id="leadsy_default").request(
            "POST",
            "/api/v1/import",
            files={"file": ("leads.csv", params["csv"].encode(), "text/csv")},
        )
        import_code: str = answer.json()["import_file"]["import_code"]
        return import_code

    # Retries are for the wait, when Leadsy could not be reached for a long time. A failed import is never retried.
    wait_for_import = LeadsyImportSensor(
        task_id="wait_for_import",
        leadsy_conn_id="leadsy_default",
        import_code=upload(),
        max_failed_records=2,
        min_records=1,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def call_leads(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done, {progress['failed']} leads failed: call the others.")

    call_leads(wait_for_import.output)


leadsy_leads()
