# SPDX-License-Identifier: Apache-2.0
"""The import operations of a simulated Rocket.Chat workspace: their steps and counts."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.script import DONE, FAILED, Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport
from airflow_import_progress.sandbox.world import World

ROCKETCHAT = "rocketchat"

RUN_IMPORT = "run-import"
VIEW_IMPORT_OPERATIONS = "view-import-operations"
PERMISSIONS = (RUN_IMPORT, VIEW_IMPORT_OPERATIONS)

#: The vendor's names of the importers, by key.
IMPORTERS = {
    "csv": "CSV",
    "slack": "Slack",
    "slack-users": "Slack Users",
    "omnichannel_contact": "Omnichannel Contacts",
    "api": "API",
    "pending-files": "Pending Files",
    "pending-avatars": "Pending Avatars",
}
HIDDEN_IMPORTERS = ("api", "pending-files", "pending-avatars")

_INITIAL_PENDING_FILES = 120

# Percent of the duration before the first record and after the last one.
_BEFORE_RECORDS = 5.0
_AFTER_RECORDS = 5.0

_RECORDS_PER_FLUSH = 50
_MESSAGES_PER_FLUSH = 500


class Step(StrEnum):
    """A step of an operation: the vendor's status."""

    NEW = "importer_new"
    UPLOADING = "importer_uploading"
    DOWNLOADING_FILE = "importer_downloading_file"
    FILE_LOADED = "importer_file_loaded"
    PREPARING_STARTED = "importer_preparing_started"
    PREPARING_USERS = "importer_preparing_users"
    PREPARING_CHANNELS = "importer_preparing_channels"
    PREPARING_MESSAGES = "importer_preparing_messages"
    PREPARING_CONTACTS = "importer_preparing_contacts"
    USER_SELECTION = "importer_user_selection"
    IMPORTING_STARTED = "importer_importing_started"
    IMPORTING_USERS = "importer_importing_users"
    IMPORTING_CONTACTS = "importer_importing_contacts"
    IMPORTING_CHANNELS = "importer_importing_channels"
    IMPORTING_MESSAGES = "importer_importing_messages"
    IMPORTING_FILES = "importer_importing_files"
    FINISHING = "importer_finishing"
    DONE = "importer_done"
    FAILED = "importer_import_failed"
    CANCELLED = "importer_import_cancelled"


PREPARING = frozenset(step for step in Step if step.startswith("importer_preparing_"))
RUNNING = frozenset((*(step for step in Step if step.startswith("importer_importing_")), Step.FINISHING))

_STATES = {
    Step.NEW: "new",
    Step.UPLOADING: "loading",
    Step.DOWNLOADING_FILE: "loading",
    Step.FILE_LOADED: "loading",
    **dict.fromkeys(PREPARING, "loading"),
    Step.USER_SELECTION: "ready",
    **dict.fromkeys(RUNNING, "importing"),
    Step.DONE: "done",
    Step.FAILED: "error",
    Step.CANCELLED: "canceled",
}

#: The types of records, in the order in which an operation imports them.
_STEP_OF_RECORDS = {
    "users": Step.IMPORTING_USERS,
    "contacts": Step.IMPORTING_CONTACTS,
    "channels": Step.IMPORTING_CHANNELS,
    "messages": Step.IMPORTING_MESSAGES,
    "files": Step.IMPORTING_FILES,
}

_SHARES = {
    "csv": {"users": 0.4, "contacts": 0.1, "channels": 0.1},
    "slack": {"users": 0.4, "contacts": 0.1, "channels": 0.1},
    "slack-users": {"users": 1.0},
    "omnichannel_contact": {"contacts": 1.0},
    "api": {"users": 1.0},
    "pending-files": {"files": 1.0},
    "pending-avatars": {"files": 1.0},
}


@dataclass(frozen=True)
class Status:
    """
    The status of an operation.

    :param step: Its step.
    :param completed: Number of records that are counted as completed.
    :param error: Number of records that are counted as failed.
    """

    step: Step
    completed: int = 0
    error: int = 0


@dataclass
class Operation:
    """
    An import operation.

    :param import_: The simulated import of the operation.
    :param user: Id of the user who created it.
    :param staged: Number of records of each type.
    :param selected: Number of records of each type to import.
    :param held_status: Its status while it waits for a client. None: its status follows its script.
    :param changed_at: Time of its last change or start, in seconds since 1970.
    :param content: The uploaded file. None: there is none.
    :param content_type: The file's type as the client named it.
    :param entries: The entries of an upload that a client can select, by type of record.
    :param frozen: Whether it keeps the step at which it was stopped.
    :param in_batches: Whether users are imported in batches, which are counted once.
    :param download_ends: End of its download, in seconds since 1970.
    """

    import_: SimulatedImport
    user: str
    staged: Mapping[str, int]
    selected: Mapping[str, int]
    held_status: Status | None
    changed_at: float
    content: bytes | None = None
    content_type: str | None = None
    entries: Mapping[str, list[Json]] = field(default_factory=dict)
    frozen: bool = False
    in_batches: bool = False
    download_ends: float = 0.0

    @property
    def valid(self) -> bool:
        """True unless it was stopped from outside."""
        return self.import_.stopped is None

    @property
    def answers_literally(self) -> bool:
        """Whether its script has literal answers. They begin when it runs."""
        return bool(self.import_.script.answers) and self.held_status is None

    def hold_at(self, step: Step) -> None:
        """Wait at a step for a client, with the present counts."""
        self.held_status = replace(self.status(), step=step)
        self.changed_at = self.import_.clock()

    def run(self, selected: Mapping[str, int]) -> None:
        """
        Start to import.

        :param selected: Number of records of each type to import.
        """
        self.selected = dict(selected)
        self.held_status = None
        self.frozen = False
        self.changed_at = self.import_.clock()
        self.import_.start()

    def status(self) -> Status:
        """Return the present status."""
        if self.held_status is None:
            return self._running_status()
        if self.held_status.step is Step.DOWNLOADING_FILE and self.import_.clock() >= self.download_ends:
            self.held_status = Status(Step.FILE_LOADED)
        return self.held_status

    def progress(self) -> float:
        """Return the progress, 0 to 100, or negative for a failure. It is 0 while the operation waits for a client."""
        step = self.status().step
        if step is Step.DONE:
            return DONE
        if step in (Step.FAILED, Step.CANCELLED):
            return FAILED
        return 0.0 if self.held_status else self.import_.script.progress_at(self.import_.elapsed())

    def count(self) -> dict[str, int]:
        """Return the counts as the database has them. A new operation has none."""
        # Count files as messages: the database has no field for them.
        counts = {"messages" if name == "files" else name: number for name, number in self.staged.items() if number}
        status = self.status()
        if not counts and status.step not in RUNNING | {Step.DONE}:
            return {}
        counted = {"total": self.total, **counts}
        if status.completed or status.error or status.step in RUNNING | {Step.DONE}:
            counted |= {"completed": status.completed, "error": status.error}
        return counted

    @property
    def total(self) -> int:
        """The number of records, selected or not."""
        return sum(self.staged.values())

    def stored_file(self) -> str | None:
        """Return the server's name for the file. None: there is no file."""
        if self.import_.file_name is None:
            return None
        at = datetime.fromtimestamp(self.import_.created_at, UTC)
        # Format it by hand: the server counts months from 0 and does not pad numbers.
        stamp = f"{at.year}{at.month - 1}{at.day}{at.hour}{at.minute}{at.second}"
        return f"{stamp}_{self.user}_{self.import_.file_name}"

    def updated_at(self) -> float:
        """Return the time of the last change, in seconds since 1970."""
        if self.held_status is not None:
            return self.changed_at
        return self.changed_at + min(self.import_.elapsed(), self.import_.script.points[-1][0])

    def _running_status(self) -> Status:
        script, elapsed = self.import_.script, self.import_.elapsed()
        progress, reached = script.progress_at(elapsed), script.reached_at(elapsed)
        processed = math.floor(sum(self.selected.values()) * _share_of_records(reached))
        if progress < 0:
            step = Step.FAILED
        elif progress >= DONE:
            step = Step.DONE
        else:
            step = self._running_step(reached, processed)
        # Report a stopped operation as done: the aborted converter skips the remaining records, and no error follows.
        if not self.valid and step in RUNNING and not self.frozen:
            step = Step.DONE
        return Status(step, *self._counted(self._flushed(processed)))

    def _running_step(self, reached: float, processed: int) -> Step:
        if "files" in self.selected:
            return Step.IMPORTING_FILES
        if reached < _BEFORE_RECORDS:
            return Step.IMPORTING_STARTED
        end = 0
        for name, step in _STEP_OF_RECORDS.items():
            end += self.selected.get(name, 0)
            if processed < end:
                return step
        return Step.FINISHING

    def _flushed(self, processed: int) -> int:
        """Return the number of processed records that are in the database."""
        if sum(self._counted(processed)) >= self.total:
            return processed
        messages_start = sum(self.selected.values()) - self.selected.get("messages", 0)
        before_messages = _rounded_down(min(processed, messages_start), _RECORDS_PER_FLUSH)
        return max(before_messages, _rounded_down(processed, _MESSAGES_PER_FLUSH))

    def _counted(self, processed: int) -> tuple[int, int]:
        """Return the vendor's counts of processed records: completed and failed."""
        if self.in_batches or self.import_.kind in HIDDEN_IMPORTERS:
            total = sum(self.selected.values())
            failed = self.import_.script.failed_records * processed // total if total else 0
            return processed - failed, failed
        users = self.selected.get("users", 0)
        if not users or processed < users:
            return processed, 0
        # Count users twice: each one was counted as completed, also if it failed, and the batch counts them again.
        failed = min(self.import_.script.failed_records, users)
        return processed + users - failed, failed


@dataclass
class Workspace:
    """
    The vendor's own state. Its operations are thread-safe only while the world is locked.

    :param operations: The operations by id.
    :param tokens: The tokens of logged-in users.
    :param permissions: The permissions of the user.
    :param importers: The keys of the server's importers.
    :param totp_code: The code that a login needs beside the password. None: no code.
    :param before_6_3: Whether the server is older than 6.3.
    """

    operations: dict[str, Operation] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    permissions: frozenset[str] = frozenset(PERMISSIONS)
    importers: frozenset[str] = frozenset(IMPORTERS)
    totp_code: str | None = None
    before_6_3: bool = False

    def all(self, world: World) -> list[Operation]:
        """Return the operations, oldest first."""
        return [self.operation_of(one, world) for one in world.imports_of(ROCKETCHAT)]

    def newest(self, world: World) -> Operation | None:
        """Return the operation that was created last. None: there is no operation."""
        imports = world.imports_of(ROCKETCHAT)
        return self.operation_of(imports[-1], world) if imports else None

    def pending(self, key: str, world: World) -> int:
        """
        Return the number of files that no download has processed.

        :param key: Key of the importer that downloads them.
        :param world: The state of the sandbox.
        """
        downloads = [operation.status() for operation in self.all(world) if operation.import_.kind == key]
        return max(0, _INITIAL_PENDING_FILES - sum(download.completed + download.error for download in downloads))

    def operation_of(self, import_: SimulatedImport, world: World) -> Operation:
        """Return the operation of an import. An import that the control API created runs at once."""
        if import_.import_id not in self.operations:
            staged = staged_by(import_.kind, import_.script.records)
            self.operations[import_.import_id] = Operation(
                import_=import_,
                user=world.credentials_of(ROCKETCHAT)["user_id"],
                staged=staged,
                selected=staged,
                held_status=None,
                changed_at=import_.created_at,
            )
        return self.operations[import_.import_id]

    def open(self, world: World, key: str, step: Step, *, file_name: str | None = None) -> Operation:
        """
        Create an operation that waits for a client.

        :param world: The state of the sandbox.
        :param key: Key of the importer.
        :param step: The step at which the operation waits.
        :param file_name: Name of the file to import.
        """
        script = Script.steady(world.import_duration)
        import_ = world.start_import(ROCKETCHAT, key, script, new_operation_id(), file_name=file_name, stop_others=True)
        operation = Operation(
            import_=import_,
            user=world.credentials_of(ROCKETCHAT)["user_id"],
            staged={},
            selected={},
            held_status=Status(step),
            changed_at=import_.created_at,
        )
        self.operations[import_.import_id] = operation
        return operation

    def restart(self, world: World) -> None:
        """Invalidate all operations except a last one that waits for a selection, as a starting server does."""
        for operation in self.all(world):
            waits = operation is self.newest(world) and operation.status().step is Step.USER_SELECTION
            if operation.valid and not waits:
                operation.frozen = True
                operation.import_.stop()

    def document(self, operation: Operation, step: Json, count: Json) -> dict[str, Json]:
        """Return an operation as the database has it."""
        import_ = operation.import_
        document = {
            "_id": import_.import_id,
            "type": import_.kind if import_.kind == "api" else IMPORTERS[import_.kind],
            "importerKey": import_.kind,
            "ts": self._time(import_.created_at),
            "status": step,
            "valid": operation.valid,
            "user": operation.user,
            "_updatedAt": _iso(operation.updated_at()),
            "file": operation.stored_file(),
            "contentType": operation.content_type,
            "count": count or None,
        }
        return {name: value for name, value in document.items() if value is not None}

    def _time(self, seconds: float) -> str | int:
        return int(seconds * 1000) if self.before_6_3 else _iso(seconds)


def new_operation_id() -> str:
    """Make an id as the database does."""
    return secrets.token_hex(12)


def state_of(step: Json, valid: bool) -> str | None:
    """Return the state of an operation in ``import.status``. None: the server has no state for the step."""
    if not valid and step != Step.DONE:
        return "error"
    return next((state for known, state in _STATES.items() if known == step), None)


def staged_by(key: str, records: int) -> dict[str, int]:
    """
    Divide records among the types that an importer imports. The rest are messages.

    :param key: Key of the importer.
    :param records: Number of records.
    """
    staged = {name: round(records * share) for name, share in _SHARES[key].items()}
    rest = records - sum(staged.values())
    return {**staged, "messages": rest} if rest else staged


def _share_of_records(reached: float) -> float:
    share = (reached - _BEFORE_RECORDS) / (DONE - _BEFORE_RECORDS - _AFTER_RECORDS)
    return min(1.0, max(0.0, share))


def _rounded_down(number: int, step: int) -> int:
    return number - number % step


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
