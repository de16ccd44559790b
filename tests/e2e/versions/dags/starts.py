# SPDX-License-Identifier: Apache-2.0
"""
One DAG for all supported versions of Airflow: imports that operators start, in tries that are killed at any point.

The first try of a task kills its own process with SIGKILL where its ``point`` says. A file in Airflow's home remembers
that it has done so.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator

HEADER = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
)
GOOD = f"{HEADER}Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
BAD = f"{HEADER}Acme;1;Lovelace;Ada;2;never;AM;02/02/2026;PM;true\n"

#: The points at which a try is killed.
POINTS = ("before_request", "during_request", "after_answer", "while_waiting", "before_end", "after_end")
#: The seconds after which a process is killed while its request is processed.
REQUEST_SECONDS = 2.0


class KilledOperator(LuccaLeaveImportOperator):
    """
    An operator whose first try is killed at one point.

    :param point: One of :data:`POINTS`, or another text: it is not killed.
    :param kwargs: The arguments of the operator.
    """

    def __init__(self, *, point: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.point = point

    def prepare(self, hook: Any) -> Any:
        prepared = super().prepare(hook)

        def send() -> Any:
            self._die("before_request")
            if self.point == "during_request":
                threading.Timer(REQUEST_SECONDS, self._die, ["during_request"]).start()
            import_ = prepared.send()
            self._die("after_answer")
            return import_

        return replace(prepared, send=send)

    def _wait(self, context: Any) -> Any:
        self._die("while_waiting")
        return super()._wait(context)

    def execute_complete(self, context: Any, event: Any = None, **kwargs: Any) -> Any:
        self._die("before_end")
        result = super().execute_complete(context, event, **kwargs)
        self._die("after_end")
        return result

    def _die(self, point: str) -> None:
        mark = Path(os.environ["AIRFLOW_HOME"], f"killed-{self.task_id}")
        if point == self.point and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def written(name: str, content: str) -> str:
    """Return the path of a file with this content in Airflow's home."""
    file = Path(os.environ["AIRFLOW_HOME"], f"{name}.csv")
    if not file.exists():
        file.write_text(content)
    return str(file)


with DAG("starts", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)}):
    for point in (*POINTS, "never"):
        conn_id = "lucca_slow" if point == "during_request" else "lucca_default"
        file = written(point, GOOD)
        KilledOperator(task_id=point, point=point, file=file, lucca_conn_id=conn_id, poke_interval=5, timeout=240)
    for fault in ("lost_answer", "refused"):
        file = written(fault, GOOD)
        KilledOperator(
            task_id=fault, point="never", file=file, lucca_conn_id=f"lucca_{fault}", poke_interval=5, timeout=240
        )
    KilledOperator(task_id="failed", point="never", file=written("failed", BAD), poke_interval=5, timeout=240)
    KilledOperator(
        task_id="poke",
        point="while_waiting",
        file=written("poke", GOOD),
        poke_interval=5,
        timeout=240,
        deferrable=False,
    )
    KilledOperator.partial(task_id="mapped", point="never", poke_interval=5, timeout=240).expand(
        file=[written("mapped_0", GOOD), written("mapped_1", GOOD)]
    )
