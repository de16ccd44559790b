# SPDX-License-Identifier: Apache-2.0
"""
Rocket.Chat: imports of users, channels and messages into a workspace.

Sources: the published API reference (https://developer.rocket.chat/, section "Import") and the server's source,
https://github.com/RocketChat/Rocket.Chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow_import_progress.hooks.rocketchat_answers import is_no_import_ever, normalize_retry_after, read_answer
from airflow_import_progress.hooks.rocketchat_import import PROGRESS_PATH, RocketChatImport, RocketChatImports
from airflow_import_progress.hooks.rocketchat_login import LogIn, get_log_in, known_user_id, sign
from airflow_import_progress.hooks.rocketchat_start import (
    API_KEY,
    checked_users,
    file_download,
    file_name_of,
    file_upload,
    pending_files_import,
    user_import,
)
from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportProgressHook,
    ImportRequestError,
    Request,
    Response,
    VendorConnection,
    excerpt,
    require_credential,
)

if TYPE_CHECKING:
    from airflow_import_progress.hooks.rocketchat_start import PendingKind
    from airflow_import_progress.vendor import ImportFileSource

__all__ = ["PROGRESS_PATH", "RocketChatHook", "RocketChatImport", "RocketChatImports"]

T = TypeVar("T")


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

    def start_file_import(
        self, file: ImportFileSource | None = None, *, file_url: str | None = None, importer_key: str
    ) -> RocketChatImport:
        """
        Give a file to Rocket.Chat, once. It imports nothing until a client has its file prepared and starts it.

        :param file: The file: a path, an address in an object storage, or bytes. It is uploaded.
        :param file_url: The address of the file, in place of ``file``. Rocket.Chat downloads it.
        :param importer_key: The importer that it is for, such as ``"csv"`` or ``"slack"``.
        :return: The import, for :meth:`.ImportProgressHook.get_progress`. Its ``operation_id`` is for the sensor.
        :raises ImportFileError: if the file cannot be imported; nothing was started.
        :raises ImportStartRefusedError: if Rocket.Chat refuses it, or another import runs or waits; nothing was
            started.
        :raises ImportStartUnknownError: if an answer was lost, so that the import may have been started.
        :raises ImportFailedError: if another import has ended this one.
        """
        operation_id = self.start_import(_file_import(file, file_url, importer_key))
        return RocketChatImport(operation_id=operation_id, importer_key=importer_key)

    async def astart_file_import(
        self, file: ImportFileSource | None = None, *, file_url: str | None = None, importer_key: str
    ) -> RocketChatImport:
        """Give a file to Rocket.Chat without blocking the event loop, as :meth:`start_file_import`."""
        operation_id = await self.astart_import(_file_import(file, file_url, importer_key))
        return RocketChatImport(operation_id=operation_id, importer_key=importer_key)

    def start_user_import(self, users: Sequence[Mapping[str, Any]]) -> RocketChatImport:
        """
        Start an import of users, once. It needs Rocket.Chat 6.3 or later. Users that exist are skipped.

        :param users: The users, as ``import.addUsers`` takes them: each has ``importIds`` and ``emails``.
        :return: The import, for :meth:`.ImportProgressHook.get_progress`. Its ``operation_id`` is for the sensor.
        :raises ValueError: if a user lacks one of these.
        :raises ImportStartRefusedError: if Rocket.Chat refuses it, or another import runs or waits; nothing was
            started.
        :raises ImportStartUnknownError: if an answer was lost, so that the import may have been started.
        :raises ImportFailedError: if another client has interfered; no user was imported.
        """
        operation_id = self.start_import(user_import(checked_users(users)))
        return RocketChatImport(operation_id=operation_id, importer_key=API_KEY)

    async def astart_user_import(self, users: Sequence[Mapping[str, Any]]) -> RocketChatImport:
        """Start an import of users without blocking the event loop, as :meth:`start_user_import`."""
        operation_id = await self.astart_import(user_import(checked_users(users)))
        return RocketChatImport(operation_id=operation_id, importer_key=API_KEY)

    def start_pending_files_import(self, kind: PendingKind) -> RocketChatImport:
        """
        Let Rocket.Chat download the files to which earlier imports only refer, once.

        :param kind: ``"files"`` of messages, or ``"avatars"`` of users.
        :return: The import, for :meth:`.ImportProgressHook.get_progress`. Its ``operation_id`` is for the sensor.
        :raises ImportStartRefusedError: if Rocket.Chat refuses it, or another import runs or waits; nothing was
            started.
        :raises ImportStartUnknownError: if an answer was lost, so that the import may have been started.
        :raises ImportFailedError: if another import has ended this one.
        """
        operation_id = self.start_import(pending_files_import(kind))
        return RocketChatImport(operation_id=operation_id, importer_key=f"pending-{kind}")

    async def astart_pending_files_import(self, kind: PendingKind) -> RocketChatImport:
        """Let Rocket.Chat download files without blocking the event loop, as :meth:`start_pending_files_import`."""
        operation_id = await self.astart_import(pending_files_import(kind))
        return RocketChatImport(operation_id=operation_id, importer_key=f"pending-{kind}")

    def run(self, conversation: Conversation[T]) -> T:
        """
        Run a conversation with Rocket.Chat, and return its result. No request is repeated.

        :raises ImportProgressError: if a request did not get through or was refused.
        """
        with self._translating_errors(self._subject):
            return self._run(conversation)

    def user_id(self) -> str | None:
        """Return the ``_id`` of the connection's user, or None if it is unknown before a log-in."""
        return known_user_id(self.connection_cache.get())

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


def _file_import(file: ImportFileSource | None, file_url: str | None, importer_key: str) -> Conversation[str]:
    if file is not None and file_url is None:
        return file_upload(file, importer_key)
    if file is None and file_url is not None:
        file_name_of(file_url)
        return file_download(file_url, importer_key)
    raise ValueError("give either file or file_url")
