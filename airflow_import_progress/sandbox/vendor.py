# SPDX-License-Identifier: Apache-2.0
"""What the sandbox needs of a vendor to imitate it."""

from __future__ import annotations

import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from aiohttp import web

from airflow_import_progress.sandbox.checks import InvalidInputError, Json
from airflow_import_progress.sandbox.rates import Allowance
from airflow_import_progress.sandbox.world import Import, World

WORLD: web.AppKey[World] = web.AppKey("world", World)


class Vendor(ABC):
    """
    The imitation of one vendor's import API.

    It holds no state: what changes is in the :class:`.World` that its handlers find in ``request.app[WORLD]``.
    """

    #: Name by which users choose the vendor.
    name: ClassVar[str]
    #: What can be imported.
    kinds: ClassVar[tuple[str, ...]]
    #: The kinds of which the vendor tells afterwards what the import did.
    kinds_with_results: ClassVar[tuple[str, ...]] = ()
    #: The credentials accepted at first, by name.
    credentials: ClassVar[Mapping[str, str]]
    #: Those of them that are no secret.
    public_credentials: ClassVar[frozenset[str]] = frozenset()
    #: How many requests the vendor answers in 60 seconds, as it says itself; None: it says nothing about that.
    rate_limit: ClassVar[int | None] = None
    #: Whether a new import puts an end to those before it.
    one_at_a_time: ClassVar[bool] = False

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints; their handlers are called only with the right credentials."""

    @abstractmethod
    async def import_id(self, request: web.Request) -> str | None:
        """
        Return the id of the import that a request asks about; None if it names none.

        :param request: a request to one of the vendor's endpoints
        """

    @abstractmethod
    def is_authorized(self, request: web.Request, credentials: Mapping[str, str]) -> bool:
        """
        Return whether a request carries the right credentials.

        :param request: a request to one of the vendor's endpoints
        :param credentials: the credentials accepted now
        """

    @abstractmethod
    async def unauthorized(self, request: web.Request) -> web.Response:
        """
        Return the vendor's answer to wrong credentials.

        :param request: the request that carries them
        """

    @abstractmethod
    def progress_in(self, answer: Json) -> float | None:
        """
        Return the progress that the body of a progress answer tells; None if it tells none.

        :param answer: any JSON value
        """

    @abstractmethod
    def airflow_connection(self, credentials: Mapping[str, str]) -> Mapping[str, Json]:
        """
        Return the fields of an Airflow connection other than host, port and schema.

        :param credentials: the credentials accepted now
        """

    def shown_authorization(self, value: str) -> str:
        """
        Return an ``Authorization`` header without its secret.

        :param value: what the client sent, right or wrong
        """
        return "***"

    def new_import_id(self, kind: str) -> str:
        """
        Make an id for a new import.

        :param kind: what is imported
        """
        return str(uuid.uuid4())

    def progress_of(self, world: World, subject: Import) -> float:
        """
        Return how far an import is, 0 to 100, or negative if it failed; default: as far as its script says.

        :param world: where the vendor keeps what changes
        :param subject: the import
        """
        return subject.script.progress_at(subject.elapsed())

    def rate_limit_group(self, request: web.Request) -> str:
        """
        Return which requests the rate limit counts together with this one; default: all.

        :param request: a request to one of the vendor's endpoints
        """
        return ""

    def rate_limit_headers(self, allowance: Allowance) -> Mapping[str, str]:
        """
        Return the headers in which every answer tells the rate limit; default: none.

        :param allowance: what the client may still ask
        """
        return {}

    def too_many_requests(self, allowance: Allowance) -> web.Response:
        """
        Return the vendor's answer to a request above the rate limit.

        :param allowance: what the client may still ask
        """
        return web.Response(status=429, headers={"Retry-After": str(math.ceil(allowance.seconds_left))})

    def change(self, world: World, changes: Mapping[str, Json]) -> None:
        """
        Change how the vendor behaves, as a user describes it; default: nothing can be changed.

        :param world: where it keeps what changes
        :param changes: what changes, by name
        """
        raise InvalidInputError("vendor", f"{self.name} has nothing to change")
