# SPDX-License-Identifier: Apache-2.0
"""Run the triggers of watchers as Airflow's triggerer does, on its own shared streams."""

from __future__ import annotations

import asyncio
import importlib
import json
from contextlib import suppress

from airflow_import_progress import clock
from tests.support.sensors import inflated


class Supervisor:
    """The supervisor of a triggerer, with Airflow's stores in memory."""

    def __init__(self):
        self.stored = {}
        #: The names of the messages that fail.
        self.refuses = ()

    async def asend(self, message):
        comms = importlib.import_module("airflow.sdk.execution_time.comms")
        errors = importlib.import_module("airflow.sdk.exceptions").ErrorType
        name = type(message).__name__
        if name.startswith(self.refuses):
            raise OSError("no API server")
        key = (getattr(message, "name", None), message.key)
        if name == "PutVariable":
            self.stored[key] = message.value
        elif name == "SetAssetStateStoreByName":
            self.stored[key] = json.dumps(message.value)
        elif name == "GetVariable":
            if key not in self.stored:
                return comms.ErrorResponse(error=errors.VARIABLE_NOT_FOUND)
            return comms.VariableResult(key=message.key, value=self.stored[key])
        elif name == "GetAssetStateStoreByName":
            if key not in self.stored:
                return comms.ErrorResponse(error=errors.ASSET_STORE_NOT_FOUND)
            return comms.AssetStateStoreResult(value=json.loads(self.stored[key]))
        else:
            raise AssertionError(f"the triggerer's supervisor gets no {name}")
        return None

    def send(self, message):
        """Take a secret to mask, as Airflow 3.0 sends it."""


class Triggerer:
    """
    A triggerer, which is killed at the end of its ``async with`` block.

    :param triggers: The triggers that are stored in Airflow's database.
    :param shared: Whether triggers share streams, as since Airflow 3.3.
    :param assets: The assets of all triggers.
    :param first_id: The id of the first trigger in Airflow's database.
    :param dies: Whether it dies when the first event is fired, before Airflow has stored it.
    """

    def __init__(self, *triggers, shared, assets=("imports",), first_id=0, dies=False):
        self.triggers = [inflated(*trigger.serialize()) for trigger in triggers]
        self.shared, self.assets, self.first_id, self.dies = shared, assets, first_id, dies
        #: The payloads of the events, by trigger.
        self.fired = [[] for _ in triggers]
        #: When they were fired, on the clock of the package.
        self.fired_at = []

    @property
    def import_ids(self):
        """The imports that were reported, by all triggers."""
        return [payload["import_id"] for payloads in self.fired for payload in payloads]

    async def __aenter__(self):
        if self.shared:
            self._streams = importlib.import_module("airflow.triggers.shared_stream").SharedStreamManager()
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(len(self.triggers))]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.shared:
            await self._streams.stop_all()

    async def until(self, condition):
        """Run until a condition is met, or fail if a trigger ends."""
        async with asyncio.timeout(20):
            while not condition():
                for task in self._tasks:
                    if task.done():
                        task.result()
                        raise AssertionError("a trigger has ended")
                await asyncio.sleep(0.001)

    async def _run(self, number):
        trigger, key = self.triggers[number], None
        trigger.trigger_id = self.first_id + number
        if self.shared:
            store = importlib.import_module("airflow.sdk.execution_time.context").AssetStateStoreAccessors
            asset = importlib.import_module("airflow.sdk").Asset
            trigger.asset_state_store = store(inlets=[asset(name=name) for name in self.assets])
            key = trigger.shared_stream_key()
            stream = self._streams.subscribe(trigger_id=number, trigger=trigger, key=key)
            events = trigger.filter_shared_stream(stream)
        else:
            events = trigger.run()
        try:
            async for event in events:
                self.fired_at.append(clock.current.time())
                self.fired[number].append(json.loads(json.dumps(event.payload)))
                if self.dies:
                    await asyncio.Event().wait()
                if self.shared:
                    seq = self._streams.bind_pending_event(trigger_id=number, key=key)
                    asyncio.get_running_loop().call_soon(self._streams.confirm_persisted, [seq])
        finally:
            with suppress(RuntimeError):
                await events.aclose()
            if self.shared:
                await self._streams.unsubscribe(number, key)
