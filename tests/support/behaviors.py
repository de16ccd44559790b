# SPDX-License-Identifier: Apache-2.0
"""The behaviors of vendors during a wait, and the outcome of each: the same in every mode, of sensors and operators."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.operators.base import BaseImportOperator
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator, LuccaUserLocationImportOperator
from airflow_import_progress.operators.rocketchat import (
    RocketChatFileImportOperator,
    RocketChatPendingFilesImportOperator,
    RocketChatUserImportOperator,
)
from airflow_import_progress.operators.zilliz import ZillizImportOperator
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors.base import BaseImportSensor
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

MODES: Mapping[str, Mapping[str, Any]] = {
    "poke": {"deferrable": False, "mode": "poke"},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
    "deferred": {"deferrable": True},
    "without_workers": {"deferrable": True, "start_from_trigger": True, "end_from_trigger": True},
}

#: The modes of operators: a start needs a worker.
OPERATOR_MODES = ("deferred", "reschedule", "poke")

#: The connection on which the vendor limits requests.
LIMITED_CONN_ID = "lucca_limited"

FLAGS = ("none", "soft_fail", "never_fail", "silent_fail")


class Ending(Enum):
    """How a wait ends."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_FOUND_OUT = "not found out"


#: The state of the task and whether it is retried, by the ending and by the flag.
OUTCOMES: Mapping[Ending, Mapping[str, tuple[str, bool]]] = {
    Ending.PASSED: dict.fromkeys(FLAGS, ("success", False)),
    Ending.FAILED: {
        "none": ("failed", False),
        "soft_fail": ("skipped", False),
        "never_fail": ("skipped", False),
        "silent_fail": ("failed", False),
    },
    Ending.TIMED_OUT: {
        "none": ("failed", False),
        "soft_fail": ("skipped", False),
        "never_fail": ("skipped", False),
        "silent_fail": ("failed", False),
    },
    Ending.NOT_FOUND_OUT: {
        "none": ("failed", True),
        "soft_fail": ("failed", True),
        "never_fail": ("skipped", False),
        # Errors are logged until the timeout.
        "silent_fail": ("failed", False),
    },
}


@dataclass(frozen=True)
class Start:
    """
    The start of an import by an operator.

    :param operator_class: The class of the operator.
    :param arguments: Returns the arguments for a file.
    :param suffix: The end of the file's name. None: the vendor gets no name.
    :param content: The content of the file.
    """

    operator_class: type[BaseImportOperator]
    arguments: Callable[[Path], Mapping[str, Any]]
    suffix: str | None = None
    content: bytes = b""


@dataclass(frozen=True)
class Behavior:
    """
    The behavior of a vendor, and the end of the wait.

    :param ending: How the wait ends.
    :param script: The script of the import in the sandbox.
    :param error: The error that the sensor raises. None: it raises none.
    :param words: A part of the error's message.
    :param faults: The faults in the sandbox, each with the number of requests that it affects. None: all.
    :param sensor_class: The class of the sensor.
    :param id_argument: The sensor's argument for the import's id.
    :param imported: The vendor and the kind of import in the sandbox.
    :param arguments: Further arguments of the sensor.
    """

    ending: Ending
    script: Mapping[str, Any]
    error: type[Exception] | None = None
    words: str = ""
    faults: tuple[tuple[Mapping[str, Any], int | None], ...] = ()
    sensor_class: type[BaseImportSensor] = LuccaLeaveImportSensor
    id_argument: str = "summary_id"
    imported: tuple[str, str] = ("lucca", "leave")
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def begin(self, sandbox: Sandbox, import_id: str) -> None:
        """Create the import in the sandbox, with its faults."""
        sandbox.create_import(*self.imported, dict(self.script), import_id=import_id)
        self._add_faults(sandbox, import_id)

    def begin_when_started(self, sandbox: Sandbox, import_id: str) -> None:
        """Let the import begin when an operator starts it. The faults do not affect the start, which has no id yet."""
        file_name = None if STARTS[self.imported].suffix is None else import_id
        sandbox.script_next_import(*self.imported, dict(self.script), import_id, file_name_contains=file_name)
        self._add_faults(sandbox, import_id)

    def file_name(self, import_id: str) -> str:
        """Return the name of the file that an operator imports."""
        return f"{import_id}{STARTS[self.imported].suffix or ''}"

    def write_file(self, folder: Path, import_id: str) -> Path:
        """Write the file that an operator imports, and return its path."""
        file = folder / self.file_name(import_id)
        file.write_bytes(STARTS[self.imported].content)
        return file

    def sensor(self, import_id: str, mode: str, flag: str, **arguments: Any) -> BaseImportSensor:
        """Return the sensor that waits for an import."""
        identity = {self.id_argument: import_id}
        return self.sensor_class(**{**arguments, **self.arguments, **MODES[mode], **_set(flag), **identity})

    def operator_arguments(self, file: Path, flag: str) -> dict[str, Any]:
        """Return the arguments, but for the mode, of the operator that starts an import and waits for it."""
        return {**self.arguments, **_set(flag), **STARTS[self.imported].arguments(file)}

    def times_out(self, flag: str) -> bool:
        """Return whether the wait ends with its timeout."""
        return self.ending is Ending.TIMED_OUT or (self.ending is Ending.NOT_FOUND_OUT and flag == "silent_fail")

    def outcome(self, flag: str) -> tuple[str, bool, type[Exception] | None]:
        """Return the state of the task, whether it is retried, and the error that it raises in the end."""
        state, is_retried = OUTCOMES[self.ending][flag]
        if state == "skipped":
            return state, is_retried, AirflowSkipException
        if self.times_out(flag):
            return state, is_retried, AirflowSensorTimeout
        return state, is_retried, self.error

    def _add_faults(self, sandbox: Sandbox, import_id: str) -> None:
        for fault, times in self.faults:
            sandbox.add_fault(fault, import_id=import_id, times=times)


def _set(flag: str) -> dict[str, bool]:
    return {} if flag == "none" else {flag: True}


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("users.csv", "ada,ada@example.com,Ada Lovelace\n")
    return content.getvalue()


_LEAVES = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    "Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
)
_LOCATIONS = (
    "login;workLocationName;areaName;date;position;comment;isDeletion\nada;Paris;B1;2026-02-01;FullDay;;false\n"
)

#: The start of an import by an operator, by the vendor and the kind of import in the sandbox. Leadsy publishes none.
STARTS: Mapping[tuple[str, str], Start] = {
    ("lucca", "leave"): Start(LuccaLeaveImportOperator, lambda file: {"file": str(file)}, ".csv", _LEAVES.encode()),
    ("lucca", "user_location"): Start(
        LuccaUserLocationImportOperator, lambda file: {"file": str(file)}, ".csv", _LOCATIONS.encode()
    ),
    ("rocketchat", "csv"): Start(
        RocketChatFileImportOperator, lambda file: {"file": str(file), "importer_key": "csv"}, ".zip", _archive()
    ),
    ("rocketchat", "api"): Start(
        RocketChatUserImportOperator, lambda _: {"users": [{"importIds": ["1"], "emails": ["ada@example.com"]}]}
    ),
    ("rocketchat", "pending-files"): Start(RocketChatPendingFilesImportOperator, lambda _: {"kind": "files"}),
    # A Milvus reads it from a storage of its own.
    ("zilliz", "milvus"): Start(
        ZillizImportOperator, lambda file: {"collection_name": "articles", "files": file.name}, ".json"
    ),
}


def _answers(*answers: Any) -> dict[str, Any]:
    return {"answers": list(answers)}


def _leads(status: str, failed: int = 0, **file: Any) -> dict[str, Any]:
    records = {"total_records": 500, "processed_records": 400, "failed_records": failed}
    return {"import_file": {"status": 1, "status_name": status, **records, **file}}


def _job(state: str, **data: Any) -> dict[str, Any]:
    return {"code": 0, "data": {"state": state, "progress": 62, "reason": "", "details": [], **data}}


def _step(name: str) -> dict[str, Any]:
    count = {"completed": 50, "total": 128, "error": 0}
    return {"key": "csv", "name": "CSV", "step": name, "count": count, "success": True}


def _results(created: int, *errors: str) -> dict[str, Any]:
    return {
        "userLocationsCreatedSummary": {"count": created},
        "userLocationsDeletedSummary": {"count": 0},
        "errorLines": [{"lineNumber": number, "error": error} for number, error in enumerate(errors, 2)],
    }


_ANOTHER_OPERATION = {
    "state": "importing",
    "operation": {
        "_id": "another-operation",
        "ts": "2026-11-22T10:00:00.000Z",
        "importerKey": "slack",
        "status": "importer_importing_users",
        "valid": True,
    },
    "success": True,
}

_LEADSY: Mapping[str, Any] = {
    "sensor_class": LeadsyImportSensor,
    "id_argument": "import_code",
    "imported": ("leadsy", "lead"),
}
_MILVUS: Mapping[str, Any] = {
    "sensor_class": ZillizImportSensor,
    "id_argument": "job_id",
    "imported": ("zilliz", "milvus"),
}
_ROCKETCHAT: Mapping[str, Any] = {
    "sensor_class": RocketChatImportSensor,
    "id_argument": "operation_id",
    "imported": ("rocketchat", "csv"),
}

_USER_LOCATIONS: Mapping[str, Any] = {
    "sensor_class": LuccaUserLocationImportSensor,
    "imported": ("lucca", "user_location"),
}

_UNTOUCHED = {"delay": 0}
_OUTAGE = {"status": 503}

BEHAVIORS: Mapping[str, Behavior] = {
    "done at once": Behavior(Ending.PASSED, _answers(100)),
    "done later": Behavior(Ending.PASSED, _answers(10, 57, 100)),
    "failed": Behavior(Ending.FAILED, _answers(10, -1), ImportFailedError, "failed at the vendor (status -1)"),
    "cancelled": Behavior(
        Ending.FAILED,
        _answers(_leads("processing"), _leads("cancelled")),
        ImportFailedError,
        "was cancelled at the vendor (status 'cancelled')",
        **_LEADSY,
    ),
    "action required": Behavior(
        Ending.FAILED,
        _answers(_job("Importing"), _job("Uncommitted")),
        ImportActionRequiredError,
        "waits for somebody to act at the vendor (status 'Uncommitted')",
        arguments={"on_action_required": "fail"},
        **_MILVUS,
    ),
    "too many failed records": Behavior(
        Ending.FAILED,
        _answers(_leads("processing"), _leads("completed", failed=3)),
        ImportFailedError,
        "ended with 3 failed records where max_failed_records allows 2",
        arguments={"max_failed_records": 2},
        **_LEADSY,
    ),
    "empty": Behavior(
        Ending.FAILED,
        _answers(_leads("processing"), _leads("completed", total_records=0, processed_records=0)),
        ImportFailedError,
        "imported 0 records where min_records demands 1",
        arguments={"max_failed_records": 0, "min_success_rate": 100, "min_records": 1},
        **_LEADSY,
    ),
    "unknown status": Behavior(
        Ending.TIMED_OUT,
        _answers(_leads("processing"), _leads("pondering")),
        AirflowSensorTimeout,
        "is unknown to this package",
        **_LEADSY,
    ),
    "unknown end": Behavior(
        Ending.NOT_FOUND_OUT,
        _answers(_leads("processing"), _leads("pondered", finished_at="2026-11-22T10:00:00Z")),
        ImportProtocolError,
        "reported a finished import, but",
        **_LEADSY,
    ),
    "transient fault, then done": Behavior(
        Ending.PASSED, _answers(57, 100), faults=((_UNTOUCHED, 1), (_OUTAGE, 2), ({"reset": True}, 1))
    ),
    "faults for ever": Behavior(
        Ending.NOT_FOUND_OUT,
        _answers(57),
        ImportPollError,
        "HTTP 503 Service Unavailable",
        faults=((_UNTOUCHED, 1), (_OUTAGE, None)),
    ),
    "401": Behavior(
        Ending.NOT_FOUND_OUT,
        _answers(57),
        ImportRequestError,
        "HTTP 401",
        faults=((_UNTOUCHED, 1), ({"status": 401, "body": "{}"}, None)),
    ),
    "404": Behavior(
        Ending.NOT_FOUND_OUT,
        _answers(57),
        ImportRequestError,
        "HTTP 404",
        faults=((_UNTOUCHED, 1), ({"status": 404, "body": "{}"}, None)),
    ),
    "garbage": Behavior(Ending.NOT_FOUND_OUT, _answers(57, "garbage"), ImportProtocolError, '"garbage"'),
    "too many requests for ever": Behavior(
        Ending.TIMED_OUT,
        _answers(57),
        AirflowSensorTimeout,
        "The vendor asks for fewer requests",
        faults=((_UNTOUCHED, 1), ({"status": 429}, None)),
        # A separate connection, because all waits of a connection pause after a 429.
        arguments={"lucca_conn_id": LIMITED_CONN_ID},
    ),
    "timeout": Behavior(Ending.TIMED_OUT, _answers(57), AirflowSensorTimeout, "not done within the timeout of"),
    "superseded": Behavior(
        Ending.FAILED,
        _answers(_step("importer_importing_users"), _ANOTHER_OPERATION),
        ImportFailedError,
        "cannot pass: superseded by the import",
        **_ROCKETCHAT,
    ),
}

#: The same behaviors at vendors whose imports an operator starts.
OPERATOR_BEHAVIORS: Mapping[str, Behavior] = {
    **BEHAVIORS,
    "cancelled": Behavior(
        Ending.FAILED,
        _answers(_step("importer_importing_users"), _step("importer_import_cancelled")),
        ImportFailedError,
        "was cancelled at the vendor (status 'importer_import_cancelled')",
        **_ROCKETCHAT,
    ),
    "too many failed records": Behavior(
        Ending.FAILED,
        {**_answers({"progress": 50}, {"progress": 100}), "results": _results(7, *["User doesn't exist"] * 3)},
        ImportFailedError,
        "ended with 3 failed records where max_failed_records allows 2",
        arguments={"check_results": True, "max_failed_records": 2},
        **_USER_LOCATIONS,
    ),
    "empty": Behavior(
        Ending.FAILED,
        _answers(_job("Importing"), _job("Completed", totalRows=0, importedRows=0)),
        ImportFailedError,
        "imported 0 records where min_records demands 1",
        arguments={"min_records": 1},
        **_MILVUS,
    ),
    "unknown status": Behavior(
        Ending.TIMED_OUT,
        _answers(_job("Importing"), _job("Pondering")),
        AirflowSensorTimeout,
        "which this version does not know",
        **_MILVUS,
    ),
    "unknown end": Behavior(
        Ending.NOT_FOUND_OUT,
        _answers(_job("Importing"), _job("Pondered", completeTime="2026-11-22T10:00:00Z")),
        ImportProtocolError,
        "a known state, because completeTime is set",
        **_MILVUS,
    ),
}

_COMPLETED = _answers(_job("Importing"), _job("Completed"))
_DONE = _answers(_step("importer_importing_users"), _step("importer_done"))
_USERS = {**_ROCKETCHAT, "imported": ("rocketchat", "api")}
_PENDING_FILES = {**_ROCKETCHAT, "imported": ("rocketchat", "pending-files")}

#: The behaviors that depend most on the vendor, at the vendors of the other operators.
MORE_OPERATOR_BEHAVIORS: Mapping[str, Behavior] = {
    "done in Milvus": Behavior(Ending.PASSED, _COMPLETED, **_MILVUS),
    "done in Rocket.Chat": Behavior(Ending.PASSED, _DONE, **_ROCKETCHAT),
    "done with users": Behavior(Ending.PASSED, _DONE, **_USERS),
    "done with pending files": Behavior(Ending.PASSED, _DONE, **_PENDING_FILES),
    "failed in Milvus": Behavior(
        Ending.FAILED,
        _answers(_job("Importing"), _job("Failed", reason="no such file")),
        ImportFailedError,
        "failed at the vendor (status 'Failed': no such file)",
        **_MILVUS,
    ),
    **{
        name: Behavior(
            Ending.FAILED,
            _answers(_step("importer_importing_users"), _step("importer_import_failed")),
            ImportFailedError,
            "failed at the vendor (status 'importer_import_failed')",
            **at_vendor,
        )
        for name, at_vendor in {
            "failed in Rocket.Chat": _ROCKETCHAT,
            "failed with users": _USERS,
            "failed with pending files": _PENDING_FILES,
        }.items()
    },
    **{
        f"{name} in {vendor}": replace(BEHAVIORS[name], script=script, **at_vendor)
        for name in ("transient fault, then done", "faults for ever", "401", "404")
        for vendor, script, at_vendor in (("Milvus", _COMPLETED, _MILVUS), ("Rocket.Chat", _DONE, _ROCKETCHAT))
    },
}


def dag_id_of(behavior: str) -> str:
    """Return the id of the DAG for a behavior."""
    return f"parity_{behavior.replace(' ', '_').replace(',', '')}"


def import_id_of(behavior: str, mode: str, flag: str, *, is_started: bool = False) -> str:
    """Return the id of the import for a behavior, a mode and a flag. An operator's is another one than a sensor's."""
    # A number, because the ids of Milvus are numbers.
    places = (int(is_started), list(BEHAVIORS).index(behavior), list(MODES).index(mode), FLAGS.index(flag))
    return "4518936078" + "".join(f"{place:02}" for place in places)
