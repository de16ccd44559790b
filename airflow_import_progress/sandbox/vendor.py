# SPDX-License-Identifier: Apache-2.0
"""
The names that the module of a simulated vendor imports. Nothing else of the sandbox is needed to simulate a vendor.

See ``docs/add-a-vendor.md``.
"""

from __future__ import annotations

import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import (
    InvalidInputError,
    Json,
    require_fields,
    require_flag,
    require_integer,
    require_number,
    require_text,
)
from airflow_import_progress.sandbox.rates import RateLimitStatus
from airflow_import_progress.sandbox.script import DONE, FAILED, Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport, UnknownImportError
from airflow_import_progress.sandbox.uploads import (
    Line,
    Table,
    UnreadableUploadError,
    UploadedFile,
    table_of,
    uploaded_files,
)
from airflow_import_progress.sandbox.world import World

__all__ = [
    "DONE",
    "FAILED",
    "WORLD",
    "InvalidInputError",
    "Json",
    "Line",
    "RateLimitStatus",
    "Script",
    "SimulatedImport",
    "Table",
    "UnknownImportError",
    "UnreadableUploadError",
    "UploadedFile",
    "Vendor",
    "World",
    "require_fields",
    "require_flag",
    "require_integer",
    "require_number",
    "require_text",
    "table_of",
    "uploaded_files",
]

WORLD: web.AppKey[World] = web.AppKey("world", World)


class Vendor(ABC):
    """
    The simulation of one vendor's import API.

    Its instance holds no state. The vendor's module defines a class for it, of which ``request.app[WORLD]`` keeps the
    only object: see :meth:`.World.state`.
    """

    #: Name by which users choose the vendor.
    name: ClassVar[str]
    #: The kinds of import.
    kinds: ClassVar[tuple[str, ...]]
    #: The kinds for which the vendor reports results after the end.
    kinds_with_results: ClassVar[tuple[str, ...]] = ()
    #: The initial credentials by name.
    credentials: ClassVar[Mapping[str, str]]
    #: Names of the credentials that are not secret.
    public_credentials: ClassVar[frozenset[str]] = frozenset()
    #: Names of the headers, in lower case, that carry secrets and are not recorded, besides the usual ones.
    secret_headers: ClassVar[frozenset[str]] = frozenset()
    #: The published number of requests that are answered in 60 seconds. None: nothing is published.
    rate_limit: ClassVar[int | None] = None
    #: Whether a new import stops the earlier ones.
    one_at_a_time: ClassVar[bool] = False

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints. Their handlers are called with valid credentials only."""

    @abstractmethod
    async def import_id(self, request: web.Request) -> str | None:
        """
        Return the id of the import in a request. None: it names none.

        :param request: A request to one of the vendor's endpoints.
        """

    @abstractmethod
    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """
        Return True if a request carries valid credentials.

        :param request: A request to one of the vendor's endpoints.
        :param credentials: The credentials that are accepted now.
        """

    @abstractmethod
    async def unauthorized(self, request: web.Request) -> web.Response:
        """
        Return the vendor's answer to invalid credentials.

        :param request: The request that carries them.
        """

    @staticmethod
    @abstractmethod
    def progress_in(answer: Json) -> float | None:
        """
        Return the progress in the body of an answer, 0 to 100, or negative for a failure. None: it has none.

        :param answer: Any JSON value.
        """

    @abstractmethod
    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, Json]:
        """
        Return the fields of an Airflow connection other than host, port and schema.

        :param credentials: The credentials that are accepted now.
        """

    def redact_authorization(self, value: str) -> str:
        """
        Return an ``Authorization`` header without its secret.

        :param value: The header, valid or not.
        """
        return "***"

    @staticmethod
    def new_import_id(kind: str) -> str:
        """
        Make an id for a new import.

        :param kind: The kind of import.
        """
        return str(uuid.uuid4())

    def progress_of(self, world: World, import_: SimulatedImport) -> float | None:
        """
        Return the progress that the client of an import can see, 0 to 100, or negative for a failure.

        :param world: The state of the sandbox.
        :param import_: The import.
        """
        return import_.reported_progress(self.progress_in)

    def rate_limit_group(self, request: web.Request) -> str:
        """
        Return the name of the group of requests that are counted together. Default: one group for all.

        :param request: A request to one of the vendor's endpoints.
        """
        return ""

    def rate_limit_headers(self, rate_limit: RateLimitStatus) -> Mapping[str, str]:
        """
        Return the headers that report the rate limit in every answer. Default: none.

        :param rate_limit: The state of the limit after the request.
        """
        return {}

    def too_many_requests(self, rate_limit: RateLimitStatus) -> web.Response:
        """
        Return the vendor's answer to a request above the rate limit.

        :param rate_limit: The state of the limit after the request.
        """
        return web.Response(status=429, headers={"Retry-After": str(math.ceil(rate_limit.seconds_left))})

    def change(self, world: World, changes: Mapping[str, Json]) -> None:
        """
        Change the behavior of the vendor. Default: nothing can be changed.

        :param world: The state of the sandbox.
        :param changes: The user's changes by name.
        """
        raise InvalidInputError("vendor", f"{self.name} has nothing to change")
