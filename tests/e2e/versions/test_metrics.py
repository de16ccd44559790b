# SPDX-License-Identifier: Apache-2.0
"""The metrics of a real triggerer and real workers, at a StatsD listener."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.versions.finished_run import FinishedRun
from tests.support.metrics import StatsdListener
from tools.airflow_api import wait_until

pytestmark = [
    pytest.mark.skipif(
        find_spec("statsd") is None, reason="needs the package statsd, which apache-airflow[statsd] installs"
    ),
    pytest.mark.usefixtures("run"),
]

TAGS = ",vendor=lucca,conn_id=lucca_gates"


def test_each_outcome_is_counted_once(statsd: StatsdListener) -> None:
    # Two of each: one ended in the triggerer, one on a worker.
    counts = statsd.counts
    assert (counts[f"passed{TAGS}"], counts[f"failed{TAGS}"]) == (2, 2)


def test_each_poll_is_counted_by_the_process_that_made_it(
    run: FinishedRun, sandbox: Sandbox, statsd: StatsdListener
) -> None:
    polls = sum(len(sandbox.requests(import_id)) for import_id in run.import_ids.values())
    assert statsd.counts[f"poll{TAGS}"] == polls


def test_a_triggerer_reports_its_waits_until_the_last_one_has_ended(statsd: StatsdListener) -> None:
    def gauge() -> list[float]:
        return statsd.gauges("waits").get(f"waits{TAGS},hostname=127.0.0.1", [])

    wait_until("the gauge to return to 0", lambda: gauge()[-1:] == [0.0], timeout=30)
    assert max(gauge()) >= 1
