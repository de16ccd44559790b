# SPDX-License-Identifier: Apache-2.0
"""The control API: methods for tests, and the same as HTTP endpoints, which are made from a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from aiohttp import web

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    require_fields,
    require_flag,
    require_integer,
    require_number,
    require_object,
    require_text,
)
from airflow_import_progress.sandbox.faults import FaultRule, fault_from_json
from airflow_import_progress.sandbox.next_imports import NextImport
from airflow_import_progress.sandbox.script import Script
from airflow_import_progress.sandbox.vendor import Vendor
from airflow_import_progress.sandbox.world import RecordedRequest, World

PREFIX = "/_sandbox"

RateLimits = bool | Mapping[str, int]


class ImportSummary(TypedDict):
    """An import as the control API lists it."""

    vendor: str
    kind: str
    import_id: str
    progress: float | None
    created_at: float
    file_name: str | None


class Control:
    """
    The control API in process.

    :param vendors: The simulated vendors.
    :param import_duration: Default duration of an import in seconds, 0 or more.
    :param rate_limits: See :class:`~airflow_import_progress.sandbox.Sandbox`.
    :param credentials: Credentials other than the vendors' defaults, by vendor and name.
    :param clock: Returns the time, in seconds since 1970.
    """

    def __init__(
        self,
        vendors: Iterable[Vendor],
        import_duration: float,
        rate_limits: RateLimits,
        credentials: Mapping[str, Mapping[str, str]],
        clock: Callable[[], float],
    ) -> None:
        self._vendors = {vendor.name: vendor for vendor in vendors}
        accepted = {name: {**vendor.credentials, **credentials.get(name, {})} for name, vendor in self._vendors.items()}
        duration = require_number(import_duration, "import_duration", minimum=0)
        self._world = World(duration, accepted, self._requests_per_minute(rate_limits), clock)
        for name, values in accepted.items():
            self._add_secrets(self._vendors[name], values)

    @property
    def vendors(self) -> tuple[Vendor, ...]:
        """The simulated vendors."""
        return tuple(self._vendors.values())

    def create_import(
        self, vendor: str, kind: str, script: Mapping[str, Json] | None = None, import_id: str | None = None
    ) -> str:
        """
        Create an import and return its id.

        :param vendor: Name of the vendor, such as ``lucca``.
        :param kind: One of the vendor's kinds of import. For Lucca: ``leave`` or ``user_location``.
        :param script: Its course, with the fields of the control API. None: it succeeds after ``import_duration``.
        :param import_id: Its id. None: a new one.
        :raises InvalidInputError: If an argument cannot be used.
        """
        owner = self._vendor(vendor)
        course, import_id = self._course_and_id(owner, kind, script, import_id)
        self._world.add_import(vendor, kind, course, import_id, stop_others=owner.one_at_a_time)
        return import_id

    def script_next_import(
        self,
        vendor: str,
        kind: str,
        script: Mapping[str, Json] | None = None,
        import_id: str | None = None,
        *,
        file_name_contains: str | None = None,
    ) -> str:
        """
        Give a script to the next import that a client starts, and return the id that this import will have.

        Each call is for one import. Of several calls for the same imports, the first one is for the first import.

        :param vendor: Name of the vendor, such as ``lucca``.
        :param kind: One of the vendor's kinds of import. For Lucca: ``leave`` or ``user_location``.
        :param script: Its course, with the fields of the control API, in place of the one that follows from its file.
            None: it succeeds after ``import_duration``.
        :param import_id: Its id. None: a new one.
        :param file_name_contains: Only for an import of a file with this text in its name. None: for any import.
        :raises InvalidInputError: If an argument cannot be used.
        """
        course, import_id = self._course_and_id(self._vendor(vendor), kind, script, import_id)
        if file_name_contains is not None:
            require_text(file_name_contains, "file_name_contains")
        self._world.add_next_import(NextImport(vendor, kind, course, import_id, file_name_contains or ""))
        return import_id

    def withdraw_next_import(self, vendor: str, import_id: str) -> bool:
        """
        Take back a script for the next import, and return whether no client had started that import.

        :param vendor: Name of the vendor, such as ``lucca``.
        :param import_id: The id that :meth:`script_next_import` returned.
        """
        return self._world.remove_next_import(vendor, import_id)

    def imports(self) -> list[ImportSummary]:
        """Return the imports, oldest first."""
        with self._world.locked():
            return [
                ImportSummary(
                    vendor=import_.vendor,
                    kind=import_.kind,
                    import_id=import_.import_id,
                    progress=self._vendors[import_.vendor].progress_of(self._world, import_),
                    created_at=import_.created_at,
                    file_name=import_.file_name,
                )
                for import_ in self._world.imports()
            ]

    def add_fault(
        self,
        fault: Mapping[str, Json],
        *,
        vendor: str | None = None,
        import_id: str | None = None,
        path_contains: str | None = None,
        times: int | None = 1,
        processed: bool = False,
    ) -> None:
        """
        Make coming requests to vendors fail.

        :param fault: The fault, with the fields of the control API, such as ``{"status": 503}``.
        :param vendor: Affect only requests to this vendor. None: to any.
        :param import_id: Affect only requests for this import. None: for any.
        :param path_contains: Affect only paths with this text. None: any.
        :param times: Number of requests to affect, 1 or more. None: all until the faults are cleared.
        :param processed: Whether the vendor processes the requests, so that only their answers are lost.
        :raises InvalidInputError: If an argument cannot be used.
        """
        if vendor is not None:
            self._vendor(vendor)
        if import_id is not None:
            require_text(import_id, "import_id")
        if path_contains is not None:
            require_text(path_contains, "path_contains")
        if times is not None:
            require_integer(times, "times", minimum=1)
        require_flag(processed, "processed")
        rule = FaultRule(fault_from_json(fault), vendor, import_id, path_contains or "", times, processed)
        self._world.faults.add(rule)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._world.faults.clear()

    def requests(self, import_id: str | None = None, *, vendor: str | None = None) -> list[RecordedRequest]:
        """
        Return the last requests to vendors, at most 10,000, oldest first, without their secrets.

        :param import_id: Only requests for this import. None: for any.
        :param vendor: Only requests to this vendor. None: to any.
        """
        return self._world.requests.matching(vendor, import_id)

    def request_count(self, import_id: str | None = None, *, vendor: str | None = None) -> int:
        """
        Return the number of requests to vendors since the start or the last reset, without a limit.

        :param import_id: Only requests for this import. None: for any.
        :param vendor: Only requests to this vendor. None: to any.
        """
        return self._world.requests.count(vendor, import_id)

    def handler_errors(self) -> list[Exception]:
        """
        Return the exceptions that simulated vendors raised, oldest first, of those from the same place only the first.

        Their clients got HTTP 500. Each is a defect in the simulation of a vendor.
        """
        return self._world.handler_errors.all()

    def set_credentials(self, vendor: str, /, **credentials: str) -> None:
        """
        Replace credentials that a vendor accepts.

        :param vendor: Name of the vendor, such as ``lucca``.
        :param credentials: The new ones by name. For Lucca: ``api_key``.
        :raises InvalidInputError: If an argument cannot be used.
        """
        owner = self._vendor(vendor)
        known = ", ".join(owner.credentials)
        if not credentials:
            raise InvalidInputError("body", f"must have one of {known}")
        for name, value in credentials.items():
            if name not in owner.credentials:
                raise InvalidInputError(name, f"unknown; known are {known}")
            require_text(value, name)
        self._add_secrets(owner, credentials)
        self._world.replace_credentials(vendor, credentials)

    def set_rate_limits(self, rate_limits: RateLimits) -> None:
        """
        Replace the rate limits and start new counts.

        :param rate_limits: See :class:`~airflow_import_progress.sandbox.Sandbox`.
        :raises InvalidInputError: If the argument cannot be used.
        """
        self._world.limit_requests(self._requests_per_minute(rate_limits))

    def change(self, vendor: str, /, **changes: Json) -> None:
        """
        Change the behavior of a vendor, or trigger an event in it.

        :param vendor: Name of the vendor, such as ``rocketchat``.
        :param changes: The changes, with the fields of the control API. For Rocket.Chat, for example:
            ``restart=True``.
        :raises InvalidInputError: If an argument cannot be used.
        """
        with self._world.locked():
            self._vendor(vendor).change(self._world, changes)

    def reset(self) -> None:
        """Remove imports, also the next ones, faults, requests and errors; restore initial credentials and limits."""
        self._world.reset()

    def _vendor(self, name: Json) -> Vendor:
        if not isinstance(name, str) or name not in self._vendors:
            raise InvalidInputError("vendor", f"must be one of {', '.join(self._vendors)}")
        return self._vendors[name]

    def _course_and_id(
        self, owner: Vendor, kind: str, script: Mapping[str, Json] | None, import_id: str | None
    ) -> tuple[Script, str]:
        if kind not in owner.kinds:
            raise InvalidInputError("kind", f"must be one of {', '.join(owner.kinds)}")
        course = Script.from_json({} if script is None else script, self._world.import_duration)
        if course.results is not None and kind not in owner.kinds_with_results:
            raise InvalidInputError("script.results", f"{owner.name} reports no results for imports of the kind {kind}")
        return course, owner.new_import_id(kind) if import_id is None else require_text(import_id, "import_id")

    def _add_secrets(self, vendor: Vendor, credentials: Mapping[str, str]) -> None:
        for name, value in credentials.items():
            if name not in vendor.public_credentials:
                self._world.add_secret(value)

    def _requests_per_minute(self, rate_limits: Json) -> Mapping[str, int]:
        if isinstance(rate_limits, bool):
            published = {name: vendor.rate_limit for name, vendor in self._vendors.items() if rate_limits}
            return {name: limit for name, limit in published.items() if limit is not None}
        if not isinstance(rate_limits, Mapping):
            raise InvalidInputError("rate_limits", "must be true, false or an object of numbers by vendor")
        for name, limit in rate_limits.items():
            field = f"rate_limits.{name}"
            if name not in self._vendors:
                raise InvalidInputError(field, f"unknown; known are {', '.join(self._vendors)}")
            require_integer(limit, field, minimum=1)
        return dict(rate_limits)


@dataclass(frozen=True)
class _Endpoint:
    """
    An endpoint of the control API.

    :param method: Its HTTP method.
    :param path: Its path below :data:`PREFIX`.
    :param call: Takes the control, the query of a GET or else the body, and the parameters of the path.
    :param fields: The fields that the body may have. None: they are checked by ``call``.
    :param required: The fields that the body must have.
    :param status: The status of a success. 204: without a body.
    """

    method: str
    path: str
    call: Callable[..., Json]
    fields: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    status: int = 204

    def route(self, control: Control) -> web.RouteDef:
        async def handle(request: web.Request) -> web.Response:
            try:
                answer = self.call(control, await self._input(request), **request.match_info)
            except InvalidInputError as error:
                return web.json_response({"error": str(error), "field": error.field}, status=400)
            if self.status == 204:
                return web.Response(status=204)
            return web.json_response(answer, status=self.status)

        options = {"allow_head": False} if self.method == "GET" else {}
        return web.route(self.method, PREFIX + self.path, handle, **options)

    async def _input(self, request: web.Request) -> Json:
        if self.method in ("GET", "DELETE"):
            return request.query
        body = await _json_body(request)
        if self.fields is not None:
            require_fields(body, "", self.fields)
        for name in self.required:
            if name not in require_object(body, ""):
                raise InvalidInputError(name, "is required")
        return body


_ENDPOINTS = (
    _Endpoint("DELETE", "", lambda control, _: control.reset()),
    _Endpoint(
        "POST",
        "/imports",
        lambda control, body: {"import_id": control.create_import(**body)},
        fields=("vendor", "kind", "import_id", "script"),
        required=("vendor", "kind"),
        status=201,
    ),
    _Endpoint(
        "POST",
        "/next_imports",
        lambda control, body: {"import_id": control.script_next_import(**body)},
        fields=("vendor", "kind", "import_id", "script", "file_name_contains"),
        required=("vendor", "kind"),
        status=201,
    ),
    _Endpoint("GET", "/imports", lambda control, _: control.imports(), status=200),
    _Endpoint(
        "POST",
        "/faults",
        lambda control, body: control.add_fault(**body),
        fields=("vendor", "import_id", "path_contains", "times", "processed", "fault"),
        required=("fault",),
    ),
    _Endpoint("DELETE", "/faults", lambda control, _: control.clear_faults()),
    _Endpoint(
        "GET",
        "/requests",
        lambda control, query: _requests(control, query.get("vendor"), query.get("import_id")),
        status=200,
    ),
    _Endpoint("PUT", "/credentials", lambda control, body: _set_credentials(control, **body), required=("vendor",)),
    _Endpoint("PUT", "/rate_limits", lambda control, body: control.set_rate_limits(body)),
    _Endpoint("POST", "/{vendor}", lambda control, body, vendor: control.change(vendor, **require_object(body, ""))),
)


def control_routes(control: Control) -> list[web.RouteDef]:
    """
    Return the endpoints of the control API.

    :param control: The same in process.
    """
    return [endpoint.route(control) for endpoint in _ENDPOINTS]


def _requests(control: Control, vendor: str | None, import_id: str | None) -> Json:
    return {
        "count": control.request_count(import_id, vendor=vendor),
        "requests": control.requests(import_id, vendor=vendor),
    }


def _set_credentials(control: Control, /, vendor: str, **credentials: Json) -> None:
    control.set_credentials(vendor, **credentials)


async def _json_body(request: web.Request) -> Json:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("body", f"must be JSON ({error})") from error
