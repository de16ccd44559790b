# SPDX-License-Identifier: Apache-2.0
"""
Rocket.Chat: imports of users, channels and messages into a workspace.

Sources: the published API reference (https://developer.rocket.chat/, section "Import") and the server's source,
https://github.com/RocketChat/Rocket.Chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow_import_progress.hooks.rocketchat_answers import (
    is_no_import_ever,
    no_import_ever_error,
    normalize_retry_after,
    read_answer,
    read_step,
)
from airflow_import_progress.hooks.rocketchat_login import LogIn, get_log_in, sign
from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportProgress,
    ImportProgressHook,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_count,
    as_flag,
    as_moment,
    as_text,
    checked_id,
    excerpt,
    require_credential,
)

# getImportFileData is not among the paths on purpose: it sets a finished import back to the choice of what to import.
PROGRESS_PATH = "/api/v1/getImportProgress"
STATUS_PATH = "/api/v1/import.status"
CURRENT_OPERATION_PATH = "/api/v1/getCurrentImportOperation"
#: An operation may list the content of its file.
MAX_OPERATION_BYTES = 8 * 1024 * 1024


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
        response = yield Request(method="GET", path=STATUS_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
        if response.status == 404:
            response = yield Request(method="GET", path=CURRENT_OPERATION_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
        answer = read_answer(response)
        operation = answer.get("operation")
        if operation is None and answer.get("state") in (None, "none"):
            raise no_import_ever_error(response)
        if not isinstance(operation, dict):
            raise response.unexpected('an object under "operation"', "Rocket.Chat")
        return self._operation_progress(response, operation, answer.get("state"))

    def _operation_progress(self, response: Response, operation: dict[str, Any], state: Any) -> ImportProgress:
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


class RocketChatHook(ImportProgressHook):
    """
    Send requests to one Rocket.Chat workspace.

    The connection has the workspace's host, a user id as login and a personal access token of that user as password.
    With the extra ``auth_method`` set to ``"password"``, it has the user name as login and its password: the hook then
    logs in once in each process, and again once after a 401. In reschedule mode each poll is a process, and logs in.
    The schema is ``https`` unless given; the extras are ``timeout``, ``verify`` and ``proxy``. The user needs the
    permission ``run-import``.

    :param rocketchat_conn_id: The Airflow connection of type ``rocketchat``.
    """

    conn_name_attr: ClassVar[str] = "rocketchat_conn_id"
    default_conn_name: ClassVar[str] = "rocketchat_default"
    conn_type: ClassVar[str] = "rocketchat"
    hook_name: ClassVar[str] = "Rocket.Chat"
    import_classes: ClassVar[Sequence[type[Import]]] = (RocketChatImport,)
    imports_page_path: ClassVar[str | None] = "/admin/import"
    requests_per_minute: ClassVar[float | None] = 10
    status_advice: ClassVar[Mapping[int, str]] = {
        401: "Rocket.Chat did not accept the credentials: check the connection's login (user id) and password "
        "(personal access token), or user name and password if its extra 'auth_method' is 'password'.",
        403: "Give the connection's user the permission 'run-import' in Rocket.Chat.",
        404: "Check that the connection's host is a Rocket.Chat workspace, and that its server has this endpoint.",
    }

    def __init__(self, rocketchat_conn_id: str = default_conn_name) -> None:
        super().__init__(rocketchat_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """Raise if the credentials are incomplete or cannot be sent."""
        given = connection.extra.get("auth_method")
        method = "token" if given in (None, "") else given
        if method not in ("token", "password"):
            raise ImportRequestError(
                f"The connection's extra 'auth_method' must be 'token' (the default) or 'password', not "
                f"{excerpt(repr(method), 50)}."
            )
        if method == "token":
            require_credential("login", connection.login, "user id")
            require_credential("password", connection.password, "personal access token")
            return
        # These are sent in a body, and may have any characters.
        if not connection.login:
            raise ImportRequestError("The connection has no login. Enter the user name there.")
        if not connection.password:
            raise ImportRequestError("The connection has no password. Enter the password there.")

    def rate_limit_group(self, request: Request) -> str:
        """Return the method and the path, because each endpoint has its own limit."""
        return f"{request.method} {request.path}"

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """Send one request with the user id and token. With a password, log in if needed, and again after a 401."""
        if connection.extra.get("auth_method") != "password":
            return (yield sign(request, LogIn(connection.login, connection.password)))
        log_in = yield from get_log_in(connection)
        response = yield sign(request, log_in)
        if response.status == 401:
            log_in = yield from get_log_in(connection, refused=log_in)
            response = yield sign(request, log_in)
        return response.with_secret(log_in.auth_token)

    def normalize_retry_after(self, response: Response) -> Response:
        """Return a 429 with ``Retry-After``, which Rocket.Chat reports in its message or in a header of its own."""
        return normalize_retry_after(response)

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """Request the progress of the last import, which needs the credentials and the permission of a wait."""
        response = yield Request(method="GET", path=PROGRESS_PATH)
        message = f"{connection.base_url} accepted the credentials, and the user may see imports"
        if is_no_import_ever(response):
            return f"{message}. The workspace has not had an import yet."
        if not isinstance(read_answer(response).get("step"), str):
            raise response.unexpected("the step of the import", "Rocket.Chat")
        return f"{message}."


def _checked_moment(name: str, value: str | datetime) -> str:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, AttributeError, OverflowError):
        raise ValueError(
            f"{name} must be a time as ISO 8601, such as '2026-02-17T21:54:09+00:00', not {excerpt(repr(value))}. "
            f"If it comes from an XCom, check that the upstream task returned it."
        ) from None
