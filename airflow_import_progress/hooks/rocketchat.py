# SPDX-License-Identifier: Apache-2.0
"""
Rocket.Chat: imports of users, channels and messages into a workspace.

Sources of what is known about the vendor: the published API reference (https://developer.rocket.chat/, section
"Import") and the server's source, https://github.com/RocketChat/Rocket.Chat.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, ClassVar, NamedTuple

from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportPollError,
    ImportProgress,
    ImportProgressHook,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_count,
    as_flag,
    as_moment,
    as_number,
    as_text,
    checked_id,
    excerpt,
)

# getImportFileData is not among them on purpose: it sets a finished import back to the choice of what to import.
PROGRESS_PATH = "/api/v1/getImportProgress"
STATUS_PATH = "/api/v1/import.status"
CURRENT_OPERATION_PATH = "/api/v1/getCurrentImportOperation"
LOGIN_PATH = "/api/v1/login"
#: An operation may list what its file has.
MAX_OPERATION_BYTES = 8 * 1024 * 1024

#: Every step of the server's ``ImporterProgressStep``.
STATES: Mapping[str, ImportState] = {
    "importer_new": ImportState.PENDING,
    "importer_uploading": ImportState.RUNNING,
    "importer_downloading_file": ImportState.RUNNING,
    "importer_file_loaded": ImportState.ACTION_REQUIRED,
    "importer_preparing_started": ImportState.RUNNING,
    "importer_preparing_users": ImportState.RUNNING,
    "importer_preparing_channels": ImportState.RUNNING,
    "importer_preparing_messages": ImportState.RUNNING,
    "importer_preparing_contacts": ImportState.RUNNING,
    "importer_user_selection": ImportState.ACTION_REQUIRED,
    "importer_importing_started": ImportState.RUNNING,
    "importer_importing_users": ImportState.RUNNING,
    "importer_importing_channels": ImportState.RUNNING,
    "importer_importing_messages": ImportState.RUNNING,
    "importer_importing_contacts": ImportState.RUNNING,
    "importer_importing_files": ImportState.RUNNING,
    "importer_finishing": ImportState.RUNNING,
    "importer_done": ImportState.SUCCEEDED,
    "importer_import_failed": ImportState.FAILED,
    "importer_import_cancelled": ImportState.CANCELLED,
}
#: Steps that newer servers add under these are work in progress.
RUNNING_PREFIXES = ("importer_preparing_", "importer_importing_")
#: Where an import of its own accord goes no further.
FINAL_STATES = frozenset({ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED})

TWO_FACTOR_ADVICE = (
    "Use a personal access token instead: create one in Rocket.Chat under My Account > Personal Access Tokens, with "
    "two-factor authentication ignored, put the user id into the connection's login and the token into its password, "
    "and remove the extra 'auth_method'."
)
#: In the words of the server's database driver while the database is away.
DATABASE_WORDS = re.compile(r"timed out|ECONN|not primary|topology|server selection|mongo", re.IGNORECASE)
WAIT_WORDS = re.compile(r"wait (\d{1,6}) seconds", re.ASCII)


class LogIn(NamedTuple):
    """What authenticates requests."""

    user_id: str
    auth_token: str


#: The log-ins of this process by address and user name, so that all its waits share one, each with the digest of its
#: password: the password itself would be kept for as long as the process lives. The digest's key is this process's own.
_log_ins: dict[tuple[str, str], tuple[bytes, LogIn]] = {}
_DIGEST_KEY = token_bytes(32)


@dataclass(frozen=True)
class RocketChatImport(Import):
    """
    Identify an import into a Rocket.Chat workspace.

    A workspace has one import at a time, and tells of the last one for ever. Say as much as is known of the one
    that is meant; without any argument it is whatever the workspace reports.

    :param operation_id: The ``_id`` of the import operation, as ``import.new`` answers it, or
        ``getCurrentImportOperation`` right after ``uploadImportFile``.
    :param importer_key: The importer that it uses, such as ``"csv"`` or ``"slack"``.
    :param started_after: A time before the import was created and after any earlier one, as ISO 8601 or as a
        datetime; without a time zone it is UTC. It is compared with the clock of the Rocket.Chat server.
    :raises ValueError: if one of them cannot be right; the message names it.
    """

    label: ClassVar[str] = "Rocket.Chat import"
    failure_advice: ClassVar[str] = "Look at Administration > Import in Rocket.Chat."
    action_advice: ClassVar[str] = (
        "Go on with it under Administration > Import in Rocket.Chat, or with startImport or import.run of its API."
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
        """Return the ``operation_id``, else the ``importer_key``, else ``"last"``."""
        return self.operation_id or self.importer_key or "last"

    @property
    def warning_before_start(self) -> str | None:
        """Return that nothing tells this import from another one, if that is so."""
        if self.operation_id or self.importer_key or self.started_after:
            return None
        return (
            "nothing says which import is meant, so this wait trusts whatever the workspace reports, and that may be "
            "an earlier import. Give operation_id, or at least importer_key or started_after."
        )

    def describe(self, conn_id: str) -> str:
        """
        Return the words by which messages name this import.

        :param conn_id: The Airflow connection through which it is asked for.
        """
        if self.operation_id:
            return super().describe(conn_id)
        key = f" of {self.importer_key!r}" if self.importer_key else ""
        return f"last {self.label}{key} (connection {conn_id!r})"

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask how far the import is.

        Where the operation has to be known, that is one request, or two on servers before 6.3, which have no
        ``import.status``. Where it has not, it is ``getImportProgress``.

        :param connection: The connection that is used.
        """
        if self.operation_id is None and self.started_after is None:
            response = yield Request(method="GET", path=PROGRESS_PATH)
            answer = _answer(response)
            return self._progress(response, step=answer.get("step"), key=answer.get("key"), count=answer.get("count"))
        response = yield Request(method="GET", path=STATUS_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
        if response.status == 404:
            response = yield Request(method="GET", path=CURRENT_OPERATION_PATH, max_answer_bytes=MAX_OPERATION_BYTES)
        answer = _answer(response)
        operation = answer.get("operation")
        if operation is None and answer.get("state") in (None, "none"):
            raise _no_import_ever(response)
        if not isinstance(operation, dict):
            raise _unexpected(response, 'an object under "operation"')
        return self._operation_progress(response, operation, answer.get("state"))

    def _operation_progress(self, response: Response, operation: dict[str, Any], state: Any) -> ImportProgress:
        operation_id, created_at = as_text(operation.get("_id")), as_moment(operation.get("ts"))
        if operation_id is None or (created_at is None and self.started_after is not None):
            raise _unexpected(response, 'an operation with "_id" and "ts"')
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
                f"started_after ({self.started_after}): the import that is waited for was never started, started_after "
                f"is later than its start, or the clocks of Airflow and Rocket.Chat differ",
            )
        # A restart of the server makes an operation invalid and leaves its status as it was, for ever.
        has_died = as_flag(operation.get("valid")) is False or state == "error"
        if has_died and progress.state not in FINAL_STATES:
            return replace(
                progress,
                state=ImportState.FAILED,
                message="the operation is no longer valid, because the server was restarted, another one of its "
                "cluster was started, or the import was cleared, while it was under way",
            )
        if progress.state is ImportState.SUCCEEDED:
            if state is not None and state != "done":
                raise _unexpected(response, f'the state "done" with the status {progress.vendor_status!r}')
            if has_died:
                progress = replace(
                    progress,
                    warning="the operation is done but no longer valid. That is normal after a restart of the server; "
                    "an import that was cleared while it ran can look the same.",
                )
        return progress

    def _progress(self, response: Response, *, step: Any, key: Any, count: Any) -> ImportProgress:
        if not isinstance(step, str) or not step:
            raise _unexpected(response, "the step of the import")
        if not isinstance(count, dict | None):
            raise _unexpected(response, 'an object under "count"')
        state, shown, warning = _state_of(step, response)
        count = count or {}
        completed, failed, total = (as_count(count.get(name)) for name in ("completed", "error", "total"))
        # Servers before 6.3 tell 0 of 0 while an import runs, and some count users twice.
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
                f"the last import of the workspace is one of {progress.details.get('importer_key')!r}: it took the "
                f"place of the one of {self.importer_key!r}, or that was never started. Check importer_key, too",
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
            f"superseded by the import {operation_id!r} ({key}{created}), so how it ended cannot be known: a new "
            f"import ends the one before it",
        )

    def _another(self, progress: ImportProgress, message: str) -> ImportProgress:
        """Return that this import has failed, because the workspace tells of another one."""
        return ImportProgress(
            import_id=self.import_id, state=ImportState.FAILED, message=message, details=progress.details
        )


class RocketChatHook(ImportProgressHook):
    """
    Talk to one Rocket.Chat workspace.

    The connection: host, login the user id and password a personal access token of that user. Or, with the extra
    ``auth_method`` set to ``"password"``, login the user name and password its password: then it logs in once in
    each process, and again once after a 401. In reschedule mode each poll is a process, and logs in. Schema ``https``
    unless given; extras ``timeout``, ``verify`` and ``proxy``. The user needs the permission ``run-import``.

    :param rocketchat_conn_id: The Airflow connection of type ``rocketchat``.
    """

    conn_name_attr: ClassVar[str] = "rocketchat_conn_id"
    default_conn_name: ClassVar[str] = "rocketchat_default"
    conn_type: ClassVar[str] = "rocketchat"
    hook_name: ClassVar[str] = "Rocket.Chat"
    import_classes: ClassVar[Sequence[type[Import]]] = (RocketChatImport,)
    imports_page_path: ClassVar[str | None] = "/admin/import"
    requests_per_minute: ClassVar[float | None] = 10
    refusal_advice: ClassVar[Mapping[int, str]] = {
        401: "Rocket.Chat did not accept the credentials: check the connection's login (user id) and password "
        "(personal access token), or user name and password if its extra 'auth_method' is 'password'.",
        403: "Give the connection's user the permission 'run-import' in Rocket.Chat.",
        404: "Check that the connection's host is a Rocket.Chat workspace, and that its server has this endpoint.",
    }

    def __init__(self, rocketchat_conn_id: str = default_conn_name) -> None:
        super().__init__(rocketchat_conn_id)

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection whose credentials are incomplete or cannot be sent.

        :param connection: The connection, already read.
        :raises ImportRequestError: if something is missing.
        """
        given = connection.extra.get("auth_method")
        method = "token" if given in (None, "") else given
        if method not in ("token", "password"):
            raise ImportRequestError(
                f"The connection's extra 'auth_method' must be 'token' (the default) or 'password', not "
                f"{excerpt(repr(method), 50)}."
            )
        login, password = ("user id", "personal access token") if method == "token" else ("user name", "password")
        if not connection.login:
            raise ImportRequestError(f"The connection has no login. Enter the {login} there.")
        if not connection.password:
            raise ImportRequestError(f"The connection has no password. Enter the {password} there.")
        if method == "token":
            for name, value in (("login", connection.login), ("password", connection.password)):
                if not (value.isascii() and value.isprintable()):
                    raise ImportRequestError(
                        f"The connection's {name} has characters that no user id or token of Rocket.Chat has."
                    )

    def rate_limit_group(self, request: Request) -> str:
        """
        Return the method and the path, each of which has a limit of its own.

        :param request: The request.
        """
        return f"{request.method} {request.path}"

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the user id and token; log in for them first if need be, and again after a 401.

        :param request: What to ask.
        :param connection: The connection with the credentials.
        """
        if connection.extra.get("auth_method") != "password":
            response = yield _signed(request, LogIn(connection.login, connection.password))
            return _normalized_retry_after(response)
        log_in = yield from _logged_in(connection)
        response = yield _signed(request, log_in)
        if response.status == 401:
            log_in = yield from _logged_in(connection, refused=log_in)
            response = yield _signed(request, log_in)
        return _normalized_retry_after(response).with_secret(log_in.auth_token)

    def normalize_retry_after(self, response: Response) -> Response:
        """
        Return a 429 with the seconds to wait, which Rocket.Chat tells in its words or in a header of its own.

        :param response: The answer.
        """
        return _normalized_retry_after(response)

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Ask for the progress of the last import, which needs the credentials and the permission of a wait.

        :param connection: The connection to verify.
        """
        response = yield Request(method="GET", path=PROGRESS_PATH)
        words = f"{connection.base_url} accepted the credentials, and the user may see imports"
        if _says_no_import_ever(response):
            return f"{words}. The workspace has not had an import yet."
        answer = _answer(response)
        if not isinstance(answer.get("step"), str):
            raise _unexpected(response, "the step of the import")
        return f"{words}."


def _logged_in(connection: VendorConnection, refused: LogIn | None = None) -> Conversation[LogIn]:
    """Return the log-in of this process, or log in if there is none but the one that was refused."""
    key = connection.base_url, connection.login
    digest = blake2b(connection.password.encode(), key=_DIGEST_KEY).digest()
    kept_digest, log_in = _log_ins.get(key, (b"", None))
    # Another wait may have logged in again meanwhile.
    if log_in is None or log_in == refused or kept_digest != digest:
        log_in = yield from _log_in(connection)
        _log_ins[key] = digest, log_in
    return log_in


def _log_in(connection: VendorConnection) -> Conversation[LogIn]:
    credentials = {"user": connection.login, "password": connection.password}
    response = _normalized_retry_after((yield Request(method="POST", path=LOGIN_PATH, json=credentials, shared=True)))
    answer = response.parsed_or_none()
    if _is_its_own_trouble(response):
        raise _trouble(response)
    if response.status == 401 and isinstance(answer, dict):
        if answer.get("error") == "totp-required":
            raise ImportRequestError(
                f"{response.request_line} demands a two-factor code, which nobody can enter here. {TWO_FACTOR_ADVICE}"
            )
        raise ImportRequestError(
            f"{response.request_line} refused the user name or password ({response.error_text()}).", status=401
        )
    response.raise_for_status()
    data = answer.get("data") if isinstance(answer, dict) else None
    user_id, token = (as_text(data.get(name)) if isinstance(data, dict) else None for name in ("userId", "authToken"))
    if not (user_id and token and f"{user_id}{token}".isascii() and f"{user_id}{token}".isprintable()):
        # Not quoted: what it answered may hold a token.
        raise ImportProtocolError(
            f"{response.request_line} answered without the user id and token that its API promises.",
            # What is not JSON is what proxies and maintenance pages answer.
            transient=answer is None,
            status=response.status,
        )
    return LogIn(user_id, token)


def _signed(request: Request, log_in: LogIn) -> Request:
    return request.with_headers({"X-User-Id": log_in.user_id, "X-Auth-Token": log_in.auth_token})


def _normalized_retry_after(response: Response) -> Response:
    if response.status != 429 or response.retry_after is not None:
        return response
    # The words first: they do not depend on the clocks of two machines.
    if words := WAIT_WORDS.search(response.error_text()):
        return response.with_retry_after(float(words[1]))
    reset_ms = as_number(response.headers.get("x-ratelimit-reset")) or 0.0
    seconds = reset_ms / 1000 - time.time()
    # A time that is over says nothing: by it, every wait would ask again at once, and too often once more.
    return response.with_retry_after(seconds) if seconds > 0 else response


def _answer(response: Response) -> dict[str, Any]:
    if _says_no_import_ever(response):
        raise _no_import_ever(response)
    if _is_its_own_trouble(response):
        raise _trouble(response)
    answer = response.json()
    if not isinstance(answer, dict) or as_flag(answer.get("success")) is not True:
        raise _unexpected(response, 'an object with "success": true')
    return answer


def _is_its_own_trouble(response: Response) -> bool:
    # Rocket.Chat answers 400 to whatever its code throws. What it means to refuse has a type; what fails in it, such as
    # the database in a failover, has only words.
    answer = response.parsed_or_none()
    if not isinstance(answer, dict) or answer.get("errorType"):
        return False
    if response.status == 401:
        # A log-in answers so to whatever is thrown, a database that is away included.
        return not answer.get("error") and DATABASE_WORDS.search(str(answer.get("message"))) is not None
    is_refused = str(answer.get("error")).startswith("error-")
    return response.status == 400 and as_flag(answer.get("success")) is False and not is_refused


def _trouble(response: Response) -> ImportPollError:
    return ImportPollError(
        f"{response.request_line} answered HTTP {response.status} without a type of error, as for trouble of the "
        f"server's own: {response.error_text().rstrip('.')}.",
        transient=True,
        retry_after=response.retry_after,
        status=response.status,
    )


def _says_no_import_ever(response: Response) -> bool:
    answer = response.parsed_or_none()
    return (
        response.status == 400
        and isinstance(answer, dict)
        and "error-operation-not-found" in (answer.get("errorType"), answer.get("error"))
    )


def _no_import_ever(response: Response) -> ImportRequestError:
    return ImportRequestError(
        f"{response.request_line} says that this workspace has never had an import. Check that the task which starts "
        f"the import did so, and that the connection is for the workspace where it was started."
    )


def _state_of(step: str, response: Response) -> tuple[ImportState, str, str | None]:
    """Return the state that a step means, the step as it is shown, and a warning if the step is unknown."""
    if step in STATES:
        return STATES[step], step, None
    shown = response.excerpt(step, 100)
    if step.startswith(RUNNING_PREFIXES):
        return ImportState.RUNNING, shown, None
    return (
        ImportState.RUNNING,
        shown,
        f"Rocket.Chat reports the step {response.redacted(step)[:100]!r}, which this version of the provider does not "
        f"know. The wait goes on, and only the step 'importer_done' ends it well.",
    )


def _checked_moment(name: str, value: str | datetime) -> str:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, AttributeError, OverflowError):
        raise ValueError(
            f"{name} must be a time as ISO 8601, such as '2026-02-17T21:54:09+00:00', not {excerpt(repr(value))}. "
            f"If it comes from an XCom, check that the upstream task returned it."
        ) from None


def _unexpected(response: Response, expected: str) -> ImportProtocolError:
    return ImportProtocolError(
        f"{response.request_line} answered {response.excerpt() or 'an empty body'!r} where Rocket.Chat's API promises "
        f"{expected}. Whether the import succeeded is unknown: look in Rocket.Chat, and report this if it lasts."
    )
