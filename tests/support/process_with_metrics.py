# SPDX-License-Identifier: Apache-2.0
"""
Wait for an import in a process whose Stats are configured as Airflow does it: that of a task or of a triggerer.

Run as ``python -m tests.support.process_with_metrics task|triggerer <summary_id>``.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
import time

from tests.support.triggers import trigger_arguments


def initialize_stats(place: str) -> None:
    """Configure the Stats of a process, as its main function does since Airflow 3.2; earlier ones need no call."""
    if importlib.util.find_spec("airflow.observability") is None:
        return
    stats = importlib.import_module(f"{place}.stats")
    stats_utils = importlib.import_module(f"{place}.metrics.stats_utils")
    if hasattr(stats, "initialize"):
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
    else:
        stats.Stats.initialize(factory=stats_utils.get_stats_factory(stats.Stats))


def wait_in_task(summary_id: str) -> None:
    """Wait as on a worker."""
    from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor

    sensor = LuccaLeaveImportSensor(
        task_id="wait", summary_id=summary_id, deferrable=False, poke_interval=1, min_poke_interval=1
    )
    sensor.execute({})


async def wait_in_triggerer(summary_id: str) -> None:
    """Wait as in a triggerer, whose event loop runs in the main thread here."""
    from airflow_import_progress.triggers.import_progress import ImportProgressTrigger

    now = time.time()
    rules_and_state = trigger_arguments(
        started_at=now, deadline=now + 60, next_poll_at=now + 1, poke_interval=1, min_poke_interval=1
    )
    trigger = ImportProgressTrigger(
        import_class="airflow_import_progress.hooks.lucca.LuccaLeaveImport",
        import_fields={"summary_id": summary_id},
        hook_class="airflow_import_progress.hooks.lucca.LuccaHook",
        conn_id="lucca_default",
        **rules_and_state,
    )
    assert [event.payload["status"] async for event in trigger.run()] == ["success"]


def main(role: str, summary_id: str) -> None:
    """Wait for an import."""
    if role == "task":
        initialize_stats("airflow.sdk.observability")
        wait_in_task(summary_id)
    else:
        initialize_stats("airflow.observability")
        asyncio.run(wait_in_triggerer(summary_id))


if __name__ == "__main__":
    main(*sys.argv[1:])
