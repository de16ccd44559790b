# SPDX-License-Identifier: Apache-2.0
"""What a task may return: Airflow stores more than the next task can read."""

from __future__ import annotations

import importlib
import json

import pytest

from airflow_import_progress.hooks.lucca import LuccaLeaveImport
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.progress import ImportProgress, ImportState

PROGRESS = ImportProgress(import_id="3c90", state=ImportState.RUNNING, percent=57.0)


def stored(value):
    """Return what Airflow stores of a task's result."""
    try:
        return importlib.import_module("airflow.sdk.bases.xcom").BaseXCom.serialize_value(value)
    except ImportError:
        return importlib.import_module("airflow.models.xcom").BaseXCom.serialize_value(value)


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        (PROGRESS, "its to_dict()"),
        (LuccaLeaveImport("3c90"), "its import_id"),
        (Response(status=200, headers={}, body=b"57", request_line="GET /", secrets=("secret",)), "its json()"),
        ([PROGRESS], "its to_dict()"),
    ],
)
def test_a_task_that_returns_one_fails_at_once_and_reads_what_to_return(value, instead):
    with pytest.raises(ValueError, match="A task cannot return") as raised:
        stored(value)
    assert instead in str(raised.value)


def test_a_progress_as_a_dict_can_be_returned():
    value = stored(PROGRESS.to_dict())
    assert json.loads(value)["percent"] == 57.0 if isinstance(value, str | bytes) else value["percent"] == 57.0
