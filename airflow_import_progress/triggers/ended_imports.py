# SPDX-License-Identifier: Apache-2.0
"""The record of a watcher: which imports it has reported, across restarts of the triggerer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from airflow_import_progress.compat.stored import aget_variable, aset_variable, asset_state_stores

#: The beginning of the key of a record in the asset state store of Airflow 3.3.
STATE_KEY_PREFIX = "airflow_import_progress.watcher."
#: The beginning of the names of Airflow Variables that hold records before Airflow 3.3.
VARIABLE_PREFIX = "import_progress_watcher_"
#: How many imports that the vendor no longer lists are kept, in case it lists them again.
MAX_UNLISTED = 1000


class EndedImports:
    """
    Read and write the identifiers of the imports that have ended, as far as a watcher has dealt with them.

    :param watcher: What distinguishes the watcher from others of the same asset, as plain JSON values.
    :param accessors: The attribute ``asset_state_store`` of the trigger; None before Airflow 3.3.
    :param trigger_id: The trigger, in Airflow's database.
    """

    def __init__(self, watcher: Mapping[str, Any], accessors: Any, trigger_id: Any) -> None:
        # Without those that are None, so that a later release can add an argument.
        self._watcher = {name: value for name, value in watcher.items() if value is not None}
        digest = _digest(json.dumps(self._watcher, sort_keys=True))
        # Airflow may run one trigger for several assets that have the same watcher.
        self._stores = asset_state_stores(accessors)
        # With the trigger, because two assets may have the same watcher but each its own trigger.
        self._key = f"{STATE_KEY_PREFIX}{digest}" if self._stores else f"{VARIABLE_PREFIX}{digest}_{trigger_id}"

    @property
    def stored_in(self) -> str:
        """Where the record is, for messages."""
        return f"{self._key!r} in the asset's state store" if self._stores else f"the Airflow Variable {self._key!r}"

    async def load(self, place: str) -> list[str] | None:
        """
        Return the identifiers, the oldest first, or None if the watcher has not begun.

        :param place: The place at the vendor. At another one than before, the watcher has not begun.
        :raises Exception: if they cannot be read.
        """
        if not self._stores:
            records = [await aget_variable(self._key)]
        else:
            records = [await store.aget(self._key) for store in self._stores]
        # The record of an asset that was added to a watcher later does not exist yet.
        found = [record["ended"] for record in records if record is not None and record.get("place") == _digest(place)]
        return [str(import_id) for ended in found for import_id in ended] if found else None

    async def save(self, place: str, ended: Iterable[str]) -> None:
        """
        Store the identifiers.

        :param place: The place at the vendor.
        :param ended: The identifiers, the oldest first.
        :raises Exception: if they cannot be stored.
        """
        record = {"watcher": self._watcher, "place": _digest(place), "ended": list(ended)}
        if not self._stores:
            words = "The imports that a watcher has reported, by airflow-provider-import-progress."
            await aset_variable(self._key, record, words)
        for store in self._stores:
            await store.aset(self._key, record)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def kept(ended: Iterable[str], listed: Iterable[str]) -> list[str]:
    """
    Return the identifiers to keep: those that the vendor lists, and the newest of the others.

    :param ended: The identifiers of imports that have ended, the oldest first.
    :param listed: The identifiers that the vendor lists.
    """
    ids, still_listed = list(dict.fromkeys(ended)), set(listed)
    unlisted = [import_id for import_id in ids if import_id not in still_listed]
    dropped = set(unlisted[:-MAX_UNLISTED])
    return [import_id for import_id in ids if import_id not in dropped]
