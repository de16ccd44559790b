# SPDX-License-Identifier: Apache-2.0
"""The control API, by which users and tests decide what the imitated vendors do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json, as_fields
from airflow_import_progress.sandbox.vendor import WORLD

PREFIX = "/_sandbox"

Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes() -> Iterable[web.RouteDef]:
    """Return the endpoints of the control API."""
    return (
        web.delete(PREFIX, _reset),
        web.post(f"{PREFIX}/imports", _clear_about_input(_create_import)),
        web.get(f"{PREFIX}/imports", _list_imports, allow_head=False),
        web.post(f"{PREFIX}/faults", _clear_about_input(_add_fault)),
        web.delete(f"{PREFIX}/faults", _clear_faults),
        web.get(f"{PREFIX}/requests", _list_requests, allow_head=False),
        web.put(f"{PREFIX}/credentials", _clear_about_input(_set_credentials)),
        web.put(f"{PREFIX}/rate_limits", _clear_about_input(_set_rate_limits)),
        web.post(f"{PREFIX}/{{vendor}}", _clear_about_input(_change_vendor)),
    )


async def _reset(request: web.Request) -> web.Response:
    request.app[WORLD].reset()
    return web.Response(status=204)


async def _create_import(request: web.Request) -> web.Response:
    body = as_fields(await _json_body(request), "", ("vendor", "kind", "import_id", "script"))
    import_id = request.app[WORLD].create_import(
        _required(body, "vendor"), _required(body, "kind"), body.get("script"), body.get("import_id")
    )
    return web.json_response({"import_id": import_id}, status=201)


async def _list_imports(request: web.Request) -> web.Response:
    return web.json_response(request.app[WORLD].imports())


async def _add_fault(request: web.Request) -> web.Response:
    body = as_fields(await _json_body(request), "", ("vendor", "import_id", "path_contains", "times", "fault"))
    request.app[WORLD].add_fault(
        _required(body, "fault"),
        body.get("vendor"),
        body.get("import_id"),
        body.get("path_contains"),
        body.get("times", 1),
    )
    return web.Response(status=204)


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[WORLD].clear_faults()
    return web.Response(status=204)


async def _list_requests(request: web.Request) -> web.Response:
    world = request.app[WORLD]
    vendor, import_id = request.query.get("vendor"), request.query.get("import_id")
    return web.json_response(
        {"count": world.request_count(vendor, import_id), "requests": world.requests(vendor, import_id)}
    )


async def _set_credentials(request: web.Request) -> web.Response:
    body = await _json_object(request)
    credentials = {name: value for name, value in body.items() if name != "vendor"}
    request.app[WORLD].set_credentials(_required(body, "vendor"), credentials)
    return web.Response(status=204)


async def _set_rate_limits(request: web.Request) -> web.Response:
    request.app[WORLD].set_rate_limits(await _json_body(request))
    return web.Response(status=204)


async def _change_vendor(request: web.Request) -> web.Response:
    request.app[WORLD].change(request.match_info["vendor"], await _json_object(request))
    return web.Response(status=204)


def _clear_about_input(handler: Handler) -> Handler:
    async def answering_400(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except InvalidInputError as error:
            return web.json_response({"error": str(error), "field": error.field}, status=400)

    return answering_400


async def _json_body(request: web.Request) -> Json:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("body", f"must be JSON ({error})") from error


async def _json_object(request: web.Request) -> Mapping[str, Json]:
    body = await _json_body(request)
    if not isinstance(body, Mapping):
        raise InvalidInputError("body", "must be a JSON object")
    return body


def _required(body: Mapping[str, Json], name: str) -> Json:
    if name not in body:
        raise InvalidInputError(name, "is required")
    return body[name]
