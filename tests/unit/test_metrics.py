# SPDX-License-Identifier: Apache-2.0
"""The metrics: what is counted under which name, and that no metric disturbs a wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import SimpleNamespace

import pendulum
import pytest

from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.lucca import LuccaLeaveImport
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.http.rate_limit import MAX_RETRY_AFTER, RateLimit
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting import metrics as metrics_module
from airflow_import_progress.waiting.gate import Gate
from airflow_import_progress.waiting.metrics import MIN_GAUGE_GAP, Metrics, Recorder, kind_of
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from airflow_import_progress.waiting.wait import Wait
from tests.support.metrics import RecordingStats

START = 1_800_000_000.0
TAGS = {"vendor": "lucca", "conn_id": "lucca_default"}


@pytest.fixture
def wait(stats):
    now = SimpleNamespace(time=START)
    wait = Wait(
        import_=LuccaLeaveImport("3c90"),
        conn_id="lucca_default",
        rules=WaitRules(poke_interval=60, gate=Gate(max_failed_records=0)),
        state=WaitState(started_at=START, deadline=START + 3600),
        log=logging.getLogger(__name__),
        clock=lambda: now.time,
        metrics=Metrics("lucca", "lucca_default"),
    )
    wait.now = now
    return wait


def progress(state=ImportState.RUNNING, *, ended_after=None, failed=0):
    finished_at = None if ended_after is None else pendulum.from_timestamp(START + ended_after)
    return ImportProgress(import_id="3c90", state=state, failed=failed, finished_at=finished_at)


# What is counted ------------------------------------------------------------------------------------------


def test_each_poll_is_counted_with_its_vendor_and_connection(wait, stats):
    wait.on_progress(progress())
    assert stats.sent == [("incr", "poll", 1, TAGS)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ImportPollError("", transient=True, rate_limited=True, status=429), "rate_limit"),
        (ImportPollError("", transient=True, status=503), "unavailable"),
        (ImportPollError("", transient=True), "no_answer"),
        (ImportProtocolError("", transient=True), "protocol"),
        (ImportRequestError("", status=401), "refused"),
        (ImportRequestError(""), "refused"),
        (ImportProgressError(""), "defect"),
    ],
)
def test_a_failed_poll_has_a_kind(error, kind):
    assert kind_of(error) == kind


def test_a_failed_poll_is_a_poll_too(wait, stats):
    wait.on_error(ImportPollError("HTTP 503", transient=True, status=503))
    assert stats.sent == [("incr", "poll", 1, TAGS), ("incr", "poll_failed", 1, {**TAGS, "kind": "unavailable"})]


def test_an_import_that_passes_is_counted(wait, stats):
    assert wait.on_progress(progress(ImportState.SUCCEEDED)) is None
    wait.end()
    assert stats.counts == {"poll": 1, "passed": 1}


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ImportFailedError(), "failed"),
        (ImportActionRequiredError(), "action_required"),
        (AirflowSensorTimeout(), "timed_out"),
        (ImportPollError("gave up"), "unknown"),
        (ValueError("a defect"), "unknown"),
    ],
)
def test_a_wait_that_ends_without_passing_is_counted_once_by_its_outcome(wait, stats, error, name):
    wait.end(error)
    # As the trigger does, for waits that are cancelled.
    wait.end()
    assert stats.counts == {name: 1}


def test_a_wait_that_is_cancelled_has_no_outcome(wait, stats):
    wait.end()
    assert stats.sent == []


def test_the_time_from_the_vendors_end_to_the_gate_is_measured(wait, stats):
    wait.now.time = START + 50
    wait.on_progress(progress(ImportState.SUCCEEDED, ended_after=38))
    assert stats.values("lag") == [12]


def test_the_time_of_an_import_that_the_gate_refuses_is_measured_too(wait, stats):
    wait.now.time = START + 50
    with pytest.raises(ImportFailedError):
        wait.on_progress(progress(ImportState.SUCCEEDED, ended_after=38, failed=3))
    assert stats.values("lag") == [12]


def test_an_import_that_ended_before_the_wait_began_was_not_noticed_late(wait, stats):
    wait.on_progress(progress(ImportState.SUCCEEDED, ended_after=-3600))
    assert stats.values("lag") == []


def test_a_vendor_whose_clock_is_ahead_has_no_negative_lag(wait, stats):
    wait.on_progress(progress(ImportState.SUCCEEDED, ended_after=2))
    assert stats.values("lag") == [0]


def test_a_vendor_that_does_not_report_the_end_has_no_lag(wait, stats):
    wait.on_progress(progress(ImportState.SUCCEEDED))
    assert stats.values("lag") == []


def test_a_start_is_counted(stats):
    with Metrics("lucca", "lucca_default").starting():
        pass
    assert stats.sent == [("incr", "start", 1, TAGS)]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (ImportStartRefusedError(), {"start_refused": 1}),
        # It has been started.
        (ImportFailedError(), {"start": 1, "failed": 1}),
        # The vendor is searched first.
        (ImportStartUnknownError(), {}),
        (ImportPollError("", not_sent=True), {}),
    ],
)
def test_a_start_that_fails_is_counted_by_its_effect_at_the_vendor(stats, error, counts):
    with pytest.raises(type(error)), Metrics("lucca", "lucca_default").starting():
        raise error
    assert stats.counts == counts


def test_an_answer_that_asks_to_wait_is_counted_with_its_seconds(stats):
    metrics = Metrics("lucca", "lucca_default")
    metrics.on_pause(7.0, is_rate_limited=True)
    metrics.on_pause(20.0, is_rate_limited=False)
    metrics.on_pause(0.0, is_rate_limited=True)
    assert stats.counts == {"rate_limited": 2, "paused_seconds": 27}


async def test_a_pause_that_overlaps_with_another_one_adds_only_the_rest():
    limit = RateLimit(None)
    connection = VendorConnection(conn_id="c", base_url="https://vendor.example", password="k")

    def pause(seconds):
        answer = Response(
            status=429, headers={"retry-after": str(seconds)}, body=b"", request_line="GET https://vendor.example"
        )
        return round(limit.on_answer(answer, connection, "", sent_at=0.0, is_rate_limited=True))

    assert [pause(10), pause(4), pause(25), pause(10 * MAX_RETRY_AFTER)] == [10, 0, 15, MAX_RETRY_AFTER - 25]


def test_the_number_of_waits_is_sent_now_and_then_and_always_at_the_end(stats, monkeypatch):
    now = SimpleNamespace(time=0.0)
    monkeypatch.setattr(metrics_module, "time", SimpleNamespace(monotonic=lambda: now.time))
    metrics = Metrics("lucca", "lucca_default")
    for waits in (1, 2, 3):
        metrics.on_waits(waits)
    now.time = MIN_GAUGE_GAP
    for waits in (3, 2, 0):
        metrics.on_waits(waits)
    assert stats.values("waits") == [1, 3, 0]
    assert stats.sent[0] == ("gauge", "waits", 1, {**TAGS, "hostname": "worker-1"})


# Names and tags -------------------------------------------------------------------------------------------


def test_the_team_is_a_tag_where_airflow_reports_it(stats):
    ti = SimpleNamespace(stats_tags={"dag_id": "d", "task_id": "t", "team_name": "payroll"})
    Metrics("lucca", "lucca_default", ti).on_poll()
    assert stats.tags("poll") == {**TAGS, "team_name": "payroll"}


@pytest.mark.parametrize("ti", [None, SimpleNamespace(), SimpleNamespace(stats_tags={"dag_id": "d"})])
def test_a_task_instance_without_a_team_has_no_such_tag(stats, ti):
    Metrics("lucca", "lucca_default", ti).on_poll()
    assert stats.tags("poll") == TAGS


def test_a_task_instance_that_cannot_be_read_is_counted_without_its_team(stats):
    class Broken:
        @property
        def stats_tags(self):
            raise RuntimeError

    Metrics("lucca", "lucca_default", Broken()).on_poll()
    assert stats.tags("poll") == TAGS


def test_characters_that_airflow_refuses_are_replaced(stats):
    Metrics("lucca", "lucca é,prod=1").on_poll()
    assert stats.tags("poll")["conn_id"] == "lucca___prod_1"


def test_without_tags_their_values_are_appended_to_the_name(stats, monkeypatch):
    monkeypatch.setattr(metrics_module.recorder, "_has_tags", False)
    ti = SimpleNamespace(stats_tags={"team_name": "payroll"})
    Metrics("lucca", "lucca.prod", ti).on_poll(ImportPollError("", transient=True))
    assert stats.sent == [
        ("incr", "poll.lucca.lucca_prod", 1, None),
        ("incr", "poll_failed.lucca.lucca_prod.no_answer", 1, None),
    ]


def test_a_name_is_never_longer_than_airflow_allows(stats, monkeypatch):
    monkeypatch.setattr(metrics_module.recorder, "_has_tags", False)
    monkeypatch.setattr(metrics_module.recorder, "hostname", "h" * 253)
    Metrics("rocketchat", "c" * 250).on_waits(1)
    ((_, name, _, _),) = stats.sent
    assert len(f"airflow.import_progress.{name}") <= 250


@pytest.mark.parametrize(
    ("settings", "has_tags"),
    [
        ({}, None),
        ({"statsd_on": True}, False),
        ({"statsd_on": True, "statsd_influxdb_enabled": True}, True),
        ({"statsd_on": True, "statsd_datadog_enabled": True}, True),
        ({"statsd_datadog_enabled": True, "statsd_datadog_metrics_tags": False}, False),
        ({"otel_on": True}, True),
    ],
)
def test_tags_are_used_where_airflow_is_configured_to_send_them(monkeypatch, settings, has_tags):
    for name in (
        "statsd_on",
        "otel_on",
        "statsd_influxdb_enabled",
        "statsd_datadog_enabled",
        "statsd_datadog_metrics_tags",
    ):
        monkeypatch.delenv(f"AIRFLOW__METRICS__{name.upper()}", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", str(value))
    assert metrics_module._are_tags_sent() is has_tags


def test_where_airflow_sends_no_metrics_its_stats_are_not_loaded(monkeypatch):
    monkeypatch.setattr(metrics_module, "_are_tags_sent", lambda: None)
    monkeypatch.setattr(metrics_module, "stats", None)
    recorder = Recorder()
    recorder.load()
    recorder.record("incr", "poll", 1, TAGS, {})
    assert (recorder.is_loaded, recorder._has_logged) == (True, False)


# Never at the cost of a wait ------------------------------------------------------------------------------


def test_a_metric_that_cannot_be_sent_is_logged_once_and_never_raised(wait, stats, caplog):
    stats.error = OSError("network is unreachable")
    for _ in range(3):
        wait.on_progress(progress())
    assert wait.on_progress(progress(ImportState.SUCCEEDED)) is None
    (record,) = [record for record in caplog.records if record.name == metrics_module.__name__]
    assert "OSError: network is unreachable" in record.getMessage()


@pytest.fixture
def sends_metrics(monkeypatch):
    monkeypatch.setattr(metrics_module, "_are_tags_sent", lambda: True)


@pytest.mark.parametrize("error", [ImportError("no module"), AttributeError("no Stats"), RuntimeError("no config")])
@pytest.mark.usefixtures("sends_metrics")
def test_an_airflow_that_has_moved_its_stats_has_no_metrics_and_no_error(monkeypatch, error):
    def stats(*, in_triggerer):
        raise error

    monkeypatch.setattr(metrics_module, "stats", stats)
    recorder = Recorder()
    recorder.load()
    recorder.record("incr", "poll", 1, TAGS, {})
    assert recorder.is_loaded


def test_before_the_stats_are_loaded_metrics_are_dropped():
    Recorder().record("incr", "poll", 1, TAGS, {})


@pytest.mark.usefixtures("sends_metrics")
async def test_a_triggerer_loads_the_stats_off_its_event_loop_and_once(monkeypatch):
    threads, sent = [], RecordingStats()

    def stats(*, in_triggerer):
        assert in_triggerer
        threads.append(threading.current_thread())
        return sent

    monkeypatch.setattr(metrics_module, "stats", stats)
    recorder = Recorder()
    await asyncio.gather(*(recorder.aload() for _ in range(50)))
    (thread,) = threads
    assert thread is not threading.current_thread()
    recorder.record("incr", "poll", 1, TAGS, {})
    assert sent.counts == {"poll": 1}


@pytest.mark.usefixtures("sends_metrics")
async def test_the_client_of_datadog_does_not_send_on_the_event_loop_of_a_triggerer(monkeypatch):
    threads, is_sent, stats = [], threading.Event(), RecordingStats()

    def incr(*args, **kwargs):
        threads.append(threading.current_thread())
        is_sent.set()

    monkeypatch.setattr(stats, "incr", incr)
    monkeypatch.setattr(metrics_module, "stats", lambda *, in_triggerer: stats)
    monkeypatch.setattr(metrics_module, "_is_on", lambda option: option == "statsd_datadog_enabled")
    recorder = Recorder()
    await recorder.aload()
    recorder.record("incr", "poll", 1, TAGS, {})
    assert await asyncio.to_thread(is_sent.wait, 10)
    assert threads[0] is not threading.current_thread()


@pytest.mark.usefixtures("sends_metrics")
async def test_a_wait_does_not_wait_long_for_a_name_server(monkeypatch):
    answers = threading.Event()

    def stats(*, in_triggerer):
        answers.wait(timeout=60)
        return RecordingStats()

    monkeypatch.setattr(metrics_module, "stats", stats)
    monkeypatch.setattr(metrics_module, "LOAD_TIMEOUT", 0.01)
    recorder = Recorder()
    await recorder.aload()
    assert not recorder.is_loaded
    answers.set()
    monkeypatch.setattr(metrics_module, "LOAD_TIMEOUT", 60)
    await recorder.aload()
    assert recorder.is_loaded


@pytest.mark.usefixtures("sends_metrics")
def test_loading_creates_airflows_client_and_sends_nothing(monkeypatch):
    timers = []
    sent = SimpleNamespace(timer=lambda stat: timers.append(stat))
    monkeypatch.setattr(metrics_module, "stats", lambda in_triggerer: sent)
    Recorder().load()
    assert timers == ["import_progress.lag", "import_progress.lag"]


# OpenTelemetry --------------------------------------------------------------------------------------------


def test_airflows_opentelemetry_takes_all_names_values_and_tags(monkeypatch):
    otel_logger = _otel_logger()
    reader_module = pytest.importorskip("opentelemetry.sdk.metrics.export", reason="OpenTelemetry is not installed")
    from opentelemetry.sdk.metrics import MeterProvider

    reader = reader_module.InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics_module.recorder, "_stats", otel_logger.SafeOtelLogger(provider))
    monkeypatch.setattr(metrics_module.recorder, "_has_logged", False)
    metrics = Metrics("rocketchat", "rocketchat_default")
    metrics.on_poll(ImportPollError("", transient=True))
    metrics.on_final_progress(progress(ImportState.SUCCEEDED, ended_after=1), START, START + 3)
    metrics.on_waits(2)
    metrics.on_pause(5, is_rate_limited=True)
    metrics.on_unknown_start()
    for error in (None, ImportFailedError(), ImportActionRequiredError(), AirflowSensorTimeout(), ValueError()):
        metrics.on_end(error)
    with metrics.starting():
        pass
    with pytest.raises(ImportStartRefusedError), metrics.starting():
        raise ImportStartRefusedError
    (resource,) = reader.get_metrics_data().resource_metrics
    sent = {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
    names = {
        *("poll", "poll_failed", "rate_limited", "paused_seconds", "waits", "lag"),
        *("passed", "failed", "action_required", "timed_out", "unknown"),
        *("start", "start_refused", "start_unknown"),
    }
    assert set(sent) == {f"airflow.import_progress.{name}" for name in names}
    (point,) = sent["airflow.import_progress.poll_failed"].data.data_points
    assert (point.value, dict(point.attributes)) == (
        1,
        {"vendor": "rocketchat", "conn_id": "rocketchat_default", "kind": "no_answer"},
    )
    assert not metrics_module.recorder._has_logged


def _otel_logger():
    try:
        return pytest.importorskip("airflow._shared.observability.metrics.otel_logger")
    except pytest.skip.Exception:
        return pytest.importorskip("airflow.metrics.otel_logger", reason="OpenTelemetry is not installed")
