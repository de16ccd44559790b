# SPDX-License-Identifier: Apache-2.0
"""The import operations of an imitated Rocket.Chat workspace: where they stand, and what they have counted."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.script import DONE, FAILED, Script
from airflow_import_progress.sandbox.world import Import, World

ROCKETCHAT = "rocketchat"

RUN_IMPORT = "run-import"
VIEW_IMPORT_OPERATIONS = "view-import-operations"
PERMISSIONS = (RUN_IMPORT, VIEW_IMPORT_OPERATIONS)

#: The importers by their keys, in the words of the vendor.
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

_PENDING_AT_FIRST = 120

# The shares of the time that go by before the first record and after the last one.
_BEFORE_RECORDS = 5.0
_AFTER_RECORDS = 5.0

_FLUSHED_EVERY = 50
_MESSAGES_FLUSHED_EVERY = 500


class Step(StrEnum):
    """Where an operation stands."""

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

#: In the order in which an operation imports them.
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
class Standing:
    """
    What an operation tells of itself.

    :param step: where it stands
    :param completed: how many records it has counted as completed
    :param error: how many it has counted as failed
    """

    step: Step
    completed: int = 0
    error: int = 0


@dataclass
class Operation:
    """
    An import operation.

    :param subject: the import that runs it
    :param user: id of the user who created it
    :param staged: how many records there are of each type
    :param selected: how many of them are imported
    :param standing: where it stands still until a client calls; None: its script says where it stands
    :param changed_at: when it was changed or started, in seconds since 1970
    :param content: the uploaded file; None: there is none
    :param content_type: what the client called the file's type
    :param entries: what a client can select of an upload, by type of record
    :param frozen: whether its status stays for ever what it was when it was stopped
    :param in_batches: whether its users are imported in batches, which are counted once
    :param download_ends: when its download ends, on the monotonic clock
    """

    subject: Import
    user: str
    staged: Mapping[str, int]
    selected: Mapping[str, int]
    standing: Standing | None
    changed_at: float
    content: bytes | None = None
    content_type: str | None = None
    entries: Mapping[str, list[Json]] = field(default_factory=dict)
    frozen: bool = False
    in_batches: bool = False
    download_ends: float = 0.0

    @property
    def valid(self) -> bool:
        """Return whether nothing has put an end to it from outside."""
        return self.subject.stopped is None

    def stand(self, step: Step) -> None:
        """
        Stand still until a client calls, with the counts that were reached.

        :param step: where
        """
        self.standing = replace(self.now(), step=step)
        self.changed_at = time.time()

    def run(self, selected: Mapping[str, int]) -> None:
        """
        Begin to import.

        :param selected: how many records of each type to import
        """
        self.selected = dict(selected)
        self.standing = None
        self.frozen = False
        self.changed_at = time.time()
        self.subject.start()

    def now(self) -> Standing:
        """Return where the operation stands now."""
        if self.standing is None:
            return self._in_course()
        if self.standing.step is Step.DOWNLOADING_FILE and time.monotonic() >= self.download_ends:
            self.standing = Standing(Step.FILE_LOADED)
        return self.standing

    def progress(self) -> float:
        """Return how far the operation is, 0 to 100, or negative if it failed; 0 while it waits for a client."""
        step = self.now().step
        if step is Step.DONE:
            return DONE
        if step in (Step.FAILED, Step.CANCELLED):
            return FAILED
        return 0.0 if self.standing else self.subject.script.progress_at(self.subject.elapsed())

    def count(self) -> dict[str, int]:
        """Return the counts as the database holds them, of which a new operation has none."""
        # The database has no place for the number of files.
        counts = {"messages" if name == "files" else name: number for name, number in self.staged.items() if number}
        standing = self.now()
        if not counts and standing.step not in RUNNING | {Step.DONE}:
            return {}
        counted = {"total": self.total, **counts}
        if standing.completed or standing.error or standing.step in RUNNING | {Step.DONE}:
            counted |= {"completed": standing.completed, "error": standing.error}
        return counted

    @property
    def total(self) -> int:
        """Return how many records there are, selected or not."""
        return sum(self.staged.values())

    def stored_file(self) -> str | None:
        """Return the name under which the server keeps the file; None: there is none."""
        if self.subject.file_name is None:
            return None
        at = datetime.fromtimestamp(self.subject.created_at, UTC)
        # The server counts months from 0 and pads nothing.
        stamp = f"{at.year}{at.month - 1}{at.day}{at.hour}{at.minute}{at.second}"
        return f"{stamp}_{self.user}_{self.subject.file_name}"

    def updated_at(self) -> float:
        """Return when the operation was changed last, in seconds since 1970."""
        if self.standing is not None:
            return self.changed_at
        return self.changed_at + min(self.subject.elapsed(), self.subject.script.points[-1][0])

    def _in_course(self) -> Standing:
        script, elapsed = self.subject.script, self.subject.elapsed()
        progress, reached = script.progress_at(elapsed), script.reached_at(elapsed)
        processed = math.floor(sum(self.selected.values()) * _share_of_records(reached))
        if progress < 0:
            step = Step.FAILED
        elif progress >= DONE:
            step = Step.DONE
        else:
            step = self._running_step(reached, processed)
        # An aborted converter skips what is left, and then the operation ends as if it had done it.
        if not self.valid and step in RUNNING and not self.frozen:
            step = Step.DONE
        return Standing(step, *self._counted(self._flushed(processed)))

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
        """Return of how many processed records the database knows."""
        if sum(self._counted(processed)) >= self.total:
            return processed
        messages_start = sum(self.selected.values()) - self.selected.get("messages", 0)
        before_messages = _rounded_down(min(processed, messages_start), _FLUSHED_EVERY)
        return max(before_messages, _rounded_down(processed, _MESSAGES_FLUSHED_EVERY))

    def _counted(self, processed: int) -> tuple[int, int]:
        """Return how the vendor counts processed records: as completed, and as failed."""
        if self.in_batches or self.subject.kind in HIDDEN_IMPORTERS:
            total = sum(self.selected.values())
            failed = self.subject.script.failed_records * processed // total if total else 0
            return processed - failed, failed
        users = self.selected.get("users", 0)
        if not users or processed < users:
            return processed, 0
        # Each user was counted as completed already, the failed ones too, and the batch counts them once more.
        failed = min(self.subject.script.failed_records, users)
        return processed + users - failed, failed


@dataclass
class Workspace:
    """
    What a workspace has beside its imports; its operations are safe only while the world is undisturbed.

    :param operations: the operations by id
    :param tokens: the tokens of those who logged in
    :param permissions: what the user may do
    :param importers: the keys of the importers that the server has
    :param totp_code: the code that a login needs beside the password; None: none
    :param before_6_3: whether the server is an old one
    """

    operations: dict[str, Operation] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    permissions: frozenset[str] = frozenset(PERMISSIONS)
    importers: frozenset[str] = frozenset(IMPORTERS)
    totp_code: str | None = None
    before_6_3: bool = False

    def all(self, world: World) -> list[Operation]:
        """
        Return the operations, oldest first.

        :param world: what the sandbox knows
        """
        return [self.operation_of(one, world) for one in world.imports_of(ROCKETCHAT)]

    def newest(self, world: World) -> Operation | None:
        """
        Return the operation that was created last; None: there never was one.

        :param world: what the sandbox knows
        """
        imports = world.imports_of(ROCKETCHAT)
        return self.operation_of(imports[-1], world) if imports else None

    def pending(self, key: str, world: World) -> int:
        """
        Return how many files are left that no download has dealt with.

        :param key: key of the importer that downloads them
        :param world: what the sandbox knows
        """
        downloads = [operation.now() for operation in self.all(world) if operation.subject.kind == key]
        return max(0, _PENDING_AT_FIRST - sum(download.completed + download.error for download in downloads))

    def operation_of(self, subject: Import, world: World) -> Operation:
        """
        Return the operation that an import is; one that the control API created runs at once.

        :param subject: the import
        :param world: what the sandbox knows
        """
        if subject.import_id not in self.operations:
            staged = staged_by(subject.kind, subject.script.records)
            self.operations[subject.import_id] = Operation(
                subject=subject,
                user=world.credentials_of(ROCKETCHAT)["user_id"],
                staged=staged,
                selected=staged,
                standing=None,
                changed_at=subject.created_at,
            )
        return self.operations[subject.import_id]

    def open(self, world: World, key: str, step: Step, *, file_name: str | None = None) -> Operation:
        """
        Create an operation that waits for a client.

        :param world: what the sandbox knows
        :param key: key of the importer
        :param step: where the operation waits
        :param file_name: name of the file to import
        """
        script = Script.steady(world.import_duration)
        import_id = world.add_import(ROCKETCHAT, key, script, file_name=file_name)
        subject = world.find(ROCKETCHAT, key, import_id)
        operation = Operation(
            subject=subject,
            user=world.credentials_of(ROCKETCHAT)["user_id"],
            staged={},
            selected={},
            standing=Standing(step),
            changed_at=subject.created_at,
        )
        self.operations[import_id] = operation
        return operation

    def restart(self, world: World) -> None:
        """
        Invalidate, as a starting server does, all operations but a last one that waits for a selection.

        :param world: what the sandbox knows
        """
        for operation in self.all(world):
            waits = operation is self.newest(world) and operation.now().step is Step.USER_SELECTION
            if operation.valid and not waits:
                operation.frozen = True
                operation.subject.stop()

    def document(self, operation: Operation, step: Json, count: Json) -> dict[str, Json]:
        """
        Return an operation as the database has it.

        :param operation: the operation
        :param step: where it stands
        :param count: its counts
        """
        subject = operation.subject
        document = {
            "_id": subject.import_id,
            "type": subject.kind if subject.kind == "api" else IMPORTERS[subject.kind],
            "importerKey": subject.kind,
            "ts": self._time(subject.created_at),
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


def state_of(step: Json, valid: bool) -> str | None:
    """
    Return what ``import.status`` makes of a status; None: nothing, since the server does not know it.

    :param step: where the operation stands
    :param valid: whether it is valid
    """
    if not valid and step != Step.DONE:
        return "error"
    return next((state for known, state in _STATES.items() if known == step), None)


def staged_by(key: str, records: int) -> dict[str, int]:
    """
    Divide records among the types that an importer imports; what the shares leave over are messages.

    :param key: key of the importer
    :param records: how many records there are
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
