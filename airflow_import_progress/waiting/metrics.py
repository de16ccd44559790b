# SPDX-License-Identifier: Apache-2.0
"""
The metrics of starts, polls and waits, through Airflow's own ``Stats``.

Airflow decides whether and where they are sent: to StatsD, Datadog or OpenTelemetry. A metric never fails a wait, and
never blocks the event loop of the triggerer. ``docs/metrics.md`` lists them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import BoundedSemaphore
from typing import Any
from weakref import WeakKeyDictionary

from airflow_import_progress.compat import AirflowSensorTimeout, hostname, stats, team_name
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
    ImportStartRefusedError,
)
from airflow_import_progress.progress import ImportProgress

#: The beginning of all names.
PREFIX = "import_progress"
#: How long the first wait of a triggerer waits for Airflow's Stats, in seconds. They look up the address of a server.
LOAD_TIMEOUT = 5.0
#: Shortest gap between two values of a gauge, in seconds.
MIN_GAUGE_GAP = 10.0
#: Most metrics that wait to be sent in a thread. Further ones are dropped.
MAX_UNSENT = 1000
#: Longest part of a name: Airflow refuses names of more than 250 characters, and logs each of them.
MAX_NAME_PART = 80

log = logging.getLogger(__name__)


class Recorder:
    """Send metrics to Airflow's Stats, once these are loaded."""

    def __init__(self) -> None:
        self.is_loaded = False
        self.hostname = ""
        self._stats: Any = None
        self._has_tags = True
        self._has_logged = False
        #: Sends in place of the event loop, where sending may block. None: the caller sends.
        self._sender: ThreadPoolExecutor | None = None
        self._places = BoundedSemaphore(MAX_UNSENT)
        self._loading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[None]] = WeakKeyDictionary()

    def load(self, *, in_triggerer: bool = False) -> None:
        """
        Load Airflow's Stats, if that has not been done.

        :param in_triggerer: Whether this is the process of a triggerer. Default: that of a task.
        """
        if self.is_loaded:
            return
        try:
            has_tags = _are_tags_sent()
            if has_tags is not None:
                loaded = stats(in_triggerer=in_triggerer)
                self.hostname, self._has_tags = hostname(), has_tags
                # Sends nothing, but makes Airflow create its client and read its list of metrics. Twice, because
                # Airflow 3.2 first uses the client of the process that it was forked from.
                for _ in range(2):
                    loaded.timer(f"{PREFIX}.lag")
                if in_triggerer and _is_on("statsd_datadog_enabled"):
                    # Its client looks up the address of its server when it sends, again and again while that fails.
                    self._sender = ThreadPoolExecutor(1, "import_progress_metrics")
                self._stats = loaded
        except Exception as error:
            self._log_failure(error)
        self.is_loaded = True

    async def aload(self) -> None:
        """Load Airflow's Stats in a thread in the triggerer. Until they are loaded, metrics are dropped."""
        if self.is_loaded:
            return
        loop = asyncio.get_running_loop()
        if loop not in self._loading:
            self._loading[loop] = asyncio.ensure_future(asyncio.to_thread(self.load, in_triggerer=True))
        await asyncio.wait({self._loading[loop]}, timeout=LOAD_TIMEOUT)

    def record(self, method: str, name: str, value: Any, tags: dict[str, str], team: dict[str, str]) -> None:
        """
        Send one metric. Nothing is raised.

        :param method: ``incr``, ``gauge`` or ``timing``.
        :param name: The name, without the prefix.
        :param value: The value.
        :param tags: The tags. Where the configured StatsD drops them, their values are appended to the name.
        :param team: The tag of the task's team, which is never appended to the name.
        """
        if self._stats is None:
            return
        if self._sender is None:
            self._send(method, name, value, tags, team)
        elif self._places.acquire(blocking=False):
            sent = self._sender.submit(self._send, method, name, value, tags, team)
            sent.add_done_callback(lambda _: self._places.release())

    def _send(self, method: str, name: str, value: Any, tags: dict[str, str], team: dict[str, str]) -> None:
        try:
            send = getattr(self._stats, method)
            if self._has_tags:
                send(f"{PREFIX}.{name}", value, tags={**tags, **team})
            else:
                send(".".join([PREFIX, name, *map(_as_name_part, tags.values())]), value)
        except Exception as error:
            self._log_failure(error)

    def _log_failure(self, error: Exception) -> None:
        if not self._has_logged:
            self._has_logged = True
            log.warning(
                "A metric could not be sent (%s: %s). Imports are started and waited for all the same. Check [metrics] "
                "in Airflow's configuration. Further failures are not logged.",
                type(error).__name__,
                error,
            )


#: Of this process. Airflow's own Stats are global as well.
recorder = Recorder()


class Metrics:
    """
    Count what happens on one connection.

    :param vendor: The vendor, as in the type of its connections.
    :param conn_id: The Airflow connection.
    :param ti: The task instance whose start or wait it is. None: it is not about one task.
    """

    def __init__(self, vendor: str, conn_id: str, ti: Any = None) -> None:
        self._tags = {"vendor": _as_tag(vendor), "conn_id": _as_tag(conn_id)}
        self._team: dict[str, str] = {}
        with suppress(Exception):
            if team := team_name(ti):
                self._team["team_name"] = _as_tag(team)
        self._gauge_sent_at = -math.inf

    def on_poll(self, error: ImportProgressError | None = None) -> None:
        """
        Count a poll of a wait.

        :param error: Why it failed; None: it did not.
        """
        self._count("poll")
        if error is not None:
            self._count("poll_failed", kind=kind_of(error))

    def on_final_progress(self, progress: ImportProgress, wait_began_at: float, now: float) -> None:
        """
        Time how long it took until the end of an import was noticed, if the vendor reports when that was.

        :param progress: The final progress.
        :param wait_began_at: When the wait began, in seconds since the epoch. An import that ended before is not timed.
        :param now: The time, in seconds since the epoch.
        """
        if progress.finished_at is not None and (ended_at := progress.finished_at.timestamp()) >= wait_began_at:
            self._record("timing", "lag", timedelta(seconds=max(0.0, now - ended_at)))

    def on_end(self, error: Exception | None = None) -> None:
        """
        Count the end of a wait.

        :param error: The error that ended it; None: the import passed.
        """
        self._count(_outcome(error))

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Count the start in the block, if the vendor has answered it."""
        try:
            yield
        except ImportStartRefusedError:
            self._count("start_refused")
            raise
        except ImportFailedError as error:
            # It was started, and has failed at once.
            self.on_start()
            self.on_end(error)
            raise
        self.on_start()

    def on_start(self) -> None:
        """Count an import that was started."""
        self._count("start")

    def on_unknown_start(self) -> None:
        """Count a start after which it is unknown whether there is an import."""
        self._count("start_unknown")

    def on_pause(self, seconds: float, *, is_rate_limited: bool) -> None:
        """
        Count an answer that asks to wait.

        :param seconds: How much longer all waits pause because of it.
        :param is_rate_limited: Whether the answer is that the vendor gets too many requests.
        """
        if is_rate_limited:
            self._count("rate_limited")
        if whole_seconds := round(seconds):
            self._count("paused_seconds", whole_seconds)

    def on_waits(self, number: int) -> None:
        """
        Report the number of waits in this triggerer, at most every :data:`MIN_GAUGE_GAP` seconds unless it is 0.

        :param number: How many waits are under way on the connection.
        """
        now = time.monotonic()
        if number == 0 or now - self._gauge_sent_at >= MIN_GAUGE_GAP:
            self._gauge_sent_at = now
            self._record("gauge", "waits", number, hostname=_as_tag(recorder.hostname))

    def _count(self, name: str, number: int = 1, **tags: str) -> None:
        self._record("incr", name, number, **tags)

    def _record(self, method: str, name: str, value: Any, **tags: str) -> None:
        recorder.record(method, name, value, {**self._tags, **tags}, self._team)


class NoMetrics(Metrics):
    """Count nothing, for a wait outside of Airflow's tasks."""

    def __init__(self) -> None:
        super().__init__("", "")

    def _record(self, method: str, name: str, value: Any, **tags: str) -> None:
        pass


def kind_of(error: ImportProgressError) -> str:
    """
    Return the kind of a failed poll, for whoever is on call.

    :param error: Why it failed.
    """
    if error.rate_limited:
        return "rate_limit"
    if isinstance(error, ImportProtocolError):
        return "protocol"
    if isinstance(error, ImportRequestError):
        return "refused"
    if error.status is not None:
        return "unavailable"
    return "no_answer" if error.transient else "defect"


def _are_tags_sent() -> bool | None:
    """Return whether metrics are sent with their tags, which plain StatsD drops. None: Airflow sends no metrics."""
    if _is_on("statsd_datadog_enabled"):
        return _is_on("statsd_datadog_metrics_tags", default=True)
    if _is_on("statsd_on"):
        return _is_on("statsd_influxdb_enabled")
    return True if _is_on("otel_on") else None


def _is_on(option: str, *, default: bool = False) -> bool:
    from airflow.configuration import conf

    return bool(conf.getboolean("metrics", option, fallback=default))


def _outcome(error: Exception | None) -> str:
    match error:
        case None:
            return "passed"
        case AirflowSensorTimeout():
            return "timed_out"
        case ImportActionRequiredError():
            return "action_required"
        case ImportFailedError():
            return "failed"
    return "unknown"


def _as_tag(value: str) -> str:
    # Airflow drops a metric with another character, and logs each of them as an error.
    return re.sub(r"[^A-Za-z0-9_.-]", "_", str(value))


def _as_name_part(tag: str) -> str:
    # A dot separates the parts of a name.
    return tag.replace(".", "_")[:MAX_NAME_PART]
