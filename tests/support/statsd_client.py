# SPDX-License-Identifier: Apache-2.0
"""A StatsD client that reports where it is created. Needs the package statsd."""

from __future__ import annotations

import threading
import traceback
from typing import Any

from statsd import StatsClient

from airflow_import_progress.waiting import metrics


class ReportingStatsClient(StatsClient):
    """Print that a metric creates it on the main thread, since its constructor looks up the address of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Airflow creates its own ones on the main thread while it is imported.
        is_of_metrics = any(frame.filename == metrics.__file__ for frame in traceback.extract_stack())
        if is_of_metrics and threading.current_thread() is threading.main_thread():
            print("BLOCKED")
        super().__init__(*args, **kwargs)
