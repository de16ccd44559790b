# SPDX-License-Identifier: Apache-2.0
"""Listen to metrics: in place of Airflow's Stats, and as a StatsD server."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta


class RecordingStats:
    """Airflow's Stats, which keep the metrics in memory."""

    def __init__(self):
        #: The kind, the name without the prefix, the value and the tags of each metric.
        self.sent = []
        self.error = None

    def incr(self, stat, count=1, rate=1, *, tags=None):
        self._add("incr", stat, count, tags)

    def gauge(self, stat, value, rate=1, delta=False, *, tags=None):
        self._add("gauge", stat, value, tags)

    def timing(self, stat, dt, *, tags=None):
        assert isinstance(dt, timedelta)
        self._add("timing", stat, dt.total_seconds(), tags)

    def timer(self, stat=None, *args, tags=None, **kwargs):
        """Return nothing: no timer is started."""

    def _add(self, kind, stat, value, tags):
        if self.error:
            raise self.error
        assert stat.startswith("import_progress.")
        self.sent.append((kind, stat.removeprefix("import_progress."), value, tags))

    @property
    def counts(self):
        """The sums of the counters, by name."""
        sums = Counter()
        for kind, name, value, _ in self.sent:
            if kind == "incr":
                sums[name] += value
        return dict(sums)

    def values(self, name):
        """Return the values of one metric, in their order."""
        return [value for _, sent, value, _ in self.sent if sent == name]

    def tags(self, name):
        """Return the tags of one metric, which was sent once."""
        (tags,) = [tags for _, sent, _, tags in self.sent if sent == name]
        return tags


class StatsdListener:
    """
    A StatsD server that keeps what it receives.

    :param port: The UDP port on the loopback interface.
    """

    def __init__(self, port):
        self.port = port
        self.lines = []

    @property
    def counts(self):
        """The sums of the counters of this package, by name with tags."""
        sums = Counter()
        for line in self.lines:
            name, _, value = line.partition(":")
            if value.endswith("|c"):
                sums[name.removeprefix("airflow.import_progress.")] += float(value.removesuffix("|c"))
        return dict(sums)

    def gauges(self, name):
        """Return the values of a gauge in their order, by name with tags."""
        prefix = f"airflow.import_progress.{name}"
        found = {}
        for line in self.lines:
            stat, _, value = line.partition(":")
            if stat.startswith(prefix) and value.endswith("|g"):
                found.setdefault(stat.removeprefix("airflow.import_progress."), []).append(
                    float(value.removesuffix("|g"))
                )
        return found


@contextmanager
def listening():
    """Listen as a StatsD server on a free port of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        listener = StatsdListener(server.getsockname()[1])

        def listen():
            while data := server.recv(65536):
                listener.lines += [line for line in data.decode().split("\n") if "import_progress." in line]

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()
