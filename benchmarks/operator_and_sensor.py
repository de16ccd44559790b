# SPDX-License-Identifier: Apache-2.0
"""What an operator takes, compared with a task that starts the import and a sensor, in a real Airflow."""

from __future__ import annotations

import ast
import time
from collections import Counter
from pathlib import Path

from airflow_import_progress.sandbox.server import DEFAULT_IMPORT_DURATION
from benchmarks.measured_airflow import DAGS, MeasuredAirflow, distribution, measured_airflow, moment
from benchmarks.triggerer import Figures

#: The ids of the DAGs that are compared.
DAG_IDS = ("with_operator", "with_sensor")
ROUNDS = 3
#: As many as Airflow lets a DAG run at once.
IMPORTS = 16
#: Seconds between two starts, so that they do not wait for each other, on two cores.
STARTED_EVERY = 1.0
LEAVES = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    + "Acme SAS;00042;Dupont;Jeanne;1;03/08/2026;AM;14/08/2026;PM;true\n" * 1000
)


def operator_and_sensor(seconds: float | None) -> Figures:
    """
    Measure imports that are started and waited for in one task and in two.

    :param seconds: Not None: a single round.
    """
    with measured_airflow() as bench:
        file = bench.airflow.home / "leaves.csv"
        file.write_text(LEAVES)
        return {
            "imports": IMPORTS,
            "import_duration": DEFAULT_IMPORT_DURATION,
            "lines": {dag_id: lines_of_code(DAGS / f"{dag_id}.py") for dag_id in DAG_IDS},
            "idle_cpu_per_second": bench.idle,
            "rounds": [
                {dag_id: _imports(bench, dag_id, file) for dag_id in DAG_IDS} for _ in range(1 if seconds else ROUNDS)
            ],
        }


def lines_of_code(file: Path) -> int:
    """
    Count the lines of a Python file that are not blank and belong neither to a comment nor to a docstring.

    :param file: The file.
    """
    source = file.read_text()
    docstrings = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = (line.strip() for number, line in enumerate(source.splitlines(), 1) if number not in docstrings)
    return sum(1 for line in lines if line and not line.startswith("#"))


def _imports(bench: MeasuredAirflow, dag_id: str, file: Path) -> Figures:
    """
    Run a DAG once for each import, and see that each was started once and succeeded.

    :param dag_id: The DAG.
    :param file: The file to import.
    """
    print(f"  {IMPORTS} x {dag_id}", flush=True)
    bench.sandbox.reset()
    before, began_at = bench.cpu(), time.monotonic()
    run_ids = []
    for _ in range(IMPORTS):
        run_ids.append(bench.start(dag_id, {"file": str(file)}))
        time.sleep(STARTED_EVERY)
    for run_id in run_ids:
        bench.wait_for_end(dag_id, run_id)
    used = bench.more_than_idle(before, time.monotonic() - began_at)
    starts = [start for run_id in run_ids for start in bench.worker_starts(run_id)]
    ends = {one["import_id"]: one["created_at"] + DEFAULT_IMPORT_DURATION for one in bench.sandbox.imports()}
    lags = []
    for run_id in run_ids:
        task = bench.succeeded_tasks(dag_id, run_id)["import_leaves"]
        progress = bench.api.xcom(dag_id, run_id, "import_leaves")
        lags.append(moment(task["end_date"]) - ends.pop(progress["import_id"]))
    if ends:
        raise AssertionError(f"{dag_id} started more imports: {list(ends)}")
    return {
        "worker_starts": len(starts),
        "worker_seconds": sum(start["seconds"] for start in starts),
        "worker_cpu": sum(start["cpu_seconds"] for start in starts),
        "cpu": used,
        "requests": Counter(request["method"] for request in bench.sandbox.requests()),
        "end_to_success": distribution(lags),
    }
