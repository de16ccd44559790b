# SPDX-License-Identifier: Apache-2.0
"""
Waits that were in flight when the package was upgraded go on.

``stored_triggers`` holds what each release has stored in Airflow's database, one file for each kind of wait. A release
adds its own; what is there stays as it is.
"""

from __future__ import annotations

import inspect
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_import_progress import __version__
from airflow_import_progress.compat import has_asset_watchers, waits_without_workers
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from airflow_import_progress.triggers.import_progress import ImportProgressTrigger
from airflow_import_progress.triggers.rocketchat import RocketChatImportEndTrigger
from airflow_import_progress.triggers.start import StartImportProgressTrigger
from airflow_import_progress.triggers.zilliz import ZillizImportEndTrigger
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from tests.support.sensors import a_dag, a_task_instance, fired, inflated

FOLDER = Path(__file__).parent / "stored_triggers"
STORED = sorted(FOLDER.glob("*.json"))

#: What each waits for, by the names of the sandbox.
IMPORTS = {
    "lucca-leave": ("lucca", "leave"),
    "lucca-user-location": ("lucca", "user_location"),
    "rocketchat": ("rocketchat", "csv"),
    "zilliz": ("zilliz", "cloud"),
    "leadsy": ("leadsy", "lead"),
    "start-lucca-leave": ("lucca", "leave"),
}

#: The sensor of each and the arguments with which its trigger is stored; IMPORT stands for the import's identifier.
SENSORS = {
    "lucca-leave": (LuccaLeaveImportSensor, {"summary_id": "IMPORT"}),
    "lucca-user-location": (
        LuccaUserLocationImportSensor,
        {
            "summary_id": "IMPORT",
            "check_results": True,
            "max_failed_records": 3,
            "min_success_rate": 95,
            "exponential_backoff": True,
            "max_wait": 120,
        },
    ),
    "rocketchat": (
        RocketChatImportSensor,
        {"operation_id": "IMPORT", "importer_key": "csv", "started_after": "2020-01-01T00:00:00+00:00"},
    ),
    "zilliz": (ZillizImportSensor, {"job_id": "IMPORT", "cluster_id": "in01-sandbox", "silent_fail": True}),
    "leadsy": (LeadsyImportSensor, {"import_code": "IMPORT", "max_failed_records": 2, "max_consecutive_failures": 4}),
    "start-lucca-leave": (LuccaLeaveImportSensor, {"summary_id": "IMPORT", "start_from_trigger": True}),
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


def stored_by(sensor):
    """Return the trigger that Airflow stores for a sensor."""
    if sensor.start_from_trigger:
        args = sensor.start_trigger_args
        return {"classpath": args.trigger_cls, "kwargs": args.trigger_kwargs}
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({})
    classpath, kwargs = caught.value.trigger.serialize()
    return {"classpath": classpath, "kwargs": kwargs}


@pytest.mark.parametrize("kind", IMPORTS)
def test_the_current_version_has_stored_this(kind, clock, running_sandbox, connect_to):
    if kind.startswith("start-") and not waits_without_workers():
        pytest.skip("from Airflow 3.3 on")
    vendor, import_kind = IMPORTS[kind]
    sensor_class, arguments = SENSORS[kind]
    connect_to(vendor)
    # A wait that starts in the triggerer is stored before anything is polled.
    import_id = "IMPORT" if kind.startswith("start-") else running_sandbox.create_import(vendor, import_kind, {})
    arguments = {name: import_id if value == "IMPORT" else value for name, value in arguments.items()}
    with a_dag():
        sensor = sensor_class(task_id="wait", poke_interval=30, timeout=3600, **arguments)
    trigger = json.dumps(stored_by(sensor), indent=2).replace(import_id, "IMPORT")
    running_sandbox.reset()
    file = FOLDER / f"{__version__}-{kind}.json"
    if not file.exists() and "STORE_TRIGGERS" in os.environ:
        file.write_text(f"{trigger}\n")
    assert file.exists(), f"Version {__version__} has no stored triggers: run make stored-triggers"


def test_the_current_version_has_stored_every_kind_of_wait():
    stored = {path.stem.removeprefix(f"{__version__}-") for path in STORED if path.stem.startswith(f"{__version__}-")}
    assert stored == set(IMPORTS)


@pytest.mark.parametrize("trigger_class", [ImportProgressTrigger, StartImportProgressTrigger])
def test_what_the_current_version_has_stored_has_the_arguments_of_its_trigger(trigger_class):
    arguments = set(inspect.signature(trigger_class.__init__).parameters) - {"self"}
    triggers = [json.loads(path.read_text()) for path in STORED if path.stem.startswith(f"{__version__}-")]
    stored = [trigger for trigger in triggers if trigger["classpath"].endswith(f".{trigger_class.__name__}")]
    assert stored
    for trigger in stored:
        assert set(trigger["kwargs"]) == arguments
        assert WaitRules.from_dict(trigger["kwargs"]["rules"]).to_dict() == trigger["kwargs"]["rules"]
        if "state" in arguments:
            assert WaitState.from_dict(trigger["kwargs"]["state"]).to_dict() == trigger["kwargs"]["state"]


# The triggers of watchers, which Airflow stores with the asset

WATCHERS = FOLDER / "watchers"
watching = pytest.mark.skipif(not has_asset_watchers(), reason="watchers from Airflow 3.0 on")


@watching
@pytest.mark.parametrize("stored", sorted(WATCHERS.glob("*.json")), ids=lambda path: path.stem)
def test_the_trigger_of_a_watcher_that_a_release_has_stored_inflates(stored):
    trigger = json.loads(stored.read_text())
    _, kwargs = inflated(trigger["classpath"], trigger["kwargs"]).serialize()
    # Later versions may add arguments with defaults.
    assert trigger["kwargs"].items() <= kwargs.items()


@watching
@pytest.mark.parametrize(
    ("name", "trigger_class", "arguments"),
    [
        ("rocketchat", RocketChatImportEndTrigger, {"states": ["failed"]}),
        ("zilliz", ZillizImportEndTrigger, {"cluster_id": "in01-sandbox", "db_name": "default", "poke_interval": 30}),
    ],
)
def test_the_current_version_has_stored_this_for_a_watcher(name, trigger_class, arguments):
    classpath, kwargs = trigger_class(**arguments).serialize()
    trigger = {"classpath": classpath, "kwargs": kwargs}
    file = WATCHERS / f"{__version__}-{name}.json"
    if not file.exists() and "STORE_TRIGGERS" in os.environ:
        file.write_text(f"{json.dumps(trigger, indent=2)}\n")
    assert file.exists(), f"Version {__version__} has no stored triggers: run make stored-triggers"
    assert json.loads(file.read_text()) == trigger
