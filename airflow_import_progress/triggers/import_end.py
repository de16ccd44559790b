# SPDX-License-Identifier: Apache-2.0
"""The trigger of an asset's watcher: it fires for each import that ends, whoever started it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import TriggerEvent

from airflow_import_progress import clock
from airflow_import_progress.compat import BaseEventTrigger, has_asset_watchers
from airflow_import_progress.compat.streams import shares_streams, stream_producer
from airflow_import_progress.exceptions import ImportFailedError, ImportProgressError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.imports import ImportList, ListedImport
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.triggers.ended_imports import EndedImports, kept
from airflow_import_progress.waiting.listing import EVENT_GAP, Listing, listings
from airflow_import_progress.waiting.poller import PolledImport

#: Default of the longest gap between two polls, in seconds.
POKE_INTERVAL = 60.0
#: How long the poll of an import may take, with its turn in the rate limit, in seconds. Airflow 3.3 fails a trigger
#: that takes 300 s for an element of a shared stream.
MAX_POLL_TIME = 200.0
#: After how long no further import is polled before the next list, in seconds.
MAX_POLLS_TIME = 60.0
#: How often a watcher that has not begun polls an import in vain before it takes it for one that had ended.
MAX_BEGINNINGS = 3
#: How long the triggerer takes to store an event, in seconds. Airflow 3.3 and later report it instead.
STORE_TIME = 5.0
#: The errors of polls, none of which ends a watcher.
POLL_ERRORS = (ImportFailedError, ImportProgressError, TimeoutError)


class BaseImportEndTrigger(BaseEventTrigger):
    """
    Fire for each import that ends, for an ``AssetWatcher`` of Airflow 3.0 or later.

    The payload of an event is ``ImportProgress.to_dict()``. Imports that had ended before the watcher began are not
    reported. Each other one is reported once; twice if the triggerer is killed within some seconds after it.

    No error ends the watcher. It logs what is wrong, and polls go on.

    A vendor's module adds a subclass with :attr:`hook_class` and arguments that its users know.

    :param conn_id: The Airflow connection.
    :param import_list: The imports to watch.
    :param states: The states of the imports to report: ``"succeeded"``, ``"failed"`` and ``"cancelled"``. Default: only
        those that succeeded.
    :param poke_interval: The longest gap between two polls, in seconds. Default: 60.
    :raises RuntimeError: if this version of Airflow does not support watchers.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    #: The vendor's hook.
    hook_class: ClassVar[type[ImportProgressHook]]

    def __init__(
        self,
        *,
        conn_id: str,
        import_list: ImportList,
        states: Sequence[str] = (ImportState.SUCCEEDED.value,),
        poke_interval: float = POKE_INTERVAL,
    ) -> None:
        if not has_asset_watchers():
            raise RuntimeError(
                f"{type(self).__name__} needs Airflow 3.0 or later: earlier versions have no AssetWatcher."
            )
        super().__init__()  # type: ignore[no-untyped-call]
        final = [state.value for state in ImportState if state.is_final]
        if isinstance(states, str) or not states or not set(states) <= set(final):
            raise ValueError(f"states must be a list of one or more of {final}, not {states!r}")
        if isinstance(poke_interval, bool) or not isinstance(poke_interval, int | float) or poke_interval < 1:
            raise ValueError(f"poke_interval must be a number of seconds from 1, not {poke_interval!r}")
        self.conn_id = conn_id
        self.import_list = import_list
        # In one order, so that the same watcher in two DAG files is one trigger.
        self.states = [state for state in final if state in states]
        self.poke_interval = poke_interval
        #: The record as this process has stored it: the place and the imports.
        self._saved: tuple[str, tuple[str, ...]] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            self.hook_class.conn_name_attr: self.conn_id,
            **self.import_list.to_dict(),
            "states": self.states,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """Poll and yield an event for each import that ends. Since Airflow 3.3, watchers share the polls instead."""
        async with aclosing(self._unshared_listings()) as stream, aclosing(self.filter_shared_stream(stream)) as events:
            async for event in events:
                yield event

    async def _unshared_listings(self) -> AsyncGenerator[Listing, None]:
        async with aclosing(self._listings()) as stream:
            async for listing in stream:
                yield listing
                if listing.when_stored:
                    await clock.current.asleep(STORE_TIME)
                    await listing.stored()

    def shared_stream_key(self) -> Hashable | None:
        """Return what two watchers have in common that share the polls, or None before Airflow 3.3."""
        if not shares_streams():
            return None
        path, arguments = self.serialize()
        return path, json.dumps({name: value for name, value in arguments.items() if name != "states"}, sort_keys=True)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """
        Return the producer of the lists that watchers share.

        :param kwargs: The arguments of one of them.
        """
        return stream_producer(cls(**kwargs)._listings, Listing.stored)

    def _listings(self) -> AsyncGenerator[Listing, None]:
        return listings(self.hook_class, self.conn_id, self.import_list, self.poke_interval, self.log)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Listing]) -> AsyncGenerator[TriggerEvent, None]:
        """
        Yield an event for each import that has ended, unless it was reported before.

        :param shared_stream: What the vendor lists, again and again.
        """
        record = self._record()
        unreported = _Unreported()
        # The imports that are dealt with. None: the watcher has not begun, or its record was not read yet.
        ended: list[str] | None = None
        place: str | None = None
        beginnings = 0
        next_event_at = clock.current.loop_time()
        async for listing in shared_stream:
            if listing.place != place:
                if unreported:
                    self.log.warning(
                        "%s: the connection leads to another place. %d imports of the former one are not reported.",
                        self._subject,
                        len(unreported),
                    )
                place, ended, unreported, beginnings = listing.place, None, _Unreported(), 0
            unreported.update(listing, ended or ())
            if listing.is_outdated or (ended is not None and (place, tuple(ended)) == self._saved and not unreported):
                continue
            if clock.current.loop_time() < next_event_at:
                listing.is_unfinished = True
                continue
            try:
                # Each time, because another triggerer may have taken over this watcher while this one was stuck.
                stored = await record.load(place)
                if stored is None and ended is None:
                    unreported = _Unreported()
                    beginnings += 1
                    ended = await self._begin(listing, record, is_last_attempt=beginnings >= MAX_BEGINNINGS)
                    continue
            except POLL_ERRORS as error:
                self.log.warning("%s: the watcher begins after the next list. %s", self._subject, _in_words(error))
                continue
            except Exception as error:
                self._log_failure(error, "The imports that were reported are not known", record)
                continue
            continues = ended is None
            ended = list(dict.fromkeys([*(stored or ()), *(ended or ())]))
            unreported.update(listing, ended)
            if continues:
                # The triggerer that ran the watcher before may just have fired an event.
                next_event_at = clock.current.loop_time() + EVENT_GAP
                listing.is_unfinished = listing.is_unfinished or bool(unreported)
                continue
            give_up_at = asyncio.get_running_loop().time() + MAX_POLLS_TIME
            for listed in unreported.in_turn():
                progress = await self._final_progress(listed)
                if progress is None:
                    unreported.postpone(listed)
                else:
                    unreported.remove(listed)
                    ended.append(listed.import_.import_id)
                    if progress.state.value in self.states:
                        yield TriggerEvent(progress.to_dict())
                        # One at a time: Airflow starts no run for an event that arrives before the run of another one
                        # is created, but adds it to the run of the next event, whenever that is.
                        next_event_at = clock.current.loop_time() + EVENT_GAP
                        listing.is_unfinished = listing.is_unfinished or bool(unreported)
                        break
                if asyncio.get_running_loop().time() > give_up_at:
                    break
            ended = kept(ended, [listed.import_.import_id for listed in listing.imports])
            if ended == stored:
                self._saved = place, tuple(ended)
            else:
                listing.when_stored.append(partial(self._save, record, place, tuple(ended)))

    def _record(self) -> EndedImports:
        _, arguments = self.serialize()
        # Another interval is still the same watcher.
        del arguments["poke_interval"]
        watcher = {"vendor": self.hook_class.conn_type, **arguments}
        return EndedImports(watcher, getattr(self, "asset_state_store", None), self.trigger_id)

    async def _begin(self, listing: Listing, record: EndedImports, *, is_last_attempt: bool) -> list[str]:
        ended = [
            listed.import_.import_id
            for listed in listing.imports
            if await self._had_ended(listed, is_last_attempt=is_last_attempt)
        ]
        await record.save(listing.place, ended)
        self._saved = listing.place, tuple(ended)
        self.log.info(
            "%s: the watcher begins. %d of the listed imports had ended before, and are not reported.",
            self._subject,
            len(ended),
        )
        return ended

    async def _had_ended(self, listed: ListedImport, *, is_last_attempt: bool) -> bool:
        """Return whether an import had ended before the watcher began."""
        if listed.has_ended is not None:
            return listed.has_ended
        try:
            return (await self._poll(listed)).state.is_final
        except POLL_ERRORS as error:
            if not is_last_attempt or getattr(error, "status", None) in (401, 403):
                raise
            # One import that the vendor does not show must not keep the watcher from beginning.
            self.log.warning("%s is not watched: %s", listed.import_.describe(self.conn_id), _in_words(error))
            return True

    async def _save(self, record: EndedImports, place: str, ended: tuple[str, ...]) -> None:
        try:
            await record.save(place, ended)
            self._saved = place, ended
        except Exception as error:
            # They are stored after the next list, unless the triggerer ends before.
            self._log_failure(error, "The imports that were reported could not be stored", record)

    async def _final_progress(self, listed: ListedImport) -> ImportProgress | None:
        """Return the progress of an import that has ended, or None if it has not, or if that is not known yet."""
        subject = listed.import_.describe(self.conn_id)
        try:
            progress = listed.progress or await self._poll(listed)
        except POLL_ERRORS as error:
            self.log.warning("%s: polled again after the next list. %s", subject, _in_words(error))
            return None
        if not progress.state.is_final:
            return None
        self.log.info("%s has ended: %s", subject, progress)
        return progress

    async def _poll(self, listed: ListedImport) -> ImportProgress:
        async with (
            asyncio.timeout(MAX_POLL_TIME),
            PolledImport(self.hook_class, self.conn_id, listed.import_) as polled,
        ):
            return await polled.get_progress()

    @property
    def _subject(self) -> str:
        return self.import_list.describe(self.conn_id)

    def _log_failure(self, error: Exception, problem: str, record: EndedImports) -> None:
        self.log.error(
            "%s: %s, because of %s (%s: %s). It is tried again after the next list.",
            self._subject,
            problem,
            record.stored_in,
            type(error).__name__,
            error,
        )


def _in_words(error: Exception) -> str:
    return str(error) or "The poll took too long."


class _Unreported:
    """Keep the imports that may have ended until they are dealt with, also while the vendor lists others."""

    def __init__(self) -> None:
        self._imports: dict[str, ListedImport] = {}

    def __len__(self) -> int:
        return len(self._imports)

    def update(self, listing: Listing, ended: Sequence[str]) -> None:
        """Add those that a list has, and drop those that cannot be reported without it."""
        listed = {listed.import_.import_id: listed for listed in listing.imports}
        kept = {
            import_id: found
            for import_id, found in self._imports.items()
            if import_id in listed or found.progress is not None
        }
        known = set(ended)
        self._imports = {
            import_id: found
            for import_id, found in {**kept, **listed}.items()
            if found.has_ended is not False and import_id not in known
        }

    def in_turn(self) -> list[ListedImport]:
        """Return the imports, those that were postponed last."""
        return list(self._imports.values())

    def postpone(self, listed: ListedImport) -> None:
        """Move an import to the end."""
        self._imports[listed.import_.import_id] = self._imports.pop(listed.import_.import_id)

    def remove(self, listed: ListedImport) -> None:
        """Remove an import."""
        del self._imports[listed.import_.import_id]
