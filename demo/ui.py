# SPDX-License-Identifier: Apache-2.0
"""
Run a real Airflow with the example DAGs, their connections and the vendors' sandbox, until Ctrl-C.

``make ui`` runs this. It starts the same processes as ``airflow standalone``, but on a free port of the loopback
interface and in a temporary home, and removes everything at the end.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.text import Text

from airflow_import_progress.sandbox import Sandbox
from demo.cases import CASES
from tools.airflow_api import WaitedTooLongError
from tools.examples import EXAMPLE_DAGS, connections_to
from tools.guard import leave_blocks_on_signals
from tools.local_airflow import AirflowStartError, LocalAirflow
from tools.postgres import postgres

_IMPORT_SECONDS = 90


def main() -> int:
    """Run until Ctrl-C and return the exit status."""
    console = Console(highlight=False)
    leave_blocks_on_signals()
    try:
        with (
            Sandbox(import_duration=_IMPORT_SECONDS) as sandbox,
            postgres() as database,
            LocalAirflow(
                EXAMPLE_DAGS,
                database_url=database.url,
                settings={"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"},
                report=console.print,
            ) as airflow,
        ):
            # In the database, because the UI does not list connections in the environment.
            connections = connections_to(sandbox)
            for conn_id, connection in connections.items():
                airflow.api.add_connection(conn_id, connection)
            airflow.api.wait_for_dags(*{case.dag_id for case in CASES})
            # A workspace of Rocket.Chat has one import at a time.
            cases = [case for case in CASES if not case.is_alone] + [case for case in CASES if case.is_alone][-1:]
            for case in cases:
                airflow.api.trigger(case.dag_id, case.conf_with_files(airflow.home))
            console.print(
                f"\nAirflow:          [bold]{airflow.url}[/]  (no login: every visitor is an admin)\n"
                f"Imports:          [bold]{airflow.url}/plugin/imports[/]  (Browse → Imports)\n"
                f"Vendors' sandbox: {sandbox.url}  (behind the connections {', '.join(connections)})\n"
                f"Logs:             {airflow.logs}\n\n"
                f"Good imports and bad ones are under way, {len(cases)} in all, and take {_IMPORT_SECONDS} seconds.\n"
                f"Ctrl-C stops everything and removes it.",
                soft_wrap=True,
            )
            while True:
                airflow.check_running()
                time.sleep(1)
    except KeyboardInterrupt:
        console.print("\nStopped: nothing is left running or written.")
        return 0
    except (AirflowStartError, WaitedTooLongError) as error:
        console.print(Text(f"\n{error}", style="red"))
        return 1


if __name__ == "__main__":
    sys.exit(main())
