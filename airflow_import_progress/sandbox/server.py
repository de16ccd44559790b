# SPDX-License-Identifier: Apache-2.0
"""The server: receives requests, hits them with faults, checks credentials, and hands them to a vendor."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TextIO

from aiohttp import web

from airflow_import_progress.sandbox import control
from airflow_import_progress.sandbox.checks import InvalidInputError, Json, as_number, as_text
from airflow_import_progress.sandbox.registry import VENDORS, credential_options
from airflow_import_progress.sandbox.vendor import WORLD, Vendor
from airflow_import_progress.sandbox.world import ImportSummary, RateLimits, RecordedRequest, World

DEFAULT_IMPORT_DURATION = 20.0

_DROP_INTERVAL = 0.01
_LARGEST_UPLOAD = 100 * 1024 * 1024
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-2fa-code", "x-auth-token"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sandbox:
    """
    Vendors' import APIs, imitated on loopback.

    A context manager that serves from a thread of its own: for tests of DAGs and of anything else that talks
    to a vendor. Entering it again after leaving it serves the same imports, as a vendor does after an outage.

    :param host: a loopback address of this machine, IPv4; default: ``127.0.0.1``
    :param port: port to serve on; 0, the default: any free one
    :param import_duration: seconds that an import takes unless its script says otherwise, 0 or more;
        default: 20
    :param access_log: where to write a line for each request; None, the default: nowhere
    :param rate_limits: True: refuse requests above the rates that the vendors publish; or how many requests
        in 60 seconds are answered, by vendor; False, the default: as many as there are
    :param credentials: credentials that differ from the vendors' defaults, named after the vendor, such as
        ``lucca_api_key="..."``
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        import_duration: float = DEFAULT_IMPORT_DURATION,
        access_log: TextIO | None = None,
        rate_limits: RateLimits = False,
        **credentials: str,
    ) -> None:
        self._wanted_address = (_loopback_address(host), port)
        self._access_log = access_log
        duration = as_number(import_duration, "import_duration", minimum=0)
        self._world = World(VENDORS, duration, _by_vendor(credentials), rate_limits)
        self._serving: _Serving | None = None

    def __enter__(self) -> Self:
        if self._serving is not None:
            raise RuntimeError("the sandbox is running already")
        listener = socket.create_server(self._wanted_address)
        try:
            self._serving = _Serving(_application(self._world, self._access_log), listener)
        except BaseException:
            listener.close()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._serving is not None:
            self._serving.stop()
            self._serving = None

    @property
    def host(self) -> str:
        """Return the address that the sandbox serves on."""
        return self._running().address[0]

    @property
    def port(self) -> int:
        """Return the port that the sandbox serves on."""
        return self._running().address[1]

    @property
    def url(self) -> str:
        """Return the URL of the sandbox, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    def airflow_connection(self, vendor: str) -> dict[str, Json]:
        """
        Return the Airflow connection to an imitated vendor, as the JSON form has it.

        :param vendor: name of the vendor, such as ``lucca``
        """
        credentials = self._world.credentials_of(vendor)
        known = next(known for known in VENDORS if known.name == vendor)
        fields = dict(known.airflow_connection(credentials))
        return {
            "conn_type": fields.pop("conn_type"),
            "host": self.host,
            "port": self.port,
            "schema": "http",
            **fields,
        }

    def create_import(
        self, vendor: str, kind: str, script: Mapping[str, Json] | None = None, import_id: str | None = None
    ) -> str:
        """
        Create an import and return its id.

        :param vendor: name of the vendor, such as ``lucca``
        :param kind: what is imported; for Lucca ``leave`` or ``user_location``
        :param script: its course, with the fields of the control API; None: it succeeds after
            ``import_duration``
        :param import_id: its id; None: a new one
        :raises InvalidInputError: if something of that cannot be used
        """
        return self._world.create_import(vendor, kind, script, import_id)

    def imports(self) -> list[ImportSummary]:
        """Return the imports, oldest first."""
        return self._world.imports()

    def add_fault(
        self,
        fault: Mapping[str, Json],
        *,
        vendor: str | None = None,
        import_id: str | None = None,
        path_contains: str | None = None,
        times: int | None = 1,
    ) -> None:
        """
        Let coming requests to vendors go wrong.

        :param fault: how, with the fields of the control API, such as ``{"status": 503}``
        :param vendor: hit only requests to this vendor; None: to any
        :param import_id: hit only requests about this import; None: about any
        :param path_contains: hit only paths with this text; None: any
        :param times: how many requests to hit, 1 or more; default: 1; None: until the faults are cleared
        :raises InvalidInputError: if something of that cannot be used
        """
        self._world.add_fault(fault, vendor, import_id, path_contains, times)

    def clear_faults(self) -> None:
        """Let coming requests go well again."""
        self._world.clear_faults()

    def requests(self, import_id: str | None = None, *, vendor: str | None = None) -> list[RecordedRequest]:
        """
        Return the requests to vendors, without their secrets: the last 10,000 at most, oldest first.

        :param import_id: only those about this import; None: about any
        :param vendor: only those to this vendor; None: to any
        """
        return self._world.requests(vendor, import_id)

    def request_count(self, import_id: str | None = None, *, vendor: str | None = None) -> int:
        """
        Return how many requests to vendors arrived, however many there were.

        :param import_id: only those about this import; None: about any
        :param vendor: only those to this vendor; None: to any
        """
        return self._world.request_count(vendor, import_id)

    def set_credentials(self, vendor: str, **credentials: str) -> None:
        """
        Let a vendor accept other credentials from now on.

        :param vendor: name of the vendor, such as ``lucca``
        :param credentials: those that change; for Lucca ``api_key``
        :raises InvalidInputError: if something of that cannot be used
        """
        self._world.set_credentials(vendor, credentials)

    def set_rate_limits(self, rate_limits: RateLimits) -> None:
        """
        Let the vendors refuse requests above a rate from now on.

        :param rate_limits: as the sandbox was made with
        :raises InvalidInputError: if that cannot be used
        """
        self._world.set_rate_limits(rate_limits)

    def change(self, vendor: str, **changes: Json) -> None:
        """
        Change how a vendor behaves, or what happens at it, with the fields of the control API.

        :param vendor: name of the vendor, such as ``rocketchat``
        :param changes: what changes; for Rocket.Chat for instance ``restart=True``
        :raises InvalidInputError: if something of that cannot be used
        """
        self._world.change(vendor, changes)

    def reset(self) -> None:
        """Forget everything that happened, and go back to the credentials and rate limits of the start."""
        self._world.reset()

    def _running(self) -> _Serving:
        if self._serving is None:
            raise RuntimeError("the sandbox is not running; enter it with a with statement")
        return self._serving


class _Serving:
    """A thread that serves an application on a socket until it is told to stop."""

    def __init__(self, application: web.Application, listener: socket.socket) -> None:
        self.address: tuple[str, int] = listener.getsockname()
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_serve(application, listener, started)), name="sandbox", daemon=True
        )
        self._thread.start()
        self._loop, self._stop = started.result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def _serve(
    application: web.Application,
    listener: socket.socket,
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]],
) -> None:
    # Handlers of clients that left are cancelled: a delayed or endless answer must not outlive its client.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    stop = asyncio.Event()
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
    except Exception as error:
        started.set_exception(error)
        return
    started.set_result((asyncio.get_running_loop(), stop))
    await stop.wait()
    # Closing the listener while a connection is being accepted would leak that connection.
    asyncio.get_running_loop().remove_reader(listener)
    await _drop_connections(runner)
    await runner.cleanup()


async def _drop_connections(runner: web.AppRunner) -> None:
    """End what is being answered: waiting for answers that hang or never end would take for ever."""
    serving = asyncio.current_task()
    # A connection that was accepted just now is a task first, and known to the server only then.
    while others := [task for task in asyncio.all_tasks() if task is not serving]:
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.wait(others, timeout=_DROP_INTERVAL)


def _application(world: World, access_log: TextIO | None) -> web.Application:
    application = web.Application(client_max_size=_LARGEST_UPLOAD)
    application[WORLD] = world
    application.add_routes(control.routes())
    vendor_of = {route: vendor for vendor in VENDORS for route in application.router.add_routes(vendor.routes())}

    @web.middleware
    async def imitate_vendor(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path == control.PREFIX or request.path.startswith(f"{control.PREFIX}/"):
            return await handler(request)
        vendor = vendor_of.get(request.match_info.route)
        return await _vendor_answer(world, vendor, request, handler)

    @web.middleware
    async def log_access(request: web.Request, handler: _Handler) -> web.StreamResponse:
        status: int | str = "no answer"
        start = time.monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            status = error.status
            raise
        else:
            status = response.status
            return response
        finally:
            if access_log is not None:
                target = world.redacted(request.rel_url.raw_path_qs)
                milliseconds = (time.monotonic() - start) * 1000
                access_log.write(f"{request.method} {target} {status} {milliseconds:.0f} ms\n")
                access_log.flush()

    application.middlewares.extend((log_access, imitate_vendor))
    return application


async def _vendor_answer(
    world: World, vendor: Vendor | None, request: web.Request, handler: _Handler
) -> web.StreamResponse:
    import_id = await vendor.import_id(request) if vendor else None
    authorized = vendor is not None and vendor.is_authorized(request, world.credentials_of(vendor.name))
    record = _recorded(world, vendor, request, import_id, authorized)
    world.record(record)
    fault = world.take_fault(vendor.name if vendor else None, import_id, request.path)
    if fault is not None:
        record["status"] = fault.status
        faulty = await fault.answer(request)
        if faulty is not None:
            return faulty
    try:
        response = await _faultless_answer(world, vendor, request, authorized, handler)
    except web.HTTPException as error:
        record["status"] = error.status
        raise
    record["status"] = response.status
    return response


async def _faultless_answer(
    world: World, vendor: Vendor | None, request: web.Request, authorized: bool, handler: _Handler
) -> web.StreamResponse:
    if vendor is None:
        return await handler(request)
    if not authorized:
        return await vendor.unauthorized(request)
    allowance = world.take_request(vendor.name, vendor.rate_limit_group(request))
    if allowance is None:
        return await handler(request)
    response = vendor.too_many_requests(allowance) if allowance.exceeded else await handler(request)
    response.headers.update(vendor.rate_limit_headers(allowance))
    return response


def _recorded(
    world: World, vendor: Vendor | None, request: web.Request, import_id: str | None, authorized: bool
) -> RecordedRequest:
    headers = {}
    for name, value in request.headers.items():
        if name.lower() not in _SECRET_HEADERS:
            headers[name] = world.redacted(value)
        elif vendor is not None and name.lower() == "authorization":
            headers[name] = vendor.shown_authorization(value)
        else:
            headers[name] = "***"
    return RecordedRequest(
        at=time.time(),
        method=request.method,
        path=world.redacted(request.rel_url.raw_path),
        query={name: world.redacted(value) for name, value in request.query.items()},
        status=None,
        vendor=vendor.name if vendor else None,
        import_id=import_id,
        authorized=authorized,
        headers=headers,
    )


def _loopback_address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        is_loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInputError("host", f"must be a loopback IPv4 address such as 127.0.0.1, not {host}")
    return host


def _by_vendor(options: Mapping[str, str]) -> dict[str, dict[str, str]]:
    known = credential_options()
    credentials: dict[str, dict[str, str]] = {}
    for option, value in options.items():
        if option not in known:
            raise TypeError(f"unknown option {option}; known credentials are {', '.join(known)}")
        vendor, credential = known[option]
        credentials.setdefault(vendor.name, {})[credential] = as_text(value, option)
    return credentials
