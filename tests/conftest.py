# SPDX-License-Identifier: Apache-2.0
"""An Airflow home for the tests, and metrics that are kept in memory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

# Set here, because Airflow reads its home on import and must not use the developer's.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = home = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")


@pytest.fixture
def stats(monkeypatch):
    """The metrics that are sent, in place of Airflow's Stats."""
    from airflow_import_progress.waiting.metrics import recorder
    from tests.support.metrics import RecordingStats

    sent = RecordingStats()
    for name, value in {
        "is_loaded": True,
        "hostname": "worker-1",
        "_stats": sent,
        "_has_tags": True,
        "_has_logged": False,
    }.items():
        monkeypatch.setattr(recorder, name, value)
    return sent
