# SPDX-License-Identifier: Apache-2.0
"""
What the hooks of all vendors have in common: the connection, the sending, and words for what went wrong.

A vendor's module adds its :class:`Import` references and a thin :class:`ImportProgressHook`.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar, get_args

from airflow_import_progress.compat import AirflowNotFoundException, BaseHook, look_up_connection
from airflow_import_progress.exceptions import (
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.http.connection import (
    VendorConnection,
    fill_placeholders,
    is_empty_object,
    read_base_url,
    read_import_page,
    read_proxy,
    read_requests_per_minute,
    read_text,
    read_timeout,
    read_verify,
)
from airflow_import_progress.http.exchange import MAX_ANSWER_BYTES, Conversation, Request, Response, redacted
from airflow_import_progress.http.transport import (
    asend_or_share,
    new_async_session,
    new_session,
    send,
    session_settings,
)
from airflow_import_progress.progress import ImportProgress, NotForXCom
from airflow_import_progress.provider_info import get_provider_info

if TYPE_CHECKING:
    import aiohttp
    import requests

    from airflow_import_progress.compat import Connection

T = TypeVar("T")

#: What sends a request on an event loop.
AsyncSender = Callable[["aiohttp.ClientSession", VendorConnection, Request], Awaitable[Response]]

#: How long the look-up of a connection in Airflow may take on an event loop, in seconds.
LOOKUP_TIMEOUT = 60.0
#: How long a connection is used before it is looked up again, in seconds, so that what was changed counts.
CONNECTION_LIFETIME = 300.0
#: What to do about a refusal, where the vendor's hook does not know better.
REFUSAL_ADVICE: Mapping[int, str] = {
    401: "Check the credentials in the connection.",
    403: "Give the connection's user or key the permission to read imports.",
    404: "Check the import's identifier and the connection's host.",
}


@dataclass(frozen=True)
class Import(NotForXCom, ABC):
    """
    Identify one import at one vendor.

    A subclass is a frozen dataclass whose fields are plain JSON values, since a trigger stores them.
    """

    instead_in_xcom: ClassVar[str] = "its import_id, or its to_dict()"
    #: What to call it in messages, such as ``"Lucca leave import"``.
    label: ClassVar[str]
    #: Where to look when it failed, for the error message.
    failure_advice: ClassVar[str] = ""
    #: What to do when the vendor waits for somebody to act, as a sentence.
    action_advice: ClassVar[str] = ""

    @property
    @abstractmethod
    def import_id(self) -> str:
        """Return the identifier by which people know this import."""

    @property
    def warning_before_start(self) -> str | None:
        """Return what cannot be known of such an import and its owner should know, or None; a wait logs it once."""
        return None

    @abstractmethod
    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask the vendor how far the import is.

        :param connection: The connection that is used, for what a vendor keeps in its extras.
        :return: A conversation that ends in the progress. It changes nothing at the vendor.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values; they are the arguments of the class."""
        return asdict(self)

    @classmethod
    def text_fields(cls) -> tuple[str, ...]:
        """Return the names of the arguments that are texts."""
        return tuple(field.name for field in fields(cls) if _may_be_text(field.type))

    def describe(self, conn_id: str) -> str:
        """
        Return the words by which messages name this import.

        :param conn_id: The Airflow connection through which it is asked for.
        """
        return f"{self.label} {self.import_id!r} (connection {conn_id!r})"


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
    #: What to do about an HTTP status that refuses a request.
    refusal_advice: ClassVar[Mapping[int, str]] = {}
    #: How many requests a minute the vendor allows, as it publishes; None if it publishes nothing.
    requests_per_minute: ClassVar[float | None] = None
    #: What can be asked for through it. Their arguments are what the connection's extra ``import_page`` may name.
    import_classes: ClassVar[Sequence[type[Import]]] = ()
    #: The path, below the connection's address, of the page on which people see imports; None if none is documented.
    imports_page_path: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Airflow before 3.2 looks for these in the class's own namespace, not among what it inherits.
        for name, derived in FORM_METHODS.items():
            if name not in vars(cls):
                setattr(cls, name, classmethod(derived))

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        #: Whether the connection is known to exist. Airflow says of one that its secrets backend could not look up
        #: that it does not exist, so a wait that has seen it already takes that for an outage.
        self.connection_is_known = False
        self._connection: VendorConnection | None = None
        self._looked_up_at = 0.0
        self._looking_up_async = asyncio.Lock()
        self._keeps_sessions = False
        self._session: requests.Session | None = None
        self._async_session: aiohttp.ClientSession | None = None
        self._outdated_async_sessions: list[aiohttp.ClientSession] = []
        self._session_made_for: tuple[Any, ...] = ()

    # What a vendor says about itself ------------------------------------------------------------------------

    @abstractmethod
    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the vendor's authentication.

        :param request: What to ask.
        :param connection: The connection with the credentials.
        :return: A conversation that ends in the answer; a log-in may be part of it.
        """

    @abstractmethod
    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Find out with reading requests alone whether the connection works.

        :param connection: The connection to verify.
        :return: A conversation that ends in words for what was verified; it raises
            :class:`ImportProgressError` if the connection does not work.
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
        Return which requests the vendor's limit counts together with this one; default: all.

        :param request: The request.
        """
        return ""

    def is_rate_limited(self, response: Response) -> bool:
        """
        Return whether the vendor answers that it gets too many requests; default: with HTTP 429.

        :param response: The answer.
        """
        return response.status == 429

    def normalize_retry_after(self, response: Response) -> Response:
        """
        Return an answer that says when to ask again as one with ``Retry-After``; default: as it is.

        :param response: The answer.
        """
        return response

    # What people call ---------------------------------------------------------------------------------------

    def get_conn(self) -> NoReturn:
        """
        Refuse to return a client, since there is none: use :meth:`get_progress`, or :meth:`request` for other calls.

        :raises NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no client to return. Use get_progress(), or request() for any other call."
        )

    def get_progress(self, import_: Import) -> ImportProgress:
        """
        Ask the vendor how far an import is.

        :param import_: The import.
        :raises ImportPollError: if the question did not get through; asking again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        with self._explaining(import_.describe(self.conn_id)):
            connection = self._resolve()
            try:
                return self._converse(import_.poll(connection))
            except ImportRequestError as error:
                if error.status != 401:
                    raise
                self._forget(connection)
                renewed = self._resolve()
                if renewed == connection:
                    raise
            return self._converse(import_.poll(renewed))

    async def aget_progress(self, import_: Import) -> ImportProgress:
        """
        Ask the vendor how far an import is, without blocking the event loop.

        :param import_: The import.
        :raises ImportPollError: if the question did not get through; asking again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        return await self.aget_progress_through(asend_or_share, import_)

    def import_url(self, import_: Import) -> str | None:
        """
        Return the vendor's page of an import, for people, or None if none is known.

        It is what the connection's extra ``import_page`` says, or else a page that the vendor tells of. Nothing is sent
        to the vendor, and nothing is raised: a connection that cannot be used has no page.

        :param import_: The import.
        """
        url: str | None = None
        with self._without_a_page():
            url = self._page_of(import_, self._resolve())
        return url

    async def aimport_url(self, import_: Import) -> str | None:
        """
        Return the vendor's page of an import without blocking the event loop, as :meth:`import_url`.

        :param import_: The import.
        """
        url: str | None = None
        with self._without_a_page():
            url = self._page_of(import_, await self._aresolve())
        return url

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """
        Send any request with the vendor's authentication, for example to start an import.

        It is sent once and never repeated, since a repeated upload might import twice; but after a 401, which did
        nothing, a vendor that logs in may do so anew and send it again.

        :param method: The HTTP method.
        :param path: The path at the connection's host, or below the path that its host has, beginning with ``/``.
        :param kwargs: The other arguments of :class:`~airflow_import_progress.http.exchange.Request`: ``params``,
            ``json``, ``data``, ``files``, ``headers``, ``max_answer_bytes``.
        :return: The answer, with status 2xx.
        :raises ImportPollError: if the request did not get through, or the answer says to try again later.
        :raises ImportRequestError: if the vendor refuses it.
        """
        request = Request(method=method, path=path, **kwargs)
        with self._explaining(self._subject):
            return self._converse(_ask(request))

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
        with self._explaining(self._subject):
            return await self._aconverse(_ask(request), asend_or_share)

    def test_connection(self) -> tuple[bool, str]:
        """
        Find out whether the connection works; the "Test" button of Airflow's connection form.

        :return: Whether it does, and in words what was verified or what is wrong.
        """
        try:
            # Without the connection's id: behind the button it is one that Airflow made up.
            with self._explaining(self.hook_name):
                connection = self._resolve()
                known = [name for import_class in self.import_classes for name in import_class.text_fields()]
                read_import_page(connection.extra.get("import_page"), known)
                return True, self._converse(self.probe(connection))
        except ImportProtocolError as error:
            return False, f"{error} Check that the connection's host is the one of {self.hook_name}'s API."
        except ImportProgressError as error:
            return False, str(error)

    def __enter__(self) -> Self:
        self._keeps_sessions = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps_sessions = False
        if self._session is not None:
            self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        self._keeps_sessions = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeps_sessions = False
        sessions = [session for session in (self._async_session, *self._outdated_async_sessions) if session]
        self._async_session, self._outdated_async_sessions = None, []
        for session in sessions:
            await session.close()

    # What the poller calls ----------------------------------------------------------------------------------

    async def aget_progress_through(self, send: AsyncSender, import_: Import) -> ImportProgress:
        """
        Ask the vendor how far an import is, as :meth:`aget_progress`, but send through something else.

        :param send: What sends in place of the transport.
        :param import_: The import.
        :raises ImportProgressError: as :meth:`aget_progress`.
        """
        with self._explaining(import_.describe(self.conn_id)):
            connection = await self._aresolve()
            try:
                return await self._aconverse(import_.poll(connection), send)
            except ImportRequestError as error:
                if error.status != 401:
                    raise
                self._forget(connection)
                renewed = await self._aresolve()
                if renewed == connection:
                    raise
            return await self._aconverse(import_.poll(renewed), send)

    async def afirst_request(self, import_: Import) -> Request:
        """
        Return the request with which a poll of an import begins, before it is authenticated.

        :param import_: The import.
        :raises ImportProgressError: if the connection cannot be looked up, or does not fit the import.
        """
        with (
            self._explaining(import_.describe(self.conn_id)),
            closing(import_.poll(await self._aresolve())) as conversation,
        ):
            return next(conversation)

    # The connection -----------------------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"{self.hook_name} (connection {self.conn_id!r})"

    def _resolve(self) -> VendorConnection:
        if self._connection is None or self._is_old():
            with self._renewing():
                with self._looking_up():
                    connection = self.get_connection(self.conn_id)
                    extra = connection.extra_dejson
                self._connection = self._read(connection, extra)
        return self._known_connection()

    async def _aresolve(self) -> VendorConnection:
        if self._connection is None or self._is_old():
            # One look-up for all who need it at the same time.
            async with self._looking_up_async:
                if self._connection is None or self._is_old():
                    await self._alook_up()
        return self._known_connection()

    async def _alook_up(self) -> None:
        with self._renewing():
            with self._looking_up():
                async with asyncio.timeout(LOOKUP_TIMEOUT):
                    connection, extra = await look_up_connection(self, self.conn_id)
            self._connection = await asyncio.to_thread(self._read, connection, extra)

    def _is_old(self) -> bool:
        return time.monotonic() - self._looked_up_at > CONNECTION_LIFETIME

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        try:
            yield
        except ImportProgressError:
            # What is known may still be right, and if it is not, the vendor says so.
            if self._connection is None:
                raise
        self._looked_up_at = time.monotonic()

    def _known_connection(self) -> VendorConnection:
        assert self._connection is not None  # noqa: S101
        return self._connection

    def _forget(self, refused: VendorConnection) -> None:
        """Have a connection looked up again whose key was refused: it may have another one in Airflow by now."""
        # Unless another poll has been refused before, and had it looked up again.
        if self._connection is refused:
            self._connection = None

    @contextmanager
    def _looking_up(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException:
            if self.connection_is_known:
                raise ImportPollError("Airflow does not find this connection any more.", transient=True) from None
            raise ImportRequestError(
                f"Airflow does not find this connection. Create one of type {self.conn_type!r} with this id, "
                f"or give the sensor or hook the right {self.conn_name_attr}. If there is one, its secrets backend "
                f"did not answer."
            ) from None
        except Exception as error:
            # The API server or the secrets backend may be restarting; a wait outlives that.
            raise ImportPollError(
                f"Airflow could not look up the connection ({self._redacted(f'{type(error).__name__}: {error}')}).",
                transient=True,
            ) from error

    def _read(self, connection: Connection, extra: Any) -> VendorConnection:
        if connection.conn_type and connection.conn_type != self.conn_type:
            raise ImportRequestError(
                f"The connection is of type {connection.conn_type!r}, not {self.conn_type!r}. "
                f"Give the sensor or hook the id of a {self.hook_name} connection."
            )
        if connection.extra and not (isinstance(extra, dict) and (extra or is_empty_object(connection.extra))):
            raise ImportRequestError("The connection's extra is not a JSON object. Correct it in Airflow.")
        result = VendorConnection(
            conn_id=self.conn_id,
            base_url=self.base_url(connection, extra),
            login=read_text("login", connection.login),
            password=read_text("password", connection.password),
            timeout=read_timeout(extra.get("timeout")),
            verify=read_verify(extra.get("verify")),
            proxy=read_proxy(extra.get("proxy")),
            requests_per_minute=read_requests_per_minute(extra.get("requests_per_minute")),
            extra=extra,
        )
        self.validate_connection(result)
        self.connection_is_known = True
        return result

    @contextmanager
    def _without_a_page(self) -> Iterator[None]:
        """Take what is wrong with the connection for that no page of the import is known, and log it."""
        try:
            with self._explaining(self._subject):
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

    def _converse(self, conversation: Conversation[T]) -> T:
        connection = self._resolve()
        conversation = self._with_authentication(conversation, connection)
        with self._session_for(connection) as session, closing(conversation):
            try:
                request = next(conversation)
                while True:
                    request = conversation.send(send(session, connection, request))
            except StopIteration as end:
                result: T = end.value
                return result

    async def _aconverse(self, conversation: Conversation[T], send: AsyncSender) -> T:
        connection = await self._aresolve()
        conversation = self._with_authentication(conversation, connection)
        if self._keeps_sessions:
            return await _asend_all(conversation, send, await self._kept_async_session(connection), connection)
        async with await new_async_session(connection) as session:
            return await _asend_all(conversation, send, session, connection)

    @contextmanager
    def _session_for(self, connection: VendorConnection) -> Iterator[requests.Session]:
        if not self._keeps_sessions:
            with new_session(connection) as session:
                yield session
            return
        if self._session is not None and self._session_made_for != session_settings(connection):
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = new_session(connection)
            self._session_made_for = session_settings(connection)
        yield self._session

    async def _kept_async_session(self, connection: VendorConnection) -> aiohttp.ClientSession:
        settings = session_settings(connection)
        if self._async_session is None or self._session_made_for != settings:
            session = await new_async_session(connection)
            if self._async_session is not None:
                if self._session_made_for == settings:
                    # Another poll was faster meanwhile, and its session is in use.
                    await session.close()
                    return self._async_session
                # Polls that queue for their turn still hold it.
                self._outdated_async_sessions.append(self._async_session)
            self._async_session, self._session_made_for = session, settings
        return self._async_session

    def _with_authentication(self, conversation: Conversation[T], connection: VendorConnection) -> Conversation[T]:
        try:
            request = next(conversation)
            while True:
                response = yield from self.send_authenticated(request, connection)
                request = conversation.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    # Words --------------------------------------------------------------------------------------------------

    @contextmanager
    def _explaining(self, subject: str) -> Iterator[None]:
        try:
            yield
        except ImportProgressError as error:
            parts = [f"{subject}: {error}"]
            if error.status is not None and not error.transient:
                parts.append({**REFUSAL_ADVICE, **self.refusal_advice}.get(error.status, ""))
            # Without the cause: its text is a library's, which may quote an address with credentials.
            raise error.reworded(" ".join(filter(None, parts))) from None
        except Exception as error:
            # A defect, and worth its traceback. As one of ours it means the same in every mode of a sensor.
            words = self._redacted(f"{type(error).__name__}: {error}")
            raise ImportProgressError(f"{subject}: {words}. This is a defect: please report it.") from error

    def _redacted(self, text: str) -> str:
        # For texts of libraries, which may quote what they were given. A vendor's texts are redacted when read.
        return redacted(text, self._connection.secrets if self._connection else ())


def _may_be_text(annotation: Any) -> bool:
    # A text itself where annotations are not evaluated.
    if isinstance(annotation, str):
        return "str" in (part.strip() for part in annotation.split("|"))
    return annotation is str or str in get_args(annotation)


async def _asend_all(
    conversation: Conversation[T], send: AsyncSender, session: aiohttp.ClientSession, connection: VendorConnection
) -> T:
    with closing(conversation):
        try:
            request = next(conversation)
            while True:
                response = await send(session, connection, request)
                if len(response.body) > MAX_ANSWER_BYTES:
                    # Once parsed it stays so, and to parse it here would hold up the event loop.
                    await asyncio.to_thread(response.parsed_or_none)
                request = conversation.send(response)
        except StopIteration as end:
            result: T = end.value
            return result


def _ask(request: Request) -> Conversation[Response]:
    response = yield request
    response.raise_for_status()
    return response


# What Airflow before 3.2 asks a hook's class for, derived from what later versions read in provider_info.


def _connection_type(cls: type[ImportProgressHook]) -> dict[str, Any]:
    declared: list[dict[str, Any]] = get_provider_info()["connection-types"]
    return next((entry for entry in declared if entry["connection-type"] == cls.conn_type), {})


def _ui_field_behaviour(cls: type[ImportProgressHook]) -> dict[str, Any]:
    """Return how the connection form looks, for Airflow before 3.2."""
    behaviour = _connection_type(cls).get("ui-field-behaviour", {})
    return {key.replace("-", "_"): value for key, value in behaviour.items()}


def _connection_form_widgets(cls: type[ImportProgressHook]) -> dict[str, Any]:
    """Return the form's own fields, for Airflow before 3.2."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, PasswordField, StringField

    def widget(declared: dict[str, Any]) -> Any:
        label, description = lazy_gettext(declared["label"]), declared.get("description")
        if declared["schema"].get("format") == "password":
            return PasswordField(label, widget=BS3PasswordFieldWidget(), description=description)
        if "boolean" in declared["schema"]["type"]:
            return BooleanField(label, description=description)
        return StringField(label, widget=BS3TextFieldWidget(), description=description)

    fields = _connection_type(cls).get("conn-fields", {})
    return {name: widget(declared) for name, declared in fields.items()}


FORM_METHODS: Mapping[str, Callable[..., Any]] = {
    "get_ui_field_behaviour": _ui_field_behaviour,
    "get_connection_form_widgets": _connection_form_widgets,
}
