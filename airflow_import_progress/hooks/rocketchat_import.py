# SPDX-License-Identifier: Apache-2.0
"""The references to imports into Rocket.Chat, and the polls of their progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow_import_progress.hooks.rocketchat_answers import (
    is_no_import_ever,
    no_import_ever_error,
    read_answer,
    read_step,
)
from airflow_import_progress.hooks.rocketchat_operation import NEW, request_operation
from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportList,
    ImportProgress,
    ImportState,
    ListedImport,
    Request,
    Response,
    VendorConnection,
    as_count,
    as_flag,
    as_moment,
    as_text,
    checked_id,
    excerpt,
)

PROGRESS_PATH = "/api/v1/getImportProgress"


@dataclass(frozen=True)
class RocketChatImport(Import):
    """
    Identify an import into a Rocket.Chat workspace.

    A workspace has one import at a time, and reports the last one for ever. Give as many arguments as possible;
    without any, it is the import that the workspace reports.

    :param operation_id: The ``_id`` of the import operation, as returned by ``import.new``, or by
        ``getCurrentImportOperation`` right after ``uploadImportFile``.
    :param importer_key: The importer that it uses, such as ``"csv"`` or ``"slack"``.
    :param started_after: A time before the import was created and after any earlier one, as ISO 8601 or as a
        datetime; without a time zone it is UTC. It is compared with the clock of the Rocket.Chat server.
    :raises ValueError: if one of them is not valid; the message names it.
    """

    label: ClassVar[str] = "Rocket.Chat import"
    failure_advice: ClassVar[str] = "Check Administration > Import in Rocket.Chat."
    action_advice: ClassVar[str] = (
        "Continue it under Administration > Import in Rocket.Chat, or with startImport or import.run of its API."
    )

    operation_id: str | None = None
    importer_key: str | None = None
    started_after: str | datetime | None = None

    def __post_init__(self) -> None:
        for name in ("operation_id", "importer_key"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_id(name, getattr(self, name)))
        if self.started_after is not None:
            object.__setattr__(self, "started_after", _checked_moment("started_after", self.started_after))

    @property
    def import_id(self) -> str:
        """The ``operation_id``, else the ``importer_key``, else ``"last"``."""
        return self.operation_id or self.importer_key or "last"

    @property
    def warning_before_start(self) -> str | None:
        """A warning if nothing distinguishes this import from another one, else None."""
        if self.operation_id or self.importer_key or self.started_after:
            return None
        return (
            "no argument identifies the import, so this wait trusts the import that the workspace reports, which may "
            "be an earlier one. Give operation_id, or at least importer_key or started_after."
        )

    def describe(self, conn_id: str) -> str:
        """Return the words by which messages name this import; without ``operation_id`` it is the last one."""
        if self.operation_id:
            return super().describe(conn_id)
        key = f" of {self.importer_key!r}" if self.importer_key else ""
        return f"last {self.label}{key} (connection {conn_id!r})"

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Request the progress of the import.

        Without ``operation_id`` and ``started_after`` that is one request for the progress, otherwise one for the
        operation, or two on servers before 6.3, which have no ``import.status``.
        """
        if self.operation_id is None and self.started_after is None:
            response = yield Request(method="GET", path=PROGRESS_PATH)
            answer = read_answer(response)
            return self._progress(response, step=answer.get("step"), key=answer.get("key"), count=answer.get("count"))
        response = yield from request_operation()
        answer = read_answer(response)
        operation = _operation(answer, response)
        if operation is None:
            raise no_import_ever_error(response)
        return self.operation_progress(response, operation, answer.get("state"))

    def operation_progress(self, response: Response, operation: dict[str, Any], state: Any) -> ImportProgress:
        """
        Return the progress of the import, of which the workspace reports an operation.

        :param response: The answer.
        :param operation: The operation in it.
        :param state: The state that it has beside the operation, since Rocket.Chat 6.3; None: it has none.
        :raises ImportProtocolError: if the answer is not what the API promises.
        """
        operation_id, created_at = as_text(operation.get("_id")), as_moment(operation.get("ts"))
        if operation_id is None or (created_at is None and self.started_after is not None):
            raise response.unexpected('an operation with "_id" and "ts"', "Rocket.Chat")
        progress = replace(
            self._progress(
                response,
                step=operation.get("status"),
                key=operation.get("importerKey"),
                count=operation.get("count"),
            ),
            started_at=created_at,
        )
        progress = replace(progress, details={**progress.details, "operation_id": response.name(operation_id)})
        if self.operation_id is not None and operation_id != self.operation_id:
            return self._superseded(progress)
        if self._is_stale(progress):
            return self._another(
                progress,
                f"the last import of the workspace was created at {progress.started_at}, which is before "
                f"started_after ({self.started_after}): this import was never started, started_after is later than its "
                f"start, or the clocks of Airflow and Rocket.Chat differ",
            )
        # After a restart of the server an operation is invalid, and its status never changes again.
        has_died = as_flag(operation.get("valid")) is False or state == "error"
        if has_died and not progress.state.is_final:
            return replace(
                progress,
                state=ImportState.FAILED,
                message="the operation is no longer valid, because the server was restarted, another server of its "
                "cluster was started, or the import was cleared, while it was running",
            )
        if progress.state is ImportState.SUCCEEDED:
            if state is not None and state != "done":
                raise response.unexpected(f'the state "done" with the status {progress.vendor_status!r}', "Rocket.Chat")
            if has_died:
                progress = replace(
                    progress,
                    warning="the operation is done but no longer valid. That is normal after a restart of the server, "
                    "but an import that was cleared while it ran can look the same.",
                )
        return progress

    def _progress(self, response: Response, *, step: Any, key: Any, count: Any) -> ImportProgress:
        if not isinstance(step, str) or not step:
            raise response.unexpected("the step of the import", "Rocket.Chat")
        if not isinstance(count, dict | None):
            raise response.unexpected('an object under "count"', "Rocket.Chat")
        state, shown, warning = read_step(step, response)
        count = count or {}
        completed, failed, total = (as_count(count.get(name)) for name in ("completed", "error", "total"))
        # Servers before 6.3 report 0 of 0 while an import runs, and some count users twice.
        total = total or None
        processed = None if completed is None else completed + (failed or 0)
        if processed is not None and total is not None:
            processed = min(processed, total)
        percent = 100.0 * processed / total if processed is not None and total is not None else None
        progress = ImportProgress(
            import_id=self.import_id,
            state=state,
            percent=100.0 if state is ImportState.SUCCEEDED else percent,
            total=total,
            processed=processed,
            failed=failed,
            vendor_status=shown,
            warning=warning,
            details={"importer_key": response.name(key, 100)} if isinstance(key, str) else {},
        )
        if self.importer_key is not None and key != self.importer_key:
            return self._another(
                progress,
                f"the last import of the workspace is one of {progress.details.get('importer_key')!r}: it replaced the "
                f"one of {self.importer_key!r}, or that was never started. Also check importer_key",
            )
        return progress

    def _is_stale(self, progress: ImportProgress) -> bool:
        if self.started_after is None or progress.started_at is None:
            return False
        return progress.started_at < datetime.fromisoformat(str(self.started_after))

    def _superseded(self, progress: ImportProgress) -> ImportProgress:
        key, operation_id = progress.details.get("importer_key"), progress.details["operation_id"]
        created = f", created at {progress.started_at}" if progress.started_at else ""
        return self._another(
            progress,
            f"superseded by the import {operation_id!r} ({key}{created}), so its outcome is unknown: a new import "
            f"ends the one before it",
        )

    def _another(self, progress: ImportProgress, message: str) -> ImportProgress:
        """Return the progress of this import as failed, because the workspace reports another one."""
        return ImportProgress(
            import_id=self.import_id, state=ImportState.FAILED, message=message, details=progress.details
        )


@dataclass(frozen=True)
class RocketChatUserImport(RocketChatImport):
    """
    Identify an import of users that :class:`.RocketChatUserImportOperator` has created and continues.

    :param operation_id: The ``_id`` of the import operation.
    :param importer_key: The importer that it uses.
    :param started_after: As for :class:`RocketChatImport`.
    """

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """Request the progress of the import. A new operation waits until the operator adds the users."""
        progress = yield from RocketChatImport.poll(self, connection)
        # The state of one that was cleared or replaced is another one, at the same step.
        waits = progress.vendor_status == NEW and progress.state is ImportState.PENDING
        return replace(progress, state=ImportState.ACTION_REQUIRED) if waits else progress


@dataclass(frozen=True)
class RocketChatImports(ImportList):
    """Identify all imports into a workspace, one after the other: it reports the last one only."""

    label: ClassVar[str] = "Rocket.Chat imports"

    def poll(self, connection: VendorConnection) -> Conversation[Sequence[ListedImport]]:
        """Request the last operation, with two requests on servers before 6.3."""
        response = yield from request_operation()
        if is_no_import_ever(response):
            return ()
        answer = read_answer(response)
        operation = _operation(answer, response)
        if operation is None:
            return ()
        operation_id = as_text(operation.get("_id"))
        if operation_id is None:
            raise response.unexpected('an operation with "_id"', "Rocket.Chat")
        import_ = RocketChatImport(operation_id=operation_id)
        progress = import_.operation_progress(response, operation, answer.get("state"))
        return (ListedImport(import_=import_, has_ended=progress.state.is_final, progress=progress),)


def _operation(answer: Mapping[str, Any], response: Response) -> dict[str, Any] | None:
    operation = answer.get("operation")
    if operation is None and answer.get("state") in (None, "none"):
        return None
    if not isinstance(operation, dict):
        raise response.unexpected('an object under "operation"', "Rocket.Chat")
    return operation


def _checked_moment(name: str, value: str | datetime) -> str:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, AttributeError, OverflowError):
        raise ValueError(
            f"{name} must be a time as ISO 8601, such as '2026-02-17T21:54:09+00:00', not {excerpt(repr(value))}. "
            f"If it comes from an XCom, check that the upstream task returned it."
        ) from None
