# SPDX-License-Identifier: Apache-2.0
"""The polls of a vendor's list of imports, for as long as a watcher runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from airflow_import_progress.exceptions import ImportFailedError, ImportProgressError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.imports import ImportList, ListedImport
from airflow_import_progress.waiting.metrics import Metrics, recorder
from airflow_import_progress.waiting.poller import PolledImportList
from airflow_import_progress.waiting.schedule import MAX_FAILURE_GAP, Schedule

#: Shortest gap between two events of a watcher, and between polls while it has more to report, in seconds.
EVENT_GAP = 10.0


class Listing:
    """
    Hold the imports that a vendor listed at one time.

    :param imports: The imports.
    :param place: The place at the vendor.
    """

    def __init__(self, imports: Sequence[ListedImport], place: str) -> None:
        self.imports = imports
        self.place = place
        #: Whether there is a newer list.
        self.is_outdated = False
        #: Whether a watcher has yet to report some of them.
        self.is_unfinished = False
        #: What watchers do once Airflow has stored the events that they made of this list.
        self.when_stored: list[Callable[[], Awaitable[None]]] = []

    async def stored(self) -> None:
        """Report that Airflow has stored all events."""
        for call in self.when_stored:
            await call()


async def listings(
    hook_class: type[ImportProgressHook], conn_id: str, import_list: ImportList, poke_interval: float, log: Any
) -> AsyncGenerator[Listing, None]:
    """
    Yield what a vendor lists, for ever. An error is logged, and polls go on.

    :param hook_class: The vendor's hook.
    :param conn_id: The Airflow connection.
    :param import_list: The imports.
    :param poke_interval: The longest gap between two polls, in seconds.
    :param log: Where to log.
    """
    await recorder.aload()
    metrics = Metrics(hook_class.conn_type, conn_id)
    schedule = Schedule(poke_interval=poke_interval)
    failures = 0
    listing: Listing | None = None
    async with PolledImportList(hook_class, conn_id, import_list, connection_is_known=False) as polled:
        while True:
            try:
                place, imports = await polled.get_imports()
            except (ImportFailedError, ImportProgressError) as error:
                failures += 1
                problem = error if isinstance(error, ImportProgressError) else ImportProgressError(str(error))
                metrics.on_poll(problem)
                gap = _gap_after(problem, failures, schedule)
                _log(problem, failures, gap, log)
            else:
                metrics.on_poll()
                if failures:
                    log.info("%s: polls get through again.", import_list.describe(conn_id))
                failures = 0
                if listing is not None:
                    listing.is_outdated = True
                listing = Listing(imports, place)
                yield listing
                gap = schedule.gap_after_progress(0.0)
                if gap > EVENT_GAP:
                    await polled.sleep(EVENT_GAP)
                    gap = 0.0 if listing.is_unfinished else gap - EVENT_GAP
            await polled.sleep(gap)


def _gap_after(error: ImportProgressError, failures: int, schedule: Schedule) -> float:
    if error.rate_limited:
        return schedule.gap_after_rate_limit(failures, 0.0, error.retry_after)
    if not error.transient:
        return MAX_FAILURE_GAP
    return schedule.gap_after_failure(failures, error.retry_after)


def _log(error: ImportProgressError, failures: int, gap: float, log: Any) -> None:
    if error.transient:
        log.warning("Poll failed (number %d in a row), next in %.0f s. %s", failures, gap, error)
    else:
        log.error("No import that ends is reported until this is corrected, next poll in %.0f s. %s", gap, error)
