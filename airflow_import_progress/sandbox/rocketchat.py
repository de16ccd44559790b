# SPDX-License-Identifier: Apache-2.0
"""Rocket.Chat: the import of users, contacts, channels, messages and files into a workspace."""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, require_fields, require_text
from airflow_import_progress.sandbox.rates import RateLimitStatus
from airflow_import_progress.sandbox.rocketchat_files import channel_entry, contact_entry, contents_of, user_entry
from airflow_import_progress.sandbox.rocketchat_operations import (
    HIDDEN_IMPORTERS,
    IMPORTERS,
    PERMISSIONS,
    PREPARING,
    ROCKETCHAT,
    RUN_IMPORT,
    RUNNING,
    VIEW_IMPORT_OPERATIONS,
    Operation,
    Step,
    Workspace,
    new_operation_id,
    staged_by,
    state_of,
)
from airflow_import_progress.sandbox.rocketchat_requests import (
    DOWNLOAD,
    NOTHING,
    OLD_SELECTION,
    SELECTION,
    UPLOAD,
    USERS,
    InvalidRequestError,
    Shape,
    anything,
)
from airflow_import_progress.sandbox.script import DONE, FAILED
from airflow_import_progress.sandbox.simulated_import import SimulatedImport
from airflow_import_progress.sandbox.uploads import UnreadableUploadError
from airflow_import_progress.sandbox.vendor import WORLD, Vendor
from airflow_import_progress.sandbox.world import World

API = "/api/v1"

_LOGIN = f"{API}/login"
_PATHS_OF_THE_NEWEST = frozenset(
    f"{API}/{name}" for name in ("getImportProgress", "getCurrentImportOperation", "import.status")
)
_MAX_LATEST = 20
_DOWNLOADED_RECORDS = 1000
_DOWNLOAD_SHARE = 0.1
_CHANGES = ("restart", "cancel", "revoke_tokens", "before_6_3", "totp_code", "permissions", "importers")
_ROLES = frozenset(
    ("admin", "anonymous", "app", "bot", "guest", "leader", "livechat-agent", "moderator", "owner", "user")
)


class RocketChat(Vendor):
    """The import endpoints and the login of a Rocket.Chat server."""

    name = ROCKETCHAT
    kinds = tuple(IMPORTERS)
    credentials: ClassVar[Mapping[str, str]] = {
        "user_id": "SandboxImporter01",
        "auth_token": "sandbox-rocketchat-token",
        "username": "sandbox-importer",
        "password": "sandbox-rocketchat-password",
    }
    public_credentials = frozenset(("user_id", "username"))
    rate_limit = 10
    one_at_a_time = True

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints of imports, login and logout."""
        return (
            web.post(_LOGIN, _log_in),
            web.post(f"{API}/logout", _log_out),
            web.get(f"{API}/me", _me, allow_head=False),
            *(endpoint.route() for endpoint in _ENDPOINTS),
        )

    async def import_id(self, request: web.Request) -> str | None:
        """Return the id of the newest operation for the paths that report it."""
        if request.path not in _PATHS_OF_THE_NEWEST:
            return None
        imports = request.app[WORLD].imports_of(ROCKETCHAT)
        return imports[-1].import_id if imports else None

    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """Return True if the two headers are the user's id and token. A login needs none."""
        if request.path == _LOGIN:
            return True
        tokens = {credentials["auth_token"], *_workspace(request).tokens}
        is_user = request.headers.get("X-User-Id") == credentials["user_id"]
        return is_user and request.headers.get("X-Auth-Token") in tokens

    async def unauthorized(self, request: web.Request) -> web.Response:
        """Return the answer to a client that is not logged in."""
        message = "You must be logged in to do this."
        body: dict[str, Json] = {"status": "error", "message": message}
        if not _workspace(request).before_6_3:
            body = {"success": False, "error": message, **body}
        return web.json_response(body, status=401)

    @staticmethod
    def progress_in(answer: Json) -> float | None:
        """Return the progress in ``step`` and ``count``."""
        if not isinstance(answer, Mapping) or answer.get("step") not in tuple(Step):
            return None
        if answer["step"] == Step.DONE:
            return DONE
        if answer["step"] in (Step.FAILED, Step.CANCELLED):
            return FAILED
        count = answer.get("count")
        completed, total = (_number(count, name) for name in ("completed", "total"))
        return min(math.nextafter(DONE, 0), DONE * completed / total) if total > 0 else 0.0

    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, str]:
        """Return the user's id as the login and the personal access token as the password."""
        return {"conn_type": ROCKETCHAT, "login": credentials["user_id"], "password": credentials["auth_token"]}

    @staticmethod
    def new_import_id(kind: str) -> str:
        """Make an id as the database does."""
        return new_operation_id()

    def progress_of(self, world: World, import_: SimulatedImport) -> float | None:
        """Return the progress of the operation."""
        operation = world.state(Workspace).operation_of(import_, world)
        return super().progress_of(world, import_) if operation.answers_literally else operation.progress()

    def rate_limit_group(self, request: web.Request) -> str:
        """Return method and path: each pair has its own limit."""
        return f"{request.method} {request.path}"

    def rate_limit_headers(self, rate_limit: RateLimitStatus) -> Mapping[str, str]:
        """Return the three headers. The last one is a time in milliseconds."""
        return {
            "X-RateLimit-Limit": str(rate_limit.limit),
            "X-RateLimit-Remaining": str(rate_limit.remaining),
            "X-RateLimit-Reset": str(round(rate_limit.ends_at * 1000)),
        }

    def too_many_requests(self, rate_limit: RateLimitStatus) -> web.Response:
        """Return the vendor's answer, with the seconds to wait in its text only."""
        seconds = math.ceil(rate_limit.seconds_left)
        wait = f"You must wait {seconds} seconds before trying this endpoint again."
        error = f"Error, too many requests. Please slow down. {wait} [error-too-many-requests]"
        return web.json_response({"success": False, "error": error}, status=429)

    def change(self, world: World, changes: Mapping[str, Json]) -> None:
        """Change the workspace or its server: see the documentation of the sandbox."""
        workspace = world.state(Workspace)
        for check in (_check_events, _check_settings):
            check(require_fields(changes, "", _CHANGES))
        workspace.before_6_3 = changes.get("before_6_3", workspace.before_6_3)
        workspace.totp_code = changes.get("totp_code", workspace.totp_code)
        workspace.permissions = frozenset(changes.get("permissions", workspace.permissions))
        workspace.importers = frozenset(changes.get("importers", workspace.importers))
        if "revoke_tokens" in changes:
            workspace.tokens.clear()
        if "cancel" in changes:
            _cancel(workspace, world)
        if "restart" in changes:
            workspace.restart(world)


class _RefusedError(Exception):
    """
    Raised to refuse a request.

    :param reason: The vendor's reason.
    :param code: The vendor's code. None: it has none, as errors of the import service.
    :param details: The vendor's details.
    """

    def __init__(self, reason: str, code: str | None = None, details: Json | None = None) -> None:
        super().__init__(reason)
        self.reason, self.code, self.details = reason, code, details

    def response(self, status: int = 400) -> web.Response:
        body = {"success": False, "error": f"{self.reason} [{self.code}]" if self.code else self.reason}
        if self.code is not None and status == 400:
            body["errorType"] = self.code
        if self.details is not None:
            body["details"] = self.details
        return web.json_response(body, status=status)


def _no_importer(key: str, method: str) -> _RefusedError:
    return _RefusedError(f"The importer ({key}) has no import class defined.", "error-importer-not-defined", method)


class _LiteralAnswerError(Exception):
    """Raised if a scripted answer is the whole body."""

    def __init__(self, body: Json) -> None:
        super().__init__()
        self.body = body


@dataclass(frozen=True)
class _Call:
    """A request that has passed all checks."""

    world: World
    workspace: Workspace
    body: Mapping[str, Json]

    def newest(self, method: str) -> Operation:
        operation = self.workspace.newest(self.world)
        if operation is None:
            raise _RefusedError("Import Operation Not Found", "error-operation-not-found", method)
        self.check_importer(operation.import_.kind, method)
        return operation

    def check_importer(self, key: str, method: str) -> None:
        if key not in self.workspace.importers:
            raise _no_importer(key, method)


@dataclass(frozen=True)
class _Endpoint:
    """An endpoint of the import API."""

    method: str
    name: str
    answer: Callable[[_Call], Json]
    permission: str = RUN_IMPORT
    shape: Shape = anything
    old_shape: Shape | None = None
    since_6_3: bool = False

    def route(self) -> web.RouteDef:
        return web.route(self.method, f"{API}/{self.name}", self._handler())

    def _handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            sent = dict(request.query) if self.method == "GET" else await _json_object(request)
            # Lock it: other threads must not read a half-made operation.
            with request.app[WORLD].locked():
                return self._response(request.app[WORLD], _workspace(request), sent)

        return handle

    def _response(self, world: World, workspace: Workspace, sent: Json) -> web.Response:
        if self.since_6_3 and workspace.before_6_3:
            return web.json_response({"status": "error", "message": "API endpoint does not exist"}, status=404)
        try:
            body = self._shape_at(workspace)(sent)
        except InvalidRequestError as error:
            return _RefusedError(str(error), "invalid-params").response()
        if self.permission not in workspace.permissions:
            reason = "User does not have the permissions required for this action"
            return _RefusedError(reason, "error-unauthorized").response(status=403)
        try:
            return web.json_response(self.answer(_Call(world, workspace, body)))
        except _RefusedError as error:
            return error.response()
        except _LiteralAnswerError as literal:
            return web.json_response(literal.body)

    def _shape_at(self, workspace: Workspace) -> Shape:
        return self.old_shape if self.old_shape and workspace.before_6_3 else self.shape


# Login


async def _log_in(request: web.Request) -> web.Response:
    world, workspace = request.app[WORLD], _workspace(request)
    credentials, body = world.credentials_of(ROCKETCHAT), await _json_object(request)
    # Compare with a tuple instead of a set: the client's value may not be hashable.
    if body.get("resume") in (*workspace.tokens, credentials["auth_token"]):
        return _logged_in(credentials, body["resume"])
    user = body.get("user") or body.get("username") or body.get("email")
    if (user, body.get("password")) != (credentials["username"], credentials["password"]):
        return _not_logged_in("Unauthorized", "Unauthorized")
    if workspace.totp_code is not None:
        code = body.get("code") or request.headers.get("x-2fa-code")
        if not code:
            details = {"method": "totp", "codeGenerated": False, "availableMethods": ["totp"]}
            return _not_logged_in("totp-required", "TOTP Required", details)
        if code != workspace.totp_code:
            return _not_logged_in("totp-invalid", "TOTP Invalid", {"method": "totp"})
    token = secrets.token_urlsafe(32)
    world.add_secret(token)
    workspace.tokens.add(token)
    return _logged_in(credentials, token)


async def _log_out(request: web.Request) -> web.Response:
    _workspace(request).tokens.discard(request.headers["X-Auth-Token"])
    message = {"message": "You've been logged out!"}
    return web.json_response({"status": "success", "data": message, "success": True})


async def _me(request: web.Request) -> web.Response:
    return web.json_response({**_user(request.app[WORLD].credentials_of(ROCKETCHAT)), "success": True})


def _logged_in(credentials: Mapping[str, str], token: str) -> web.Response:
    data = {"authToken": token, "userId": credentials["user_id"], "me": _user(credentials)}
    return web.json_response({"status": "success", "data": data, "success": True})


def _not_logged_in(error: str, message: str, details: Json | None = None) -> web.Response:
    body = {"success": False, "status": "error", "error": error, "message": message}
    return web.json_response(body if details is None else {**body, "details": details}, status=401)


def _user(credentials: Mapping[str, str]) -> Json:
    return {
        "_id": credentials["user_id"],
        "username": credentials["username"],
        "roles": ["admin"],
        "avatarUrl": f"https://rocketchat.example/avatar/{credentials['username']}",
        "isOAuthUser": False,
        "settings": {"profile": {}, "calendar": {}},
    }


# Reading


def _progress(call: _Call) -> Json:
    operation = call.newest("getImportProgress")
    if operation.answers_literally:
        return _next_answer(call, operation)
    now = operation.status()
    count = {"completed": now.completed, "total": operation.total, "error": now.error}
    if call.workspace.before_6_3:
        # Report zeros: old servers read a new object that has not read the database.
        count = {"completed": 0, "total": 0} if now.step in RUNNING else count
        count.pop("error", None)
    key = operation.import_.kind
    return {"key": key, "name": IMPORTERS[key], "step": now.step, "count": count, "success": True}


def _next_answer(call: _Call, operation: Operation) -> Json:
    import_ = operation.import_
    return call.world.poll(ROCKETCHAT, import_.kind, import_.import_id, lambda progress: progress)


def _status(call: _Call) -> Json:
    operation = call.workspace.newest(call.world)
    if operation is None:
        return {"state": "none", "success": True}
    document, success = _reported(call, operation)
    state = state_of(document["status"], operation.valid)
    return {**({"state": state} if state else {}), "operation": document, "success": success}


def _current_operation(call: _Call) -> Json:
    operation = call.workspace.newest(call.world)
    if operation is None:
        return {"success": True}
    document, success = _reported(call, operation)
    return {"operation": document, "success": success}


def _latest_operations(call: _Call) -> Json:
    newest_first = sorted(call.workspace.all(call.world), key=_last_change, reverse=True)
    return [_last_reported(call.workspace, operation) for operation in newest_first[:_MAX_LATEST]]


def _last_change(operation: Operation) -> tuple[float, float]:
    return operation.updated_at(), operation.import_.created_at


def _importers(call: _Call) -> Json:
    listed = call.workspace.importers.difference(HIDDEN_IMPORTERS)
    return [{"key": key, "name": name} for key, name in IMPORTERS.items() if key in listed]


def _reported(call: _Call, operation: Operation) -> tuple[dict[str, Json], Json]:
    """Return an operation and ``success``, from the next scripted answer if there is one."""
    if not operation.answers_literally:
        return call.workspace.document(operation, operation.status().step, operation.count()), True
    answer = _next_answer(call, operation)
    if not isinstance(answer, Mapping) or "step" not in answer:
        raise _LiteralAnswerError(answer)
    return call.workspace.document(operation, answer["step"], answer.get("count")), answer.get("success", True)


def _last_reported(workspace: Workspace, operation: Operation) -> Json:
    import_ = operation.import_
    if operation.answers_literally:
        last = import_.script.answer_at(max(0, import_.answers_given - 1))
        if isinstance(last, Mapping) and "step" in last:
            return workspace.document(operation, last["step"], last.get("count"))
    return workspace.document(operation, operation.status().step, operation.count())


# Changing


def _new(call: _Call) -> Json:
    operation = call.workspace.open(call.world, "api", Step.NEW)
    document = call.workspace.document(operation, operation.status().step, operation.count())
    return {"operation": document, "success": True}


def _add_users(call: _Call) -> Json:
    users = call.body["users"]
    if not users:
        return {"success": True}
    operation = _accepting_data(call)
    if not all(any(user["emails"]) and any(user["importIds"]) for user in users):
        raise _RefusedError("Users are missing required data.")
    if any(set(user.get("roles") or ()) - _ROLES for user in users):
        raise _RefusedError("One or more of the users have been assigned invalid roles.")
    entries = [user_entry(user["importIds"][0], user.get("username") or "", user["emails"][0]) for user in users]
    operation.entries = {**operation.entries, "users": [*operation.entries.get("users", []), *entries]}
    operation.staged = {**operation.staged, "users": operation.staged.get("users", 0) + len(users)}
    operation.hold_at(Step.USER_SELECTION)
    return {"success": True}


def _accepting_data(call: _Call) -> Operation:
    operation = call.workspace.newest(call.world)
    if operation is None or not operation.valid:
        raise _RefusedError("Import operation not initialized.")
    match state_of(operation.status().step, operation.valid):
        case "loading" | "importing":
            raise _RefusedError("The current import operation can not receive new data.")
        case "done" | "error" | "canceled":
            raise _RefusedError("The current import operation is already finished.")
    return operation


def _run(call: _Call) -> Json:
    operation = call.workspace.newest(call.world)
    if operation is None or not operation.valid:
        raise _RefusedError("error-operation-not-found")
    if operation.status().step is not Step.USER_SELECTION:
        raise _RefusedError("error-invalid-operation-status")
    operation.in_batches = True
    # Add messages: they cannot be selected and are always imported.
    operation.run({name: operation.staged.get(name, 0) for name in ("users", "messages")})
    return {"success": True}


def _clear(call: _Call) -> Json:
    for operation in call.workspace.all(call.world):
        operation.import_.stop()
    return {"success": True}


def _upload(call: _Call) -> Json:
    operation = _open_for_a_file(call, "uploadImportFile", Step.FILE_LOADED, call.body["fileName"])
    operation.content = _decoded(call.body["binaryContent"])
    operation.content_type = call.body["contentType"]
    return {"success": True}


def _download(call: _Call) -> Json:
    url = call.body["fileUrl"]
    if not url.startswith("http"):
        raise _RefusedError(url, "error-import-file-missing", "downloadPublicImportFile")
    file_name = url.rpartition("/")[2].partition("?")[0]
    operation = _open_for_a_file(call, "downloadImportFile", Step.DOWNLOADING_FILE, file_name)
    operation.download_ends = call.world.clock() + call.world.import_duration * _DOWNLOAD_SHARE
    return {"success": True}


def _open_for_a_file(call: _Call, method: str, step: Step, file_name: str) -> Operation:
    key = call.body["importerKey"]
    call.check_importer(key, method)
    if key in HIDDEN_IMPORTERS:
        raise _no_importer(key, method)
    return call.workspace.open(call.world, key, step, file_name=file_name)


def _file_data(call: _Call) -> Json:
    operation = call.newest("getImportFileData")
    step = operation.status().step
    if step in PREPARING | {Step.DOWNLOADING_FILE}:
        if operation.valid:
            return {"waiting": True, "success": True}
        raise _RefusedError("Invalid Import Operation", "error-import-operation-invalid", "getImportFileData")
    if step is Step.FILE_LOADED:
        _prepare(operation)
    # Hold it here in any case: this request takes back even a finished operation.
    operation.hold_at(Step.USER_SELECTION)
    return {**_selection(operation), "success": True}


def _prepare(operation: Operation) -> None:
    key = operation.import_.kind
    if operation.content is None:
        operation.staged = staged_by(key, _DOWNLOADED_RECORDS)
        return
    try:
        contents = contents_of(operation.content, key)
    except UnreadableUploadError as error:
        operation.hold_at(Step.FAILED)
        reason = "Failed to process import file. Please check the file format and try again."
        raise _RefusedError(reason, "error-import-file-format-invalid", "getImportFileData") from error
    operation.staged = contents.counts()
    operation.entries = {"users": contents.users, "contacts": contents.contacts, "channels": contents.channels}


def _selection(operation: Operation) -> Mapping[str, Json]:
    entries = _entries(operation)
    return {
        "name": IMPORTERS[operation.import_.kind],
        "users": entries["users"],
        "channels": entries["channels"],
        "contacts": entries["contacts"],
        "message_count": operation.staged.get("messages", 0),
    }


def _entries(operation: Operation) -> Mapping[str, list[Json]]:
    """Return the entries that a client can select. Without a readable file they are made up."""
    if operation.entries:
        return {name: operation.entries.get(name, []) for name in ("users", "contacts", "channels")}
    return {
        "users": [user_entry(name, name, f"{name}@rocketchat.example") for name in _made_up(operation, "users")],
        "contacts": [contact_entry(name, name) for name in _made_up(operation, "contacts")],
        "channels": [channel_entry(name, name) for name in _made_up(operation, "channels")],
    }


def _made_up(operation: Operation, records: str) -> Iterable[str]:
    return (f"{records}-{number}" for number in range(1, operation.staged.get(records, 0) + 1))


def _start(call: _Call) -> Json:
    operation = call.newest("startImport")
    entries = _entries(operation)
    selected = dict(operation.staged)
    for name, id_name in (("users", "user_id"), ("contacts", "id"), ("channels", "channel_id")):
        known = [entry[id_name] for entry in entries[name]]
        selected[name] = _selected_count(known, call.body["input"].get(name), id_name)
    operation.in_batches = False
    operation.run(selected)
    return {"success": True}


def _selected_count(known: list[str], wanted: Json, id_name: str) -> int:
    if isinstance(wanted, list):
        chosen = {str(one.get(id_name)) for one in wanted if one.get("do_import")}
    elif wanted and wanted.get("all"):
        return len(known)
    else:
        chosen = set((wanted or {}).get("list") or ())
    return sum(one in chosen for one in known)


def _download_pending_files(call: _Call) -> Json:
    return _download_pending(call, "pending-files")


def _download_pending_avatars(call: _Call) -> Json:
    return _download_pending(call, "pending-avatars")


def _download_pending(call: _Call, key: str) -> Json:
    count = call.workspace.pending(key, call.world)
    operation = call.workspace.open(call.world, key, Step.DONE)
    if count:
        operation.staged = {"files": count}
        operation.run(operation.staged)
    return {"count": count, "success": True}


# Checks


def _check_events(changes: Mapping[str, Json]) -> None:
    for name in ("restart", "cancel", "revoke_tokens"):
        if changes.get(name, True) is not True:
            raise InvalidInputError(name, "must be true")


def _check_settings(changes: Mapping[str, Json]) -> None:
    if not isinstance(changes.get("before_6_3", True), bool):
        raise InvalidInputError("before_6_3", "must be true or false")
    if changes.get("totp_code") is not None:
        require_text(changes["totp_code"], "totp_code")
    for name, known in (("permissions", PERMISSIONS), ("importers", tuple(IMPORTERS))):
        chosen = changes.get(name, [])
        if not isinstance(chosen, (list, tuple)) or not all(one in known for one in chosen):
            raise InvalidInputError(name, f"must be a list of {', '.join(known)}")


def _cancel(workspace: Workspace, world: World) -> None:
    newest = workspace.newest(world)
    if newest is None:
        raise InvalidInputError("cancel", "there is no import")
    newest.hold_at(Step.CANCELLED)


# Small helpers


def _workspace(request: web.Request) -> Workspace:
    return request.app[WORLD].state(Workspace)


async def _json_object(request: web.Request) -> Mapping[str, Json]:
    try:
        # Parse integers as floats, as JavaScript does: an integer may be too large for one.
        body = json.loads(await request.read() or b"{}", parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _decoded(text: str) -> bytes:
    try:
        # Add padding: the real server needs none, and Python ignores too much of it.
        return base64.b64decode(f"{text}==")
    except ValueError:
        return b""


def _number(count: Json, name: str) -> float:
    try:
        return float(count[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0


_ENDPOINTS = (
    _Endpoint("GET", "getImportProgress", _progress, shape=NOTHING),
    _Endpoint("GET", "getCurrentImportOperation", _current_operation, shape=NOTHING),
    _Endpoint("GET", "getLatestImportOperations", _latest_operations, VIEW_IMPORT_OPERATIONS, NOTHING),
    _Endpoint("GET", "getImportFileData", _file_data, shape=NOTHING),
    _Endpoint("GET", "importers.list", _importers, shape=NOTHING),
    _Endpoint("GET", "import.status", _status, since_6_3=True),
    _Endpoint("POST", "import.new", _new, since_6_3=True),
    _Endpoint("POST", "import.addUsers", _add_users, shape=USERS, since_6_3=True),
    _Endpoint("POST", "import.run", _run, since_6_3=True),
    _Endpoint("POST", "import.clear", _clear, since_6_3=True),
    _Endpoint("POST", "uploadImportFile", _upload, shape=UPLOAD),
    _Endpoint("POST", "downloadPublicImportFile", _download, shape=DOWNLOAD),
    _Endpoint("POST", "startImport", _start, shape=SELECTION, old_shape=OLD_SELECTION),
    _Endpoint("POST", "downloadPendingFiles", _download_pending_files, shape=NOTHING),
    _Endpoint("POST", "downloadPendingAvatars", _download_pending_avatars, shape=NOTHING),
)
