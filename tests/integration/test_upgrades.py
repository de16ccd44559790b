# SPDX-License-Identifier: Apache-2.0
"""
Waits that were in flight when the package was upgraded go on.

``stored_triggers`` holds what each release has stored in Airflow's database, one file for each kind of wait. A release
adds its own; what is there stays as it is.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.module_loading import import_string

from tests.support.sensors import a_task_instance, fired

STORED = sorted((Path(__file__).parent / "stored_triggers").glob("*.json"))

#: What each waits for, by the names of the sandbox.
IMPORTS = {
    "lucca-leave": ("lucca", "leave"),
    "lucca-user-location": ("lucca", "user_location"),
    "rocketchat": ("rocketchat", "csv"),
    "zilliz": ("zilliz", "cloud"),
    "leadsy": ("leadsy", "lead"),
    "start-lucca-leave": ("lucca", "leave"),
}


@pytest.mark.parametrize("script", [{"duration": 0}, {"duration": 0, "fail_at": 50}], ids=["good", "failed"])
@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_a_trigger_that_a_release_has_stored_inflates_and_waits(stored, script, clock, running_sandbox, connect_to):
    vendor, kind = IMPORTS[stored.stem.partition("-")[2]]
    connect_to(vendor)
    import_id = running_sandbox.create_import(vendor, kind, script)
    trigger = json.loads(stored.read_text().replace("IMPORT", import_id))
    waiting = import_string(trigger["classpath"])(**trigger["kwargs"])
    waiting.timeout_after = datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=1)
    waiting.task_instance = a_task_instance()
    event = fired(waiting)
    running_sandbox.reset()
    if "fail_at" in script:
        assert (event["status"], event["error"]) == ("error", "ImportFailedError")
        assert import_id in event["message"]
    else:
        assert (event["status"], event["progress"]["import_id"]) == ("success", import_id)


def test_every_kind_of_wait_is_stored():
    assert {path.stem.partition("-")[2] for path in STORED} == set(IMPORTS)
