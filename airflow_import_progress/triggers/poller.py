# SPDX-License-Identifier: Apache-2.0
"""
One poller for all waits of a triggerer process on one connection.

They share its look-up, an HTTP session, a log-in, the answers to the same question, the vendor's rate limit, and the
pause that the vendor asks for.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.exchange import Request, Response
from airflow_import_progress.hooks.base import Import, ImportProgressHook
from airflow_import_progress.hooks.connection import VendorConnection
from airflow_import_progress.hooks.sharing import Sharing
from airflow_import_progress.hooks.transport import asend
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.triggers.schedule import LONGEST_RETRY_AFTER

if TYPE_CHECKING:
    import aiohttp
    from aiolimiter import AsyncLimiter

#: How much further apart than the limit says requests are sent: they do not all take equally long to arrive.
SPACING_MARGIN = 1.05
#: After a pause without a rate limit, requests are spread over as long as the pause was, up to this, in seconds.
LONGEST_SPREAD = 30.0

#: What a request asks. Requests with the same question over one connection may share one answer.
Question = tuple[str, str, str]

#: The watch whose poll is under way.
_polling: ContextVar[Watch | None] = ContextVar("_polling", default=None)

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[type[ImportProgressHook], str], Poller]] = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def shared_poller(hook_class: type[ImportProgressHook], conn_id: str) -> AsyncIterator[Poller]:
    """
    Give one wait the poller that all waits of this event loop on a connection share; the last one to leave closes it.

    :param hook_class: The vendor's hook.
    :param conn_id: The Airflow connection.
    """
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get((hook_class, conn_id))
    if poller is None:
        poller = pollers[hook_class, conn_id] = Poller(hook_class(**{hook_class.conn_name_attr: conn_id}))
    poller.waits += 1
    try:
        yield poller
    finally:
        poller.waits -= 1
        if not poller.waits:
            del pollers[hook_class, conn_id]
            await poller.close()


@dataclass(frozen=True, slots=True)
class News:
    """
    Tell what came of a request.

    :param sent_at: When it was sent, on the event loop's clock.
    :param outcome: The answer, or what came instead.
    """

    sent_at: float
    outcome: Response | ImportProgressError

    def response(self) -> Response:
        """
        Return the answer.

        :raises ImportProgressError: if there is none.
        """
        if isinstance(self.outcome, ImportProgressError):
            raise self.outcome
        return self.outcome


class Poller:
    """
    Ask a vendor over one connection on behalf of many waits.

    :param hook: The vendor's hook, which nobody else uses.
    """

    def __init__(self, hook: ImportProgressHook) -> None:
        self.hook = hook
        # The workers have used it before they deferred.
        hook.connection_is_known = True
        hook.keep_sessions(self._send)
        self.waits = 0
        self._listeners: Counter[Question] = Counter()
        self._news: dict[Question, News] = {}
        self._bells: dict[Question, asyncio.Event] = {}
        self._sharing: Sharing[Question, Response] = Sharing()
        self._turns: dict[str, tuple[asyncio.Lock, AsyncLimiter]] = {}
        self._paused_until = 0.0

    @asynccontextmanager
    async def watching(self, import_: Import) -> AsyncIterator[Watch]:
        """
        Give one wait its view of an import.

        :param import_: The import that is waited for.
        """
        watch = Watch(self, import_)
        try:
            yield watch
        finally:
            watch.end()

    async def close(self) -> None:
        """End what is under way, and close the session."""
        await self._sharing.end()
        await self.hook.__aexit__()

    # What watches ask for -----------------------------------------------------------------------------------

    def listen(self, question: Question) -> None:
        """
        Keep from now on what comes of a question, if others ask it too.

        :param question: The question.
        """
        self._listeners[question] += 1

    def stop_listening(self, question: Question) -> None:
        """
        Forget what came of a question, unless others ask it too.

        :param question: The question.
        """
        self._listeners[question] -= 1
        if not self._listeners[question]:
            del self._listeners[question]
            self._news.pop(question, None)
            self._bells.pop(question, None)

    async def hear(self, question: Question, since: float, seconds: float) -> bool:
        """
        Sleep, but not on when something came of a question that another wait has asked, and tell whether it did.

        :param question: The question.
        :param since: When it must have been asked at the earliest, on the event loop's clock.
        :param seconds: How long to sleep at the most.
        """
        if self._listeners[question] < 2:
            await asyncio.sleep(seconds)
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (news := self._news.get(question)) is None or news.sent_at < since:
                    await self._bells.setdefault(question, asyncio.Event()).wait()
                return True
        return False

    # The sending --------------------------------------------------------------------------------------------

    async def _send(self, session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
        question = question_of(request)
        if (watch := _polling.get()) and (news := watch.take(self._news.get(question))):
            return news.response()
        return await self._sharing.share(question, lambda: self._send_in_turn(session, connection, request, question))

    async def _send_in_turn(
        self, session: aiohttp.ClientSession, connection: VendorConnection, request: Request, question: Question
    ) -> Response:
        await self._turn(connection, request)
        sent_at = asyncio.get_running_loop().time()
        outcome: Response | ImportProgressError
        try:
            outcome = await asend(session, connection, request)
            self._pause(outcome)
        except ImportProgressError as error:
            outcome = error
        news = News(sent_at, outcome)
        if self._listeners[question] > 1:
            self._news[question] = news
            if bell := self._bells.pop(question, None):
                bell.set()
        return news.response()

    async def _turn(self, connection: VendorConnection, request: Request) -> None:
        """Sleep until the vendor may be asked: as often as its limit allows, in the order of asking."""
        limit = connection.requests_per_minute or self.hook.requests_per_minute
        if limit is None:
            if pause := await self._pause_over():
                await asyncio.sleep(random.random() * min(pause, LONGEST_SPREAD))  # noqa: S311
            return
        group = self.hook.rate_limit_group(request)
        if group not in self._turns:
            from aiolimiter import AsyncLimiter

            # What is allowed in a second at once, and no more: a burst and the minute after it must keep the limit.
            burst = max(1.0, limit / 60)
            self._turns[group] = (asyncio.Lock(), AsyncLimiter(burst, SPACING_MARGIN * burst * 60 / limit))
        lock, limiter = self._turns[group]
        # The lock keeps the order, in which the limiter alone lets newcomers push in.
        async with lock:
            await limiter.acquire()
            await self._pause_over()

    async def _pause_over(self) -> float:
        """Sleep until the vendor's pause is over, and return how long that was."""
        left = self._paused_until - asyncio.get_running_loop().time()
        if left <= 0:
            return 0.0
        await asyncio.sleep(left)
        # It may have become longer meanwhile.
        return left + await self._pause_over()

    def _pause(self, response: Response) -> None:
        if response.status >= 400 and response.retry_after is not None:
            until = asyncio.get_running_loop().time() + min(response.retry_after, LONGEST_RETRY_AFTER)
            self._paused_until = max(self._paused_until, until)


class Watch:
    """
    One wait's view of an import, through a poller that others use too.

    :param poller: The poller.
    :param import_: The import that is waited for.
    """

    __slots__ = ("_import", "_poller", "_question", "_since")

    def __init__(self, poller: Poller, import_: Import) -> None:
        self._poller = poller
        self._import = import_
        self._question: Question | None = None
        self._since = asyncio.get_running_loop().time()

    async def get_progress(self) -> ImportProgress:
        """
        Ask how far the import is, or take what another wait has heard since this one went to sleep.

        :raises ImportProgressError: as the hook's ``aget_progress``.
        """
        if self._question is None:
            self._question = question_of(await self._poller.hook.afirst_request(self._import))
            self._poller.listen(self._question)
        token = _polling.set(self)
        try:
            return await self._poller.hook.aget_progress(self._import)
        finally:
            _polling.reset(token)

    def take(self, news: News | None) -> News | None:
        """
        Return news that are new to this wait, once: who is refused asks again for an answer of its own.

        :param news: What came of the question last, if anything did.
        """
        if news is None or news.sent_at < self._since:
            return None
        self._since = math.inf
        return news

    async def sleep(self, seconds: float) -> None:
        """
        Sleep until it is time to ask, or until another wait has heard of the same import.

        :param seconds: How long at the most.
        """
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        if self._question is None:
            await asyncio.sleep(seconds)
            return
        if not await self._poller.hear(self._question, self._since, seconds):
            # Nobody has asked: it is this wait's turn.
            self._since = loop.time()

    def end(self) -> None:
        """Stop watching."""
        if self._question is not None:
            self._poller.stop_listening(self._question)


def question_of(request: Request) -> Question:
    """
    Return what a request asks, whoever asks it.

    :param request: The request.
    """
    return request.method, request.path, json.dumps([dict(request.params), request.json], sort_keys=True)
