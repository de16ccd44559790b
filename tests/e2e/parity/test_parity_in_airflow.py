# SPDX-License-Identifier: Apache-2.0
"""Whatever a vendor does: the same state, error, result and retries in every mode, in a real Airflow."""

from __future__ import annotations

import re

import pytest

from tests.support.behaviors import BEHAVIORS, FLAGS, MODES, Ending, dag_id_of, import_id_of
from tools.local_airflow import LocalAirflow


@pytest.mark.parametrize("name", BEHAVIORS)
def test_the_outcome_is_the_same_in_every_mode(airflow: LocalAirflow, runs: dict[str, str], name: str) -> None:
    behavior, dag, run = BEHAVIORS[name], dag_id_of(name), runs[name]
    airflow.api.wait_for_run(dag, run, timeout=900)
    tasks = {task["task_id"]: task for task in airflow.api.task_instances(dag, run)}
    expected, found = {}, {}
    for flag in FLAGS:
        state, is_retried, error = behavior.outcome(flag)
        for mode in MODES:
            task_id = f"{mode}-{flag}"
            task = tasks[task_id]
            tries = 2 if is_retried else 1
            expected[task_id] = (state, tries, error.__name__ if error and state == "failed" else None)
            log = "\n".join(airflow.api.task_log(dag, run, task_id, try_number=task["try_number"]))
            raised = re.findall(r"^(\w+(?:Error|Exception|Timeout)): ", log, re.MULTILINE)
            error_name = raised[-1] if raised and task["state"] == "failed" else None
            found[task_id] = (task["state"], task["try_number"], error_name)
            assert behavior.words in log
            if behavior.ending is Ending.PASSED:
                result = airflow.api.xcom(dag, run, task_id)
                assert (result["import_id"], result["state"]) == (import_id_of(name, mode, flag), "succeeded")
    assert found == expected
