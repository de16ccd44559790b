# SPDX-License-Identifier: Apache-2.0
"""
The base of the hooks: the connection, the sending, and the messages of errors.

A vendor's module adds its references to imports and a thin :class:`ImportProgressHook`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar

from airflow_import_progress.compat import BaseHook
from airflow_import_progress.connection_forms import add_form_methods
from airflow_import_progress.exceptions import ImportProgressError, ImportProtocolError, ImportRequestError
from airflow_import_progress.hooks.errors import nothing_sent, translating_errors, translating_start_errors
from airflow_import_progress.http.connection import (
    VendorConnection,
    fill_placeholders,
    read_base_url,
    read_connection,
    read_import_page,
)
from airflow_import_progress.http.connection_cache import ConnectionCache
from airflow_import_progress.http.conversation import arun, first_request, run, through
from airflow_import_progress.http.exchange import Conversation, Request, Response
from airflow_import_progress.http.sessions import AsyncSessions, Sessions, send_or_share
from airflow_import_progress.http.transport import AsyncSend, AsyncSender
from airflow_import_progress.imports import Import, Pollable
from airflow_import_progress.progress import ImportProgress

if TYPE_CHECKING:
    from airflow_import_progress.compat import Connection

T = TypeVar("T")


class ImportProgressHook(BaseHook, ABC):
    """
    Base of the hooks: authentication and sending for one vendor.

    Each call opens and closes what it needs. To keep one HTTP session over many calls, use the hook in a
    ``with`` block, or in an ``async with`` block for the methods that are awaited.

    :param conn_id: The Airflow connection.
    """

    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    #: The advice for an HTTP status that refuses a request, for error messages.
    status_advice: ClassVar[Mapping[int, str]] = {}
    #: How many requests a minute the vendor allows, as it publishes; None: it publishes no limit.
    requests_per_minute: ClassVar[float | None] = None
    #: The imports that can be polled. Their arguments are the placeholders of the connection's extra ``import_page``.
    import_classes: ClassVar[Sequence[type[Import]]] = ()
    #: The path, below the connection's address, of the vendor's page of imports; None: none is documented.
    imports_page_path: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        add_form_methods(cls)

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.connection_cache = ConnectionCache(
            self,
            conn_id,
            self._read,
            f"Airflow does not find this connection. Create one of type {self.conn_type!r} with this id, or give the "
            f"sensor or hook the right {self.conn_name_attr}. If there is one, its secrets backend did not answer.",
        )
        self._sessions = Sessions()
        self._async_sessions = AsyncSessions()

    # What a vendor's hook implements ------------------------------------------------------------------------

    @abstractmethod
    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the vendor's authentication.

        :param request: The request.
        :param connection: The connection with the credentials.
        :return: A conversation that ends in the answer; a log-in may be part of it.
        """

    @abstractmethod
    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Check with requests that only read whether the connection works.

        :param connection: The connection.
        :return: A conversation that ends in a description of what was verified. It raises
            :class:`.ImportProgressError` if the connection does not work.
        """

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection that cannot work, before anything is sent.

        :param connection: The connection, already read.
        :raises ImportRequestError: if something is missing.
        """

    def base_url(self, connection: Connection, extra: Mapping[str, Any]) -> str:
        """
        Return the address that requests go to: scheme, host, port and the path below which the vendor is served.

        :param connection: The connection as Airflow has it.
        :param extra: Its extras.
        :raises ImportRequestError: if the connection does not name a usable one.
        """
        return read_base_url(connection.host, connection.schema, connection.port)

    def rate_limit_group(self, request: Request) -> str:
        """
        Return the name of the group of requests that the vendor's limit counts together. Default: one group for all.

        :param request: The request.
        """
        return ""

    def is_rate_limited(self, response: Response) -> bool:
        """
        Return whether the vendor refuses a request because it gets too many. Default: with HTTP 429.

        :param response: The answer.
        """
        return response.status == 429

    def normalize_retry_after(self, response: Response) -> Response:
        """
        Return an answer with the time to wait in ``Retry-After``, if it is elsewhere. Default: the answer as it is.

        :param response: The answer.
        """
        return response

    # What users call ----------------------------------------------------------------------------------------

    def get_conn(self) -> NoReturn:
        """
        Raise an error, because a hook has no client. Use :meth:`get_progress`, or :meth:`request` for other calls.

        :raises NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no client to return. Use get_progress(), or request() for any other call."
        )

    def get_progress(self, import_: Import) -> ImportProgress:
        """
        Poll the vendor for the progress of an import.

        :param import_: The import.
        :raises ImportPollError: if the poll did not get through; polling again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        with self._translating_errors(import_.describe(self.conn_id)):
            connection = self.connection_cache.get()
            try:
                return self._run(import_.poll(connection))
            except ImportRequestError as error:
                if error.status != 401:
                    raise
                self.connection_cache.forget(connection)
                renewed = self.connection_cache.get()
                if renewed == connection:
                    raise
            return self._run(import_.poll(renewed))

    async def aget_progress(self, import_: Import, *, send: AsyncSender | None = None) -> ImportProgress:
        """
        Poll the vendor for the progress of an import, without blocking the event loop.

        :param import_: The import.
        :param send: Sends each request, and returns its answer from :meth:`normalize_retry_after`. Default: sends at
            once, through the session of this hook.
        :raises ImportPollError: if the poll did not get through; polling again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        return await self.apoll(import_, send=send)

    def import_url(self, import_: Import) -> str | None:
        """
        Return the address of the vendor's page of an import, or None if none is known.

        It comes from the connection's extra ``import_page``, or else from the vendor's documentation. Nothing is sent
        to the vendor, and nothing is raised: a connection that cannot be used has no page.

        :param import_: The import.
        """
        url: str | None = None
        with self._without_a_page():
            url = self._page_of(import_, self.connection_cache.get())
        return url

    async def aimport_url(self, import_: Import) -> str | None:
        """
        Return the vendor's page of an import without blocking the event loop, as :meth:`import_url`.

        :param import_: The import.
        """
        url: str | None = None
        with self._without_a_page():
            url = self._page_of(import_, await self.connection_cache.aget())
        return url

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """
        Send any request with the vendor's authentication, for example to start an import.

        It is sent once and never repeated, because a repeated upload might import twice. The exception is a 401, which
        did nothing: a hook that logs in may log in again and repeat the request.

        :param method: The HTTP method.
        :param path: The path at the connection's host, or below the path that its host has, beginning with ``/``.
        :param kwargs: The other arguments of :class:`~airflow_import_progress.http.exchange.Request`: ``params``,
            ``json``, ``data``, ``files``, ``headers``, ``max_answer_bytes``.
        :return: The answer, with status 2xx.
        :raises ImportPollError: if the request did not get through, or the answer says to try again later.
        :raises ImportRequestError: if the vendor refuses it.
        """
        request = Request(method=method, path=path, **kwargs)
        with self._translating_errors(self._subject):
            return self._run(_exchange(request))

    async def arequest(self, method: str, path: str, **kwargs: Any) -> Response:
        """
        Send any request with the vendor's authentication, without blocking the event loop.

        See :meth:`request`. A POST is sent once; aiohttp itself may repeat a PUT or DELETE after a connection that
        breaks.

        :param method: The HTTP method.
        :param path: The path at the connection's host, or below the path that its host has, beginning with ``/``.
        :param kwargs: The other arguments of :class:`~airflow_import_progress.http.exchange.Request`.
        :return: The answer, with status 2xx.
        :raises ImportPollError: if the request did not get through, or the answer says to try again later.
        :raises ImportRequestError: if the vendor refuses it.
        """
        request = Request(method=method, path=path, **kwargs)
        with self._translating_errors(self._subject):
            return await self._arun(_exchange(request))

    def start_import(self, conversation: Conversation[T]) -> T:
        """
        Run the conversation that starts an import, once, and return its result.

        Vendors' hooks have a method for each kind of import that calls this. No request is repeated.

        :raises ImportStartRefusedError: if the vendor refused it, or the connection cannot be used. Nothing was
            started.
        :raises ImportStartUnknownError: if the answer was lost, so that the import may have been started.
        :raises ImportPollError: if the request has certainly not reached the vendor; starting it again later may work.
        :raises ImportProgressError: if the conversation raised an error before it sent anything. Nothing was started.
        """
        with translating_start_errors(conversation), self._translating_errors(self._subject):
            with nothing_sent():
                self.connection_cache.get()
            return self._run(conversation)

    async def astart_import(self, conversation: Conversation[T]) -> T:
        """Run the conversation that starts an import on an event loop, as :meth:`start_import`."""
        with translating_start_errors(conversation), self._translating_errors(self._subject):
            with nothing_sent():
                await self.connection_cache.aget()
            return await self._arun(conversation)

    def test_connection(self) -> tuple[bool, str]:
        """
        Check whether the connection works, for the "Test" button of Airflow's connection form.

        :return: Whether it does, and what was verified or what is wrong.
        """
        try:
            # Without the connection's id, because the button uses a connection with a generated id.
            with self._translating_errors(self.hook_name):
                connection = self.connection_cache.get()
                known = [name for import_class in self.import_classes for name in import_class.text_fields()]
                read_import_page(connection.extra.get("import_page"), known)
                return True, self._run(self.probe(connection))
        except ImportProtocolError as error:
            return False, f"{error} Check that the connection's host is the one of {self.hook_name}'s API."
        except ImportProgressError as error:
            return False, str(error)

    def __enter__(self) -> Self:
        self._sessions.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._sessions.close()

    async def __aenter__(self) -> Self:
        self._async_sessions.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._async_sessions.close()

    # What the poller calls ----------------------------------------------------------------------------------

    async def apoll(self, pollable: Pollable[T], *, send: AsyncSender | None = None) -> T:
        """Poll an import or a list of imports without blocking the event loop, as :meth:`aget_progress`."""
        with self._translating_errors(pollable.describe(self.conn_id)):
            connection = await self.connection_cache.aget()
            try:
                return await self._arun(pollable.poll(connection), send)
            except ImportRequestError as error:
                if error.status != 401:
                    raise
                self.connection_cache.forget(connection)
                renewed = await self.connection_cache.aget()
                if renewed == connection:
                    raise
            return await self._arun(pollable.poll(renewed), send)

    async def afirst_request(self, pollable: Pollable[object]) -> Request:
        """Return the request with which a poll begins, before it is authenticated; errors are those of a poll."""
        with self._translating_errors(pollable.describe(self.conn_id)):
            return first_request(pollable.poll(await self.connection_cache.aget()))

    # The connection -----------------------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"{self.hook_name} (connection {self.conn_id!r})"

    def _read(self, connection: Connection, extra: Any) -> VendorConnection:
        if connection.conn_type and connection.conn_type != self.conn_type:
            raise ImportRequestError(
                f"The connection is of type {connection.conn_type!r}, not {self.conn_type!r}. "
                f"Give the sensor or hook the id of a {self.hook_name} connection."
            )
        result = read_connection(self.conn_id, connection, extra, self.base_url)
        self.validate_connection(result)
        return result

    @contextmanager
    def _without_a_page(self) -> Iterator[None]:
        """Log an error of the connection, in place of raising it."""
        try:
            with self._translating_errors(self._subject):
                yield
        except ImportProgressError as error:
            self.log.info("No page of the import is known. %s", error)

    def _page_of(self, import_: Import, connection: VendorConnection) -> str | None:
        page = read_import_page(connection.extra.get("import_page"), type(import_).text_fields())
        if page is None:
            return f"{connection.base_url}{self.imports_page_path}" if self.imports_page_path else None
        values = {name: getattr(import_, name) for name in import_.text_fields()}
        return fill_placeholders(page, {name: value for name, value in values.items() if value is not None})

    # The sending --------------------------------------------------------------------------------------------

    def _run(self, conversation: Conversation[T]) -> T:
        connection = self.connection_cache.get()
        with self._sessions.session(connection) as send:
            return run(
                self._with_authentication(conversation, connection),
                lambda request: self.normalize_retry_after(send(request)),
            )

    async def _arun(self, conversation: Conversation[T], send_through: AsyncSender | None = None) -> T:
        send_through = send_through or self._send_at_once
        connection = await self.connection_cache.aget()
        async with self._async_sessions.session(connection) as send:
            return await arun(
                self._with_authentication(conversation, connection),
                lambda request: send_through(send, connection, request),
            )

    async def _send_at_once(self, send: AsyncSend, connection: VendorConnection, request: Request) -> Response:
        return self.normalize_retry_after(await send_or_share(send, connection, request))

    def _with_authentication(self, conversation: Conversation[T], connection: VendorConnection) -> Conversation[T]:
        return through(conversation, lambda request: self.send_authenticated(request, connection))

    def _translating_errors(self, subject: str) -> AbstractContextManager[None]:
        return translating_errors(subject, self.status_advice, lambda: self.connection_cache.secrets)


def _exchange(request: Request) -> Conversation[Response]:
    response = yield request
    response.raise_for_status()
    return response
