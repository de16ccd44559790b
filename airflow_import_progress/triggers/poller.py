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
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeGuard
from weakref import WeakKeyDictionary

from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.exchange import Request, Response
from airflow_import_progress.hooks.base import Import, ImportProgressHook
from airflow_import_progress.hooks.connection import VendorConnection
from airflow_import_progress.hooks.sharing import Sharing
from airflow_import_progress.hooks.transport import asend
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.triggers.schedule import FIRST_FAILURE_GAP, LONGEST_RETRY_AFTER

if TYPE_CHECKING:
    import aiohttp
    from aiolimiter import AsyncLimiter

#: How much further apart than the limit says requests are sent: they do not all take equally long to arrive.
SPACING_MARGIN = 1.05
#: After a pause without a rate limit, requests are spread over as long as the pause was, up to this, in seconds.
LONGEST_SPREAD = 30.0

#: Waits wake up at multiples of this, in seconds: many at once cost an event loop less than one after the other.
TICK = 0.05

#: What a request asks. Requests with the same question over one connection may share one answer.
Question = tuple[str, str, str]

#: A question, whom it is put to, and the headers, which hold the credentials: who has new ones wants no old refusal.
Asked = tuple[Question, str, tuple[tuple[str, str], ...]]
#: A connection, by the hook that is used and its id.
Key = tuple[type[ImportProgressHook], str]

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Poller]] = WeakKeyDictionary()
#: They outlive the pollers: the vendor goes on counting when nobody waits for a moment.
_allowances: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Allowance]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class News:
    """
    Tell what came of a request.

    :param asked: What was asked, and with which credentials.
    :param sent_at: When it was sent, on the event loop's clock.
    :param outcome: The answer, or what came instead.
    """

    asked: Asked
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


class Allowance:
    """
    Keep to what a vendor allows over one connection: its rate limit, and the pause that it asks for.

    :param hook: The vendor's hook, for what the vendor publishes.
    """

    def __init__(self, hook: type[ImportProgressHook]) -> None:
        self._published = hook.requests_per_minute
        self._turns: dict[tuple[str, float], tuple[asyncio.Lock, AsyncLimiter]] = {}
        self._paused_until = 0.0

    async def turn(self, connection: VendorConnection, group: str) -> None:
        """
        Sleep until the vendor may be asked: as often as its limit allows, in the order of asking.

        :param connection: The connection, which may have another limit than is published.
        :param group: Which requests the vendor counts together.
        """
        turns = self._turns_for(connection, group)
        if turns is None:
            while pause := await self._pause_over():  # noqa: ASYNC110
                await asyncio.sleep(random.random() * min(pause, LONGEST_SPREAD))  # noqa: S311
            return
        lock, limiter = turns
        # The lock keeps the order, in which the limiter alone lets newcomers push in.
        async with lock:
            await limiter.acquire()
            while await self._pause_over():
                # What was allowed before the pause came on top of what is allowed after it.
                await limiter.acquire()

    def is_free(self, connection: VendorConnection, group: str) -> bool:
        """
        Tell whether nobody has to wait for a turn.

        :param connection: The connection, which may have another limit than is published.
        :param group: Which requests the vendor counts together.
        """
        if self._paused_until > asyncio.get_running_loop().time():
            return False
        turns = self._turns_for(connection, group)
        return turns is None or (not turns[0].locked() and turns[1].has_capacity())

    def pause(self, response: Response) -> None:
        """
        Let nobody ask for as long as the vendor says with an answer, if it does.

        :param response: The answer.
        """
        seconds = response.retry_after
        if seconds is None and response.status == 429:
            seconds = FIRST_FAILURE_GAP
        if response.status >= 400 and seconds is not None:
            until = asyncio.get_running_loop().time() + min(seconds, LONGEST_RETRY_AFTER)
            self._paused_until = max(self._paused_until, until)

    async def _pause_over(self) -> float:
        """Sleep until the vendor's pause is over, and return how long that was."""
        left = self._paused_until - asyncio.get_running_loop().time()
        if left <= 0:
            return 0.0
        await asyncio.sleep(left)
        return left

    def _turns_for(self, connection: VendorConnection, group: str) -> tuple[asyncio.Lock, AsyncLimiter] | None:
        limit = connection.requests_per_minute or self._published
        if limit is None:
            return None
        # By the limit too: it may be changed in the connection while waits go on.
        turns = self._turns.get((group, limit))
        if turns is None:
            from aiolimiter import AsyncLimiter

            # What is allowed in a second at once, and no more: a burst and the minute after it must keep the limit.
            burst = max(1.0, limit / 60)
            turns = asyncio.Lock(), AsyncLimiter(burst, SPACING_MARGIN * burst * 60 / limit)
            self._turns[group, limit] = turns
        return turns


class Poller:
    """
    Ask a vendor over one connection on behalf of many waits.

    :param hook: The vendor's hook, which nobody else uses.
    :param allowance: What the vendor allows over this connection.
    """

    def __init__(self, hook: ImportProgressHook, allowance: Allowance) -> None:
        self.hook = hook
        self.waits = 0
        self._allowance = allowance
        self._listeners: Counter[Question] = Counter()
        self._news: dict[Question, News] = {}
        self._bells: dict[Question, asyncio.Event] = {}
        self._sharing: Sharing[Asked, Response] = Sharing()
        self._sent_at: dict[Asked, float] = {}

    async def open(self) -> None:
        """Keep the session from now on."""
        await self.hook.__aenter__()

    async def close(self) -> None:
        """Close the session."""
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

    def is_shared(self, question: Question) -> bool:
        """
        Tell whether more than one wait asks a question.

        :param question: The question.
        """
        return self._listeners[question] > 1

    def news(self, question: Question) -> News | None:
        """
        Return what came of a shared question last, if anything did.

        :param question: The question.
        """
        return self._news.get(question)

    async def more_news(self, question: Question) -> None:
        """
        Wait until something comes of a shared question.

        :param question: The question.
        """
        await self._bells.setdefault(question, asyncio.Event()).wait()

    # The sending --------------------------------------------------------------------------------------------

    async def send(
        self,
        session: aiohttp.ClientSession,
        connection: VendorConnection,
        request: Request,
        asked: Asked,
        since: float,
    ) -> Response:
        """
        Send a request when its turn has come, or share the answer with who is sending the same.

        :param session: The session.
        :param connection: The connection.
        :param request: The request.
        :param asked: What it asks.
        :param since: When what is shared must have been sent at the earliest, on the event loop's clock.
        """
        # An answer from before may tell of a time when there was nothing to wait for yet.
        while self._sent_at.get(asked, since) < since and await self._sharing.over(asked):
            pass
        is_expected = request.shared or self.is_shared(asked[0])
        return await self._sharing.share(
            asked,
            lambda: self._send_in_turn(session, connection, request, asked),
            # Whoever is alone and need not queue saves the task: that is most waits, most of the time.
            alone=not is_expected and self._allowance.is_free(connection, self.hook.rate_limit_group(request)),
        )

    async def _send_in_turn(
        self, session: aiohttp.ClientSession, connection: VendorConnection, request: Request, asked: Asked
    ) -> Response:
        await self._allowance.turn(connection, self.hook.rate_limit_group(request))
        sent_at = self._sent_at[asked] = asyncio.get_running_loop().time()
        outcome: Response | ImportProgressError
        try:
            outcome = self.hook.asking_to_wait(await asend(session, connection, request))
            self._allowance.pause(outcome)
        except ImportProgressError as error:
            outcome = error
        finally:
            # Unless another attempt has begun, because this one is wanted no more.
            if self._sent_at.get(asked) == sent_at:
                del self._sent_at[asked]
        news = News(asked, sent_at, outcome)
        question = asked[0]
        if self.is_shared(question):
            self._news[question] = news
            if bell := self._bells.pop(question, None):
                bell.set()
        return news.response()


class Watch:
    """
    One wait's view of an import, through the poller that all waits of this event loop on a connection share.

    Used in an ``async with`` block; the last one to leave closes the poller.

    :param hook_class: The vendor's hook.
    :param conn_id: The Airflow connection.
    :param import_: The import that is waited for.
    :param connection_is_known: Whether the connection is known to exist, because a worker has used it.
    """

    __slots__ = ("_connection_is_known", "_import", "_key", "_poller", "_question", "_since")

    _poller: Poller

    def __init__(
        self, hook_class: type[ImportProgressHook], conn_id: str, import_: Import, *, connection_is_known: bool = True
    ) -> None:
        self._key = hook_class, conn_id
        self._connection_is_known = connection_is_known
        self._import = import_
        self._question: Question | None = None
        self._since = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        pollers = _pollers.setdefault(loop, {})
        if self._key not in pollers:
            hook_class, conn_id = self._key
            allowance = _allowances.setdefault(loop, {}).setdefault(self._key, Allowance(hook_class))
            pollers[self._key] = Poller(hook_class(**{hook_class.conn_name_attr: conn_id}), allowance)
        self._poller = pollers[self._key]
        self._poller.waits += 1
        if self._connection_is_known:
            self._poller.hook.connection_is_known = True
        await self._poller.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._question is not None:
            self._poller.stop_listening(self._question)
        self._poller.waits -= 1
        if not self._poller.waits:
            del _pollers[asyncio.get_running_loop()][self._key]
            await self._poller.close()

    @property
    def hook(self) -> ImportProgressHook:
        """Return the hook that all waits of the poller share."""
        return self._poller.hook

    async def get_progress(self) -> ImportProgress:
        """
        Ask how far the import is, or take what another wait has heard since this one went to sleep.

        :raises ImportProgressError: as the hook's ``aget_progress``.
        """
        if self._question is None:
            self._question = question_of(await self._poller.hook.afirst_request(self._import))
            self._poller.listen(self._question)
        return await self._poller.hook.aget_progress_through(self._send, self._import)

    async def sleep(self, seconds: float) -> None:
        """
        Sleep until it is time to ask, or until another wait has heard of the same import.

        :param seconds: How long, at least if nobody has; up to a :data:`TICK` longer.
        """
        self._since = asyncio.get_running_loop().time()
        seconds = math.ceil((self._since + seconds) / TICK) * TICK - self._since
        if self._question is None or not self._poller.is_shared(self._question):
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_news(self._poller.news(self._question)):
                    await self._poller.more_news(self._question)

    async def _send(self, session: aiohttp.ClientSession, connection: VendorConnection, request: Request) -> Response:
        asked = asked_by(connection, request)
        news = self._poller.news(asked[0])
        # What another log-in was refused says nothing of this one.
        if self._is_news(news) and news.asked == asked:
            return news.response()
        return await self._poller.send(session, connection, request, asked, self._since)

    def _is_news(self, news: News | None) -> TypeGuard[News]:
        return news is not None and news.sent_at >= self._since


def question_of(request: Request) -> Question:
    """
    Return what a request asks, whoever asks it.

    :param request: The request.
    """
    # Most have only a path.
    rest = json.dumps([dict(request.params), request.json], sort_keys=True) if request.params or request.json else ""
    return request.method, request.path, rest


def asked_by(connection: VendorConnection, request: Request) -> Asked:
    """
    Return what a request asks, whom, and with which credentials.

    :param connection: The connection.
    :param request: The request, authenticated.
    """
    return question_of(request), connection.base_url, tuple(sorted(request.headers.items()))
