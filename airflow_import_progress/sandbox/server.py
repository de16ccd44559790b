# SPDX-License-Identifier: Apache-2.0
"""The server: receives requests, applies faults, checks credentials, and calls a vendor's handler."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self, TextIO

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, require_text
from airflow_import_progress.sandbox.control import PREFIX, Control, RateLimits, control_routes
from airflow_import_progress.sandbox.registry import credential_options, vendors
from airflow_import_progress.sandbox.vendor import WORLD, Vendor
from airflow_import_progress.sandbox.world import RecordedRequest, World

DEFAULT_IMPORT_DURATION = 20.0

_DROP_INTERVAL = 0.01
_MAX_UPLOAD_BYTES = 100 * 1024 * 1024
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-2fa-code", "x-auth-token"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sandbox(Control):
    """
    Simulated import APIs of vendors, served on loopback.

    A context manager that serves from its own thread, for tests of DAGs and of other clients of a vendor. If it is
    entered again after it was left, it serves the same imports, as a vendor does after an outage.

    :param host: Loopback IPv4 address to serve on.
    :param port: Port to serve on. 0: any free one.
    :param import_duration: Default duration of an import in seconds, 0 or more.
    :param access_log: Stream for a line per request. None: no log.
    :param rate_limits: True: the limits that the vendors publish. An object: the number of requests that are answered
        in 60 seconds, by vendor. False: no limits.
    :param clock: Returns the time, in seconds since 1970, by which imports progress. Default: that of the machine.
    :param credentials: Credentials other than the vendors' defaults, such as ``lucca_api_key="..."``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        import_duration: float = DEFAULT_IMPORT_DURATION,
        access_log: TextIO | None = None,
        rate_limits: RateLimits = False,
        clock: Callable[[], float] = time.time,
        **credentials: str,
    ) -> None:
        self._requested_address = (_loopback_address(host), port)
        self._access_log = access_log
        super().__init__(vendors(), import_duration, rate_limits, _by_vendor(credentials), clock)
        self._serving: _Serving | None = None

    def __enter__(self) -> Self:
        if self._serving is not None:
            raise RuntimeError("the sandbox is running already")
        listener = socket.create_server(self._requested_address)
        try:
            self._serving = _Serving(_application(self, self._world, self._access_log), listener)
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
        """The address on which the sandbox serves."""
        return self._running().address[0]

    @property
    def port(self) -> int:
        """The port on which the sandbox serves."""
        return self._running().address[1]

    @property
    def url(self) -> str:
        """The URL of the sandbox, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    def airflow_connection(self, vendor: str) -> dict[str, Json]:
        """
        Return the Airflow connection to a simulated vendor, in Airflow's JSON format.

        :param vendor: Name of the vendor, such as ``lucca``.
        """
        owner = self._vendor(vendor)
        fields = dict(owner.airflow_connection(self._world.credentials_of(vendor)))
        return {
            "conn_type": fields.pop("conn_type"),
            "host": self.host,
            "port": self.port,
            "schema": "http",
            **fields,
        }

    def _running(self) -> _Serving:
        if self._serving is None:
            raise RuntimeError("the sandbox is not running; enter it with a with statement")
        return self._serving


class _Serving:
    """A thread that serves an application on a socket until it is stopped."""

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
    # Cancel the handlers of disconnected clients: a delayed or endless answer must not outlive its client.
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
    # Stop accepting first: closing the listener while a connection is being accepted would leak that connection.
    asyncio.get_running_loop().remove_reader(listener)
    await _drop_connections(runner)
    await runner.cleanup()


async def _drop_connections(runner: web.AppRunner) -> None:
    """Abort open connections: a hanging or endless answer would never end by itself."""
    serving = asyncio.current_task()
    # Repeat it: a connection that was just accepted is a task before the server lists it.
    while others := [task for task in asyncio.all_tasks() if task is not serving]:
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.wait(others, timeout=_DROP_INTERVAL)


def _application(control: Control, world: World, access_log: TextIO | None) -> web.Application:
    application = web.Application(client_max_size=_MAX_UPLOAD_BYTES)
    application[WORLD] = world
    application.add_routes(control_routes(control))
    vendor_of = {route: vendor for vendor in vendors() for route in application.router.add_routes(vendor.routes())}

    @web.middleware
    async def simulate_vendor(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path == PREFIX or request.path.startswith(f"{PREFIX}/"):
            return await handler(request)
        vendor = vendor_of.get(request.match_info.route)
        try:
            return await _vendor_answer(world, vendor, request, handler)
        except web.HTTPException:
            raise
        except Exception as error:
            # Not if the client is gone, so that its request could not be read.
            if vendor is not None and request.transport is not None and not request.transport.is_closing():
                world.handler_errors.add(error, _note_on(world, vendor, request))
            raise

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
                target = world.redact(request.rel_url.raw_path_qs)
                milliseconds = (time.monotonic() - start) * 1000
                access_log.write(f"{request.method} {target} {status} {milliseconds:.0f} ms\n")
                access_log.flush()

    application.middlewares.extend((log_access, simulate_vendor))
    return application


async def _vendor_answer(
    world: World, vendor: Vendor | None, request: web.Request, handler: _Handler
) -> web.StreamResponse:
    import_id = await vendor.import_id(request) if vendor else None
    authorized = vendor is not None and vendor.is_authorized(request, world.credentials_of(vendor.name))
    record = _record_of(world, vendor, request, import_id, authorized)
    world.requests.add(record)
    rule = world.faults.take(vendor.name if vendor else None, import_id, request.path)
    if rule is not None:
        record["status"] = rule.fault.status
        processed = await _faultless_answer(world, vendor, request, authorized, handler) if rule.processed else None
        faulty = await rule.fault.answer(request)
        if faulty is None:
            faulty = processed
        if faulty is not None:
            return faulty
    try:
        response = await _faultless_answer(world, vendor, request, authorized, handler)
    except web.HTTPException as error:
        record["status"] = error.status
        raise
    record["status"] = response.status
    response.headers.setdefault("Date", formatdate(world.clock(), usegmt=True))
    return response


async def _faultless_answer(
    world: World, vendor: Vendor | None, request: web.Request, authorized: bool, handler: _Handler
) -> web.StreamResponse:
    if vendor is None:
        return await handler(request)
    if not authorized:
        return await vendor.unauthorized(request)
    rate_limit = world.count_request(vendor.name, vendor.rate_limit_group(request))
    if rate_limit is None:
        return await _handled(request, handler)
    response = vendor.too_many_requests(rate_limit) if rate_limit.exceeded else await _handled(request, handler)
    response.headers.update(vendor.rate_limit_headers(rate_limit))
    return response


async def _handled(request: web.Request, handler: _Handler) -> web.StreamResponse:
    response: Any = await handler(request)
    if not isinstance(response, web.StreamResponse):
        name = getattr(request.match_info.handler, "__qualname__", "handler")
        raise TypeError(f"{name}() returned {response!r} in place of a response")
    return response


def _note_on(world: World, vendor: Vendor, request: web.Request) -> str:
    request_line = f"{request.method} {world.redact(request.rel_url.raw_path)}"
    return f"The simulated vendor {vendor.name!r} raised this in answer to {request_line}. Its client got HTTP 500."


def _record_of(
    world: World, vendor: Vendor | None, request: web.Request, import_id: str | None, authorized: bool
) -> RecordedRequest:
    headers = {}
    secret_headers = _SECRET_HEADERS | vendor.secret_headers if vendor is not None else _SECRET_HEADERS
    for name, value in request.headers.items():
        if name.lower() not in secret_headers:
            headers[name] = world.redact(value)
        elif vendor is not None and name.lower() == "authorization":
            headers[name] = vendor.redact_authorization(value)
        else:
            headers[name] = "***"
    return RecordedRequest(
        at=world.clock(),
        method=request.method,
        path=world.redact(request.rel_url.raw_path),
        query={name: world.redact(value) for name, value in request.query.items()},
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
        credentials.setdefault(vendor.name, {})[credential] = require_text(value, option)
    return credentials
