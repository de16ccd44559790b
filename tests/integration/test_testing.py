# SPDX-License-Identifier: Apache-2.0
"""The fixture ``import_sandbox`` for tests of DAGs: each vendor and mode, in virtual time, without a trace."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from airflow_import_progress import clock
from airflow_import_progress.compat import AirflowSensorTimeout, waits_without_workers
from airflow_import_progress.exceptions import ImportFailedError, ImportPollError
from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator
from airflow_import_progress.operators.rocketchat import RocketChatUserImportOperator
from airflow_import_progress.sandbox.leadsy import Leadsy
from airflow_import_progress.sandbox.lucca import Lucca
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from airflow_import_progress.testing import ImportSandbox
from airflow_import_progress.testing.virtual_clock import VirtualClock
from tests.support.behaviors import MODES

LEAVES = (
    b"legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    b"Lucca FR;M0029;Bart;Maud;1218;01/09/2025;AM;05/09/2025;PM;true\n"
)
AN_HOUR = 3600.0
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture
def import_sandbox():
    """The plugin's fixture, also where the installed metadata do not have its entry point yet."""
    with ImportSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def wait(import_sandbox, mode):
    """Return a function that waits for a leave import in each mode."""

    def wait(scripted, **arguments):
        sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=scripted.start(), **{**mode, **arguments})
        return import_sandbox.run(sensor)

    return wait


@pytest.fixture(autouse=True)
def at_once():
    """Fail a test that waits in real time."""
    began_at = time.monotonic()
    yield
    # Far less than an hour, even on a busy machine.
    assert time.monotonic() - began_at < 600


# Waits in virtual time


def test_an_import_takes_its_time_on_the_virtual_clock_alone(import_sandbox, wait):
    before = import_sandbox.clock.time()
    assert wait(import_sandbox.lucca.leave_import().takes(AN_HOUR))["state"] == "succeeded"
    assert AN_HOUR <= import_sandbox.clock.time() - before < AN_HOUR + 120


def test_an_import_fails_at_its_percentage(import_sandbox, wait):
    with pytest.raises(ImportFailedError):
        wait(import_sandbox.lucca.leave_import(fails_at=60))


def test_a_wait_for_an_import_that_never_ends_ends_with_its_timeout(import_sandbox, wait):
    before = import_sandbox.clock.time()
    with pytest.raises(AirflowSensorTimeout):
        wait(import_sandbox.lucca.leave_import().takes(10 * AN_HOUR), timeout=AN_HOUR)
    assert AN_HOUR <= import_sandbox.clock.time() - before < AN_HOUR + 120


def test_a_vendor_that_is_down_for_ever_ends_a_wait(import_sandbox, wait):
    scripted = import_sandbox.lucca.leave_import()
    import_sandbox.lucca.is_down()
    with pytest.raises(ImportPollError, match="10 polls in a row"):
        wait(scripted)


def test_a_vendor_that_is_down_for_ever_ends_a_patient_wait_with_its_timeout(import_sandbox, wait):
    scripted = import_sandbox.lucca.leave_import()
    import_sandbox.lucca.is_down()
    with pytest.raises(AirflowSensorTimeout, match="HTTP 503"):
        wait(scripted, silent_fail=True, timeout=AN_HOUR)


def test_a_vendor_that_is_down_for_a_while_ends_no_wait(import_sandbox, wait):
    scripted = import_sandbox.lucca.leave_import()
    import_sandbox.lucca.is_down(times=5)
    assert wait(scripted)["state"] == "succeeded"


def test_a_pause_that_a_vendor_asks_for_ends_with_the_deadline_of_the_wait(import_sandbox):
    summary_id = import_sandbox.lucca.leave_import().start()
    # The worker's poll gets through.
    import_sandbox.sandbox.add_fault({"delay": 0})
    import_sandbox.sandbox.add_fault({"status": 429, "headers": {"Retry-After": "3000"}})
    with pytest.raises(AirflowSensorTimeout, match="vendor asks to wait"):
        import_sandbox.run(LuccaLeaveImportSensor(task_id="wait", summary_id=summary_id, timeout=1200))


def test_the_rate_limit_of_a_connection_counts_virtual_time(import_sandbox, wait):
    import_sandbox.lucca.connect("lucca_slow", extra={"requests_per_minute": 0.5})
    before = import_sandbox.clock.time()
    wait(import_sandbox.lucca.leave_import(), lucca_conn_id="lucca_slow", poke_interval=20)
    assert import_sandbox.clock.time() - before >= 600


def test_waits_follow_each_other_on_one_clock(import_sandbox, wait):
    wait(import_sandbox.lucca.leave_import().takes(AN_HOUR))
    # Airflow's dates are those of the machine, an hour behind.
    assert wait(import_sandbox.lucca.leave_import().takes(600), timeout=900)["state"] == "succeeded"


# Each vendor


def test_an_import_of_user_locations_is_waited_for(import_sandbox, mode):
    summary_id = import_sandbox.lucca.user_location_import().start()
    sensor = LuccaUserLocationImportSensor(task_id="wait", summary_id=summary_id, **mode)
    assert import_sandbox.run(sensor)["import_id"] == summary_id


def test_an_import_of_leads_with_failed_records_is_refused(import_sandbox, mode):
    import_code = import_sandbox.leadsy.lead_import(records=500, failed_records=3).start()
    with pytest.raises(ImportFailedError, match="3 failed records"):
        import_sandbox.run(LeadsyImportSensor(task_id="wait", import_code=import_code, max_failed_records=2, **mode))


def test_an_import_of_vectors_is_waited_for(import_sandbox, mode):
    job_id = import_sandbox.zilliz.cloud_import().start()
    assert import_sandbox.run(ZillizImportSensor(task_id="wait", job_id=job_id, **mode))["import_id"] == job_id


def test_an_import_of_users_is_waited_for(import_sandbox, mode):
    import_sandbox.vendor("rocketchat").create("slack-users").start()
    assert import_sandbox.run(RocketChatImportSensor(task_id="wait", **mode))["state"] == "succeeded"


def test_a_method_is_named_for_each_kind_of_import(import_sandbox):
    assert import_sandbox.rocketchat.slack_users_import().start()


@pytest.mark.parametrize("name", ["acme", "luca"])
def test_an_unknown_vendor_is_an_error_that_names_the_others(import_sandbox, name):
    with pytest.raises(AttributeError, match="lucca, rocketchat, zilliz, leadsy"):
        import_sandbox.vendor(name)


def test_an_unknown_kind_is_an_error_that_names_the_others(import_sandbox):
    with pytest.raises(AttributeError, match="leave, user_location"):
        _ = import_sandbox.lucca.holiday_import


# Operators


def test_an_operator_starts_the_next_import(import_sandbox, mode):
    scripted = import_sandbox.lucca.leave_import()
    arguments = {name: value for name, value in mode.items() if not name.endswith("_from_trigger")}
    result = import_sandbox.run(LuccaLeaveImportOperator(task_id="import", file=LEAVES, **arguments))
    assert result["import_id"] == scripted.import_id


def test_an_operator_fails_with_the_import_that_it_starts(import_sandbox):
    import_sandbox.lucca.leave_import(fails_at=60)
    with pytest.raises(ImportFailedError):
        import_sandbox.run(LuccaLeaveImportOperator(task_id="import", file=LEAVES))


def test_an_operator_of_rocket_chat_recognises_its_import_on_the_virtual_clock(import_sandbox):
    import_sandbox.clock.sleep(AN_HOUR)
    import_sandbox.rocketchat.api_import().takes(3600)
    users = [{"importIds": ["7"], "username": "maud", "emails": ["maud@example.org"]}]
    operator = RocketChatUserImportOperator(task_id="import", users=users)
    assert import_sandbox.run(operator)["state"] == "succeeded"


def test_an_import_that_has_been_started_is_started_no_second_time(import_sandbox):
    scripted = import_sandbox.lucca.leave_import()
    scripted.start()
    with pytest.raises(RuntimeError, match="started already"):
        scripted.start()


# Its report at the end of a test


def defect_of(vendor_class, error, monkeypatch):
    """Let a simulated vendor raise an error for each request."""

    def is_authorized(vendor, request, credentials):
        raise error

    monkeypatch.setattr(vendor_class, "is_authorized", is_authorized)


def poll(hook, import_):
    with pytest.raises(ImportPollError, match="HTTP 500"):
        hook.get_progress(import_)


def test_the_exception_of_a_simulated_vendor_is_raised_at_the_end(import_sandbox, monkeypatch):
    defect = KeyError("the key of a dict")
    defect_of(Lucca, defect, monkeypatch)
    poll(LuccaHook(), LuccaLeaveImport("3c90"))
    with pytest.raises(KeyError) as caught:
        import_sandbox.report()
    assert caught.value is defect


def test_the_exceptions_of_simulated_vendors_are_raised_together(import_sandbox, monkeypatch):
    defects = KeyError("the key of a dict"), ValueError("a value")
    defect_of(Lucca, defects[0], monkeypatch)
    defect_of(Leadsy, defects[1], monkeypatch)
    poll(LuccaHook(), LuccaLeaveImport("3c90"))
    poll(LeadsyHook(), LeadsyImport("IMP-1"))
    with pytest.raises(ExceptionGroup) as caught:
        import_sandbox.report()
    assert caught.value.exceptions == defects


def test_an_import_that_nothing_starts_is_reported_at_the_end(import_sandbox):
    import_sandbox.lucca.leave_import(import_id="3c90").takes(AN_HOUR)
    with pytest.warns(pytest.PytestWarning, match=r"leave import '3c90' of lucca.*nothing has started it"):
        import_sandbox.report()


@pytest.mark.filterwarnings("error")
def test_nothing_is_reported_of_imports_that_were_started_or_are_forgotten(import_sandbox):
    import_sandbox.zilliz.cloud_import()
    import_sandbox.sandbox.reset()
    import_sandbox.lucca.leave_import()
    LuccaHook().start_leave_import(LEAVES)
    import_sandbox.lucca.leave_import().start()
    import_sandbox.report()


TESTS_WITHOUT_EFFECT = """
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.sandbox.lucca import Lucca

def test_never_started(import_sandbox):
    import_sandbox.lucca.leave_import(import_id="3c90")

def test_defect(import_sandbox, monkeypatch):
    def is_authorized(vendor, request, credentials):
        raise KeyError("a key that is missing")
    monkeypatch.setattr(Lucca, "is_authorized", is_authorized)
    try:
        LuccaHook().get_progress(LuccaLeaveImport("3c90"))
    except Exception:
        pass
"""


def test_the_fixture_reports_at_the_end_of_each_test(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS_WITHOUT_EFFECT)
    is_installed = any(it.value == "airflow_import_progress.testing" for it in entry_points(group="pytest11"))
    options = [] if is_installed else ["-p", "airflow_import_progress.testing"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    # Airflow 2 has warnings of its own.
    assert re.search(r"2 passed, \d+ warnings?, 1 error", done.stdout)
    assert "test_it.py::test_never_started\n" in done.stdout
    assert "leave import '3c90' of lucca, but nothing has started it" in done.stdout
    assert "ERROR at teardown of test_defect" in done.stdout
    assert 'raise KeyError("a key that is missing")' in done.stdout
    assert "The simulated vendor 'lucca' raised this in answer to GET " in done.stdout


# Its cost, and what it leaves


def test_it_leaves_neither_threads_nor_variables_nor_a_clock_nor_a_socket():
    before = (threading.enumerate(), dict(os.environ), clock.current)
    with ImportSandbox() as sandbox:
        address = sandbox.sandbox.host, sandbox.sandbox.port
        sandbox.lucca.connect("lucca_hr")
        summary_id = sandbox.lucca.leave_import().start()
        sandbox.run(LuccaLeaveImportSensor(task_id="wait", summary_id=summary_id, lucca_conn_id="lucca_hr"))
        assert "AIRFLOW_CONN_LUCCA_HR" in os.environ
    assert (threading.enumerate(), dict(os.environ), clock.current) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_a_connection_of_the_environment_is_restored(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LUCCA_DEFAULT", "lucca://mine")
    with ImportSandbox():
        assert os.environ["AIRFLOW_CONN_LUCCA_DEFAULT"] != "lucca://mine"
    assert os.environ["AIRFLOW_CONN_LUCCA_DEFAULT"] == "lucca://mine"


def test_the_plugin_imports_neither_airflow_nor_the_sandbox_until_it_is_used():
    program = "import sys, pytest; before = set(sys.modules); import airflow_import_progress.testing; "
    program += "print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "['airflow_import_progress', 'airflow_import_progress.testing']"


# Its clock


def test_a_wait_that_ends_in_the_triggerer_without_a_result_has_none(import_sandbox):
    arguments = {"end_from_trigger": True, "do_xcom_push": False} if waits_without_workers() else {"deferrable": True}
    summary_id = import_sandbox.lucca.leave_import().start()
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=summary_id, **arguments)
    progress = import_sandbox.run(sensor)
    assert progress is None if waits_without_workers() else progress["state"] == "succeeded"


def date_in_the_past():
    """Return a date of now, once it is over: a jump in the same microsecond would be neither before nor after it."""
    date = datetime.now(UTC)
    while datetime.now(UTC) <= date:
        pass
    return date


def test_a_date_of_airflow_is_translated_by_the_jumps_before_it():
    virtual = VirtualClock()
    first = date_in_the_past()
    virtual.sleep(60)
    second = date_in_the_past()
    virtual.sleep(60)
    assert virtual.time_of(first) == first.timestamp()
    assert virtual.time_of(second) == second.timestamp() + 60
    assert virtual.time_of(second + timedelta(hours=1)) == second.timestamp() + 3720


def test_a_timer_ends_a_sleep_that_jumps_over_it():
    virtual = VirtualClock()

    async def wait():
        async with asyncio.timeout(None) as timer:
            virtual.expire(timer, 30)
            await virtual.asleep(29)
            await virtual.asleep(2)
            pytest.fail("the sleep was not ended")

    with pytest.raises(TimeoutError):
        asyncio.run(wait())


def test_the_timer_of_a_wait_that_has_ended_ends_nothing():
    virtual = VirtualClock()

    async def wait():
        async with asyncio.timeout(None) as timer:
            virtual.expire(timer, 30)
            await virtual.asleep(1)
        await virtual.asleep(60)
        return timer

    asyncio.run(wait())
