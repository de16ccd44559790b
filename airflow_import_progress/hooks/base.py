# SPDX-License-Identifier: Apache-2.0
"""
What the hooks of all vendors have in common: the connection, the sending, and words for what went wrong.

A vendor's module adds its :class:`Import` references and a thin :class:`ImportProgressHook`.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import asdict, dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_import_progress import __version__
from airflow_import_progress.exceptions import (
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.exchange import Conversation, Request, Response, excerpt
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.provider_info import get_provider_info

# requests and aiohttp are imported where they are used: a DAG file that only names a sensor loads neither.
if TYPE_CHECKING:
    import aiohttp
    import requests
    from airflow.providers.common.compat.sdk import Connection

T = TypeVar("T")

DEFAULT_REQUEST_TIMEOUT = 30.0
MIN_REQUEST_TIMEOUT = 0.1
MAX_REQUEST_TIMEOUT = 300.0
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"airflow-provider-import-progress/{__version__}",
}
#: Bodies beyond this many bytes are parsed off the event loop, which they would hold up otherwise.
PARSE_OFF_LOOP_BYTES = 256 * 1024
READ_CHUNK_BYTES = 64 * 1024
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)(:(?P<port>\d{1,5}))?")
#: What to do about a refusal, where the vendor's hook does not know better.
REFUSAL_ADVICE: Mapping[int, str] = {
    401: "Check the credentials in the connection.",
    403: "Give the connection's user or key the permission to read imports.",
    404: "Check the import's identifier and the connection's host.",
}


@dataclass(frozen=True, kw_only=True)
class VendorConnection:
    """
    Hold an Airflow connection, checked and ready to use.

    :param conn_id: Its id in Airflow.
    :param base_url: Scheme, host and port, without a slash at the end.
    :param login: The login, or an empty string.
    :param password: The password or key, or an empty string.
    :param timeout: How long one request may take, in seconds.
    :param verify: Whether to verify TLS, or the path of a file with the certificates to trust.
    :param proxy: The proxy's address, or None.
    :param extra: All the extras of the connection.
    """

    conn_id: str
    base_url: str
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    timeout: float = DEFAULT_REQUEST_TIMEOUT
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def secrets(self) -> list[str]:
        """Return what must not appear in any text."""
        proxy_password = urlsplit(self.proxy).password if self.proxy else None
        return [
            form
            for secret in (self.password, proxy_password)
            if secret
            for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        ]


@dataclass(frozen=True)
class Import(ABC):
    """
    Identify one import at one vendor.

    A subclass is a frozen dataclass whose fields are plain JSON values, since a trigger stores them.
    """

    #: What to call it in messages, such as ``"Lucca leave import"``.
    noun: ClassVar[str]
    #: Where to look when it failed, for the error message.
    failure_advice: ClassVar[str] = ""

    @property
    @abstractmethod
    def import_id(self) -> str:
        """Return the identifier by which people know this import."""

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

    def subject(self, conn_id: str) -> str:
        """
        Return the words by which messages name this import.

        :param conn_id: The Airflow connection through which it is asked for.
        """
        return f"{self.noun} {self.import_id!r} (connection {conn_id!r})"


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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Airflow before 3.2 looks for these in the class's own namespace, not among what it inherits.
        cls.get_ui_field_behaviour = classmethod(_ui_field_behaviour)  # type: ignore[assignment]
        cls.get_connection_form_widgets = classmethod(_connection_form_widgets)  # type: ignore[assignment]

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._connection: VendorConnection | None = None
        self._keeps_sessions = False
        self._session: requests.Session | None = None
        self._async_session: aiohttp.ClientSession | None = None

    # What a vendor says about itself ------------------------------------------------------------------------

    @abstractmethod
    def authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the vendor's authentication.

        :param request: What to ask.
        :param connection: The connection with the credentials.
        :return: A conversation that ends in the answer; a log-in may be part of it.
        """

    @abstractmethod
    def verification(self, connection: VendorConnection) -> Conversation[str]:
        """
        Find out with reading requests alone whether the connection works.

        :param connection: The connection to verify.
        :return: A conversation that ends in words for what was verified; it raises
            :class:`ImportProgressError` if the connection does not work.
        """

    def check_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection that cannot work, before anything is sent.

        :param connection: The connection, already read.
        :raises ImportRequestError: if something is missing.
        """

    # What people call ---------------------------------------------------------------------------------------

    def get_progress(self, import_: Import) -> ImportProgress:
        """
        Ask the vendor how far an import is.

        :param import_: The import.
        :raises ImportPollError: if the question did not get through; asking again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        with self._explaining(import_.subject(self.conn_id)):
            connection = self._resolve()
            return self._without_secrets(self._converse(import_.poll(connection)))

    async def aget_progress(self, import_: Import) -> ImportProgress:
        """
        Ask the vendor how far an import is, without blocking the event loop.

        :param import_: The import.
        :raises ImportPollError: if the question did not get through; asking again later may work.
        :raises ImportRequestError: if the vendor refuses it.
        :raises ImportProtocolError: if the answer is not what the vendor's API promises.
        """
        with self._explaining(import_.subject(self.conn_id)):
            connection = await self._aresolve()
            return self._without_secrets(await self._aconverse(import_.poll(connection)))

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        """
        Send any request with the vendor's authentication, for example to start an import.

        It is sent once and never repeated, since a repeated upload might import twice.

        :param method: The HTTP method.
        :param path: The path at the connection's host, beginning with ``/``.
        :param kwargs: The other arguments of :class:`~airflow_import_progress.exchange.Request`: ``params``,
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

        See :meth:`request`.

        :param method: The HTTP method.
        :param path: The path at the connection's host, beginning with ``/``.
        :param kwargs: The other arguments of :class:`~airflow_import_progress.exchange.Request`.
        :return: The answer, with status 2xx.
        :raises ImportPollError: if the request did not get through, or the answer says to try again later.
        :raises ImportRequestError: if the vendor refuses it.
        """
        request = Request(method=method, path=path, **kwargs)
        with self._explaining(self._subject):
            return await self._aconverse(_ask(request))

    def test_connection(self) -> tuple[bool, str]:
        """
        Find out whether the connection works; the "Test" button of Airflow's connection form.

        :return: Whether it does, and in words what was verified or what is wrong.
        """
        try:
            with self._explaining(self._subject):
                return True, self._converse(self.verification(self._resolve()))
        except ImportProgressError as error:
            return False, str(error)

    def get_conn(self) -> requests.Session:
        """
        Return a session with the connection's TLS and proxy settings, to be closed by the caller.

        It carries no credentials: those are added to each request by :meth:`request`.
        """
        with self._explaining(self._subject):
            return _new_session(self._resolve())

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
        if self._async_session is not None:
            await self._async_session.close()
            self._async_session = None

    # The connection -----------------------------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        return f"{self.hook_name} (connection {self.conn_id!r})"

    def _resolve(self) -> VendorConnection:
        if self._connection is None:
            with self._looking_up():
                connection = self.get_connection(self.conn_id)
                extra = connection.extra_dejson
            self._connection = self._read(connection, extra)
        return self._connection

    async def _aresolve(self) -> VendorConnection:
        if self._connection is None:
            from airflow.providers.common.compat.connection import (
                get_async_connection,
                get_async_extra_dejson,
            )

            with self._looking_up():
                connection = await get_async_connection(self.conn_id, hook=self)
                extra = await get_async_extra_dejson(connection)
            self._connection = await asyncio.to_thread(self._read, connection, extra)
        return self._connection

    @contextmanager
    def _looking_up(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException:
            raise ImportRequestError(
                f"Airflow does not find this connection. Create one of type {self.conn_type!r} with this id, "
                f"or give the sensor or hook the right {self.conn_name_attr}."
            ) from None
        except Exception as error:
            # The API server or the secrets backend may be restarting; a wait outlives that.
            raise ImportPollError(
                f"Airflow could not look up the connection ({type(error).__name__}: {error}).", transient=True
            ) from error

    def _read(self, connection: Connection, extra: Any) -> VendorConnection:
        if connection.conn_type and connection.conn_type != self.conn_type:
            raise ImportRequestError(
                f"The connection is of type {connection.conn_type!r}, not {self.conn_type!r}. "
                f"Give the sensor or hook the id of a {self.hook_name} connection."
            )
        if connection.extra and not (isinstance(extra, dict) and (extra or _is_empty_object(connection.extra))):
            raise ImportRequestError("The connection's extra is not a JSON object. Correct it in Airflow.")
        result = VendorConnection(
            conn_id=self.conn_id,
            base_url=_base_url(connection.host, connection.schema, connection.port),
            login=(connection.login or "").strip(),
            password=(connection.password or "").strip(),
            timeout=_timeout(extra.get("timeout")),
            verify=_verify(extra.get("verify")),
            proxy=_proxy(extra.get("proxy")),
            extra=extra,
        )
        self.check_connection(result)
        return result

    # The sending --------------------------------------------------------------------------------------------

    def _converse(self, conversation: Conversation[T]) -> T:
        connection = self._resolve()
        conversation = self._with_authentication(conversation, connection)
        with self._session_for(connection) as session, closing(conversation):
            try:
                request = next(conversation)
                while True:
                    request = conversation.send(_send(session, connection, request))
            except StopIteration as end:
                result: T = end.value
                return result

    async def _aconverse(self, conversation: Conversation[T]) -> T:
        connection = await self._aresolve()
        conversation = self._with_authentication(conversation, connection)
        async with self._async_session_for(connection) as session:
            with closing(conversation):
                try:
                    request = next(conversation)
                    while True:
                        request = conversation.send(await _asend(session, connection, request))
                except StopIteration as end:
                    result: T = end.value
                    return result

    @contextmanager
    def _session_for(self, connection: VendorConnection) -> Iterator[requests.Session]:
        if not self._keeps_sessions:
            with _new_session(connection) as session:
                yield session
            return
        if self._session is None:
            self._session = _new_session(connection)
        yield self._session

    @asynccontextmanager
    async def _async_session_for(self, connection: VendorConnection) -> AsyncIterator[aiohttp.ClientSession]:
        if not self._keeps_sessions:
            async with await _new_async_session(connection) as session:
                yield session
            return
        if self._async_session is None:
            session = await _new_async_session(connection)
            # Another poll may have been faster meanwhile, and its session be in use.
            self._async_session = self._async_session or session
            if self._async_session is not session:
                await session.close()
        yield self._async_session

    def _with_authentication(self, conversation: Conversation[T], connection: VendorConnection) -> Conversation[T]:
        try:
            request = next(conversation)
            while True:
                response = yield from self.authenticated(request, connection)
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
            raise type(error)(
                self._redacted(" ".join(filter(None, parts))),
                transient=error.transient,
                retry_after=error.retry_after,
                status=error.status,
            ) from None

    def _redacted(self, text: str) -> str:
        for secret in self._connection.secrets() if self._connection else ():
            text = text.replace(secret, "***")
        return text

    def _without_secrets(self, progress: ImportProgress) -> ImportProgress:
        # Only what a vendor words freely can repeat a secret, and most polls have none of it.
        if not (progress.message or progress.details):
            return progress
        return ImportProgress.from_dict(json.loads(self._redacted(json.dumps(progress.to_dict()))))


def _ask(request: Request) -> Conversation[Response]:
    response = yield request
    response.raise_for_status()
    return response


# The two transports. Neither follows redirects, reads the environment's proxies or .netrc (whose entries would
# replace the Authorization header), or keeps cookies; both bound the time and the size of an answer.


def _new_session(connection: VendorConnection) -> requests.Session:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.verify = connection.verify
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if connection.proxy:
        session.proxies = {"http": connection.proxy, "https": connection.proxy}
    return session


def _send(session: requests.Session, connection: VendorConnection, request: Request) -> Response:
    import requests
    import urllib3

    asked = f"{request.method} {connection.base_url}{request.path}"
    give_up_at = time.monotonic() + connection.timeout
    body = bytearray()
    try:
        with session.request(
            request.method,
            f"{connection.base_url}{request.path}",
            params=request.params,
            headers={**HEADERS, **request.headers},
            json=request.json,
            data=request.data,
            files=request.files,
            allow_redirects=False,
            stream=True,
            timeout=connection.timeout,
        ) as answer:
            # The timeout of requests counts from byte to byte. No read asks for more than has come so far, so
            # none lasts longer than all before it, and an answer that drips for ever is noticed.
            while chunk := answer.raw.read(min(len(body) or 1, READ_CHUNK_BYTES), decode_content=True):
                body += chunk
                _check_size(asked, len(body), request)
                if time.monotonic() > give_up_at:
                    raise TimeoutError
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _not_through(asked, error, connection) from error
    return Response(
        status=answer.status_code,
        headers={name.lower(): value for name, value in answer.headers.items()},
        body=bytes(body),
        asked=asked,
    )


async def _new_async_session(connection: VendorConnection) -> aiohttp.ClientSession:
    import aiohttp

    # Reading certificates takes milliseconds that the event loop cannot spare.
    tls = await asyncio.to_thread(_tls, connection)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls),
        timeout=aiohttp.ClientTimeout(total=connection.timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _tls(connection: VendorConnection) -> ssl.SSLContext | bool:
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    if connection.verify is False or connection.base_url.startswith("http://"):
        return False
    # The certificates that requests trusts, so that the modes of a sensor agree.
    bundle = DEFAULT_CA_BUNDLE_PATH if connection.verify is True else connection.verify
    return ssl.create_default_context(cafile=bundle)


async def _asend(session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
    import aiohttp
    import yarl

    asked = f"{request.method} {connection.base_url}{request.path}"
    body = bytearray()
    try:
        async with session.request(
            request.method,
            # Already encoded: decoding and encoding again might turn a quoted identifier into a path.
            yarl.URL(f"{connection.base_url}{request.path}", encoded=True).extend_query(request.params),
            headers={**HEADERS, **request.headers},
            json=request.json,
            data=_form(request),
            allow_redirects=False,
            proxy=connection.proxy,
        ) as answer:
            async for chunk in answer.content.iter_any():
                body += chunk
                _check_size(asked, len(body), request)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _not_through(asked, error, connection) from error
    response = Response(
        status=answer.status,
        headers={name.lower(): value for name, value in answer.headers.items()},
        body=bytes(body),
        asked=asked,
    )
    if len(body) > PARSE_OFF_LOOP_BYTES:
        await asyncio.to_thread(response.parsed_or_none)
    return response


def _form(request: Request) -> Any:
    import aiohttp

    if not request.files:
        return request.data
    form = aiohttp.FormData()
    for name, value in request.data.items() if isinstance(request.data, Mapping) else ():
        form.add_field(name, value)
    for name, (file_name, content, content_type) in request.files.items():
        form.add_field(name, content, filename=file_name, content_type=content_type)
    return form


def _check_size(asked: str, size: int, request: Request) -> None:
    if size > request.max_answer_bytes:
        raise ImportProtocolError(
            f"{asked} answered with more than {request.max_answer_bytes:,} bytes, which no such answer should have."
        )


def _not_through(asked: str, error: Exception, connection: VendorConnection) -> ImportProgressError:
    """Return what a library's exception means, in the same words for both libraries."""
    import urllib3

    chain = list(_causes(error))

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in chain)

    if caused_by(ssl.SSLCertVerificationError):
        return ImportRequestError(
            f"{asked} was not sent, because the host's TLS certificate could not be verified. "
            f"If it is signed by your own authority, set the connection's 'verify' to the file with its certificate."
        )
    if caused_by(socket.gaierror):
        why = "the host name could not be resolved; if this lasts, check the connection's host"
    elif caused_by(ConnectionRefusedError):
        why = "the connection was refused"
    elif caused_by(TimeoutError, urllib3.exceptions.TimeoutError):
        why = f"it took longer than {connection.timeout:g} s"
    elif caused_by(OSError, urllib3.exceptions.HTTPError) or type(error).__module__.startswith("aiohttp"):
        why = "the connection was closed before the answer was complete"
    else:
        return ImportRequestError(f"{asked} could not be sent ({type(error).__name__}: {error}).")
    return ImportPollError(f"{asked} got no answer: {why}.", transient=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


# The fields of a connection. Forms of different Airflow versions store an empty field as null or as "".


def _base_url(host: str | None, scheme: str | None, port: int | None) -> str:
    text = (host or "").strip().rstrip("/")
    if not text:
        raise ImportRequestError("The connection has no host. Enter the host name, such as 'acme.example.com'.")
    scheme_of_host, separator, rest = text.partition("://")
    if not separator:
        scheme_of_host, rest = "", text
    scheme = (scheme or scheme_of_host or "https").strip().lower()
    if scheme not in ("http", "https"):
        raise ImportRequestError(f"The connection's schema must be 'https' or 'http', not {scheme!r}.")
    if scheme_of_host and scheme_of_host.lower() != scheme:
        raise ImportRequestError(
            f"The connection's host begins with {scheme_of_host!r} but its schema is {scheme!r}. Remove one of the two."
        )
    match = HOST.fullmatch(rest)
    if match is None:
        raise ImportRequestError(
            f"The connection's host must be a host name alone, such as 'acme.example.com', not {excerpt(rest)!r}."
        )
    if match["port"] and port and int(match["port"]) != port:
        raise ImportRequestError(
            f"The connection's host names port {match['port']}, its port is {port}. Remove one of the two."
        )
    port = port or (int(match["port"]) if match["port"] else None)
    return f"{scheme}://{match['name'].lower()}{f':{port}' if port else ''}"


def _timeout(value: Any) -> float:
    if value in (None, ""):
        return DEFAULT_REQUEST_TIMEOUT
    try:
        seconds = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        seconds = math.nan
    if not MIN_REQUEST_TIMEOUT <= seconds <= MAX_REQUEST_TIMEOUT:
        raise ImportRequestError(
            f"The connection's extra 'timeout' must be seconds from {MIN_REQUEST_TIMEOUT:g} to "
            f"{MAX_REQUEST_TIMEOUT:g}, not {value!r}."
        )
    return seconds


def _verify(value: Any) -> bool | str:
    if value in (None, ""):
        return True
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if not Path(text).is_file():
        raise ImportRequestError(
            f"The connection's extra 'verify' must be true, false or the path of a file with certificates, "
            f"and there is no file {text!r} on this machine."
        )
    return text


def _proxy(value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        parts = urlsplit(str(value).strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not quoted in the message: it may hold a password.
        raise ImportRequestError(
            "The connection's extra 'proxy' must be an address such as 'http://proxy.example:3128'."
        )
    return str(value).strip()


def _is_empty_object(text: str) -> bool:
    try:
        return bool(json.loads(text) == {})
    except ValueError:
        return False


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
