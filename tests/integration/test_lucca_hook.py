# SPDX-License-Identifier: Apache-2.0
"""The hook against the sandbox; each behaviour is the same whether it is awaited or not."""

from __future__ import annotations

import asyncio
import gc
import ssl
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks import lucca
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport, LuccaUserLocationImport
from airflow_import_progress.http import connection_cache, conversation
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors.lucca import LuccaUserLocationImportSensor
from tests.support.http_server import serving
from tests.support.sandbox_client import API_KEY

LEAVES_PATH = "/timmi-absences/api/imports/v1.0/leavePeriods"
LEAVES_CSV = (
    b"legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    b"ACME;12;Lovelace;Ada;1;01/06/2026;AM;05/06/2026;PM;true\n"
)


def requests_hook(import_):
    return LuccaHook().get_progress(import_)


def aiohttp_hook(import_):
    return asyncio.run(LuccaHook().aget_progress(import_))


@pytest.fixture(params=[requests_hook, aiohttp_hook])
def get_progress(request):
    return request.param


@pytest.mark.parametrize(
    ("answer", "state"),
    [(0, ImportState.PENDING), (57, ImportState.RUNNING), (100, ImportState.SUCCEEDED), (-1, ImportState.FAILED)],
)
def test_tells_how_far_a_leave_import_is(leave_import, get_progress, answer, state):
    assert get_progress(LuccaLeaveImport(leave_import(answer))).state is state


def test_sends_exactly_the_documented_header(sandbox, leave_import, get_progress):
    get_progress(LuccaLeaveImport(leave_import(57)))
    (asked,) = sandbox.requests()
    assert asked["authorized"]
    assert asked["headers"]["Authorization"] == "lucca application=***"


def test_reads_the_results_of_user_locations_in_the_same_poll(sandbox, get_progress):
    results = {
        "userLocationsCreatedSummary": {"count": 1},
        "userLocationsDeletedSummary": {"count": 0},
        "errorLines": [{"lineNumber": 3, "error": "User doesn't exist"}],
    }
    import_id = sandbox.create_import("lucca", "user_location", {"answers": [{"progress": 100}], "results": results})
    progress = get_progress(LuccaUserLocationImport(import_id, check_results=True))
    assert (progress.failed, progress.total) == (1, 2)
    assert [asked["path"].rpartition("/")[2] for asked in sandbox.requests()] == ["progress", "results"]


def test_a_hostile_identifier_reaches_the_vendor_as_an_identifier(sandbox, get_progress):
    with pytest.raises(ImportRequestError):
        get_progress(LuccaLeaveImport("../../x?y#z"))
    assert sandbox.requests()[-1]["path"] == f"{LEAVES_PATH}/..%2F..%2Fx%3Fy%23z/progress"


def test_a_wrong_key_says_so_without_the_key(connect, leave_import, get_progress):
    import_id = leave_import(57)
    connect(password="wrong-key-77")
    with pytest.raises(ImportRequestError, match=r"HTTP 401 Unauthorized.*did not accept the API key") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert "wrong-key-77" not in str(caught.value)
    assert import_id in str(caught.value)
    assert "'lucca_default'" in str(caught.value)


def test_a_vendor_that_repeats_the_key_does_not_spread_it(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    sandbox.add_fault({"status": 400, "body": f'{{"Message": "bad key {API_KEY}"}}'})
    with pytest.raises(ImportRequestError, match=r"bad key \*\*\*"):
        get_progress(LuccaLeaveImport(import_id))


def test_an_unknown_import_is_refused_with_advice(sandbox, get_progress):
    with pytest.raises(ImportRequestError, match=r"HTTP 404 Not Found.*check summary_id"):
        get_progress(LuccaLeaveImport("3c90c3cc"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_fault_that_may_pass_is_transient_and_carries_retry_after(sandbox, leave_import, get_progress, status):
    import_id = leave_import(57)
    sandbox.add_fault({"status": status, "headers": {"Retry-After": "17"}})
    with pytest.raises(ImportPollError, match=f"HTTP {status}") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert (caught.value.transient, caught.value.retry_after) == (True, 17.0)
    assert caught.value.rate_limited == (status == 429)


def test_a_reset_connection_is_transient(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    # More than once, because aiohttp itself asks again once after a reset.
    sandbox.add_fault({"reset": True}, times=3)
    with pytest.raises(ImportPollError, match="broke before the answer was complete") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert caught.value.transient


def test_a_refused_connection_is_transient(connect, get_progress):
    with Sandbox() as gone:
        port = gone.port
    connect(port=port)
    with pytest.raises(ImportPollError, match="the connection was refused") as caught:
        get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_a_host_that_does_not_resolve_is_transient_and_says_what_to_check(connect, get_progress):
    connect(host="no-such-host.invalid", port=None)
    with pytest.raises(ImportPollError, match=r"could not be resolved.*check the connection's host") as caught:
        get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_a_host_that_speaks_no_tls_is_transient(connect, sandbox, get_progress):
    connect(schema="https")
    with pytest.raises(ImportPollError) as caught:
        get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_an_answer_that_takes_too_long_is_transient(connect, sandbox, leave_import, get_progress):
    connect(extra={"timeout": 0.2})
    import_id = leave_import(57)
    sandbox.add_fault({"delay": 30})
    with pytest.raises(ImportPollError, match=r"took longer than 0\.2 s") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert caught.value.transient


def test_an_answer_that_never_ends_is_given_up(connect, sandbox, leave_import, get_progress):
    connect(extra={"timeout": 0.5})
    import_id = leave_import(57)
    sandbox.add_fault({"endless": True})
    with pytest.raises(ImportProgressError):
        get_progress(LuccaLeaveImport(import_id))


def test_an_answer_that_is_too_large_is_given_up(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    sandbox.add_fault({"bytes": 5_000_000})
    with pytest.raises(ImportProtocolError, match="more than the limit of 1,048,576 bytes"):
        get_progress(LuccaLeaveImport(import_id))


@pytest.fixture
def long_results(sandbox, monkeypatch):
    """Return an import that is done, whose results are longer than what is read."""
    monkeypatch.setattr(lucca, "MAX_RESULTS_BYTES", 1000)
    import_id = sandbox.create_import("lucca", "user_location", {"duration": 0})
    sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
    sandbox.add_fault({"bytes": 100_000}, import_id=import_id, times=None)
    return import_id


def test_results_that_are_too_long_do_not_fail_a_good_import(long_results, get_progress):
    progress = get_progress(LuccaUserLocationImport(long_results, check_results=True))
    assert (progress.state, progress.failed) == (ImportState.SUCCEEDED, None)
    assert "longer than" in progress.warning


@pytest.mark.parametrize("limit", [{"max_failed_records": 5}, {"min_success_rate": 90}, {"min_records": 1}])
def test_results_that_are_too_long_fail_a_limit_and_name_a_way_out(long_results, run_sensor, sandbox, limit):
    with pytest.raises(ImportFailedError, match=r"reports no count.*results are longer than.*set check_results=False"):
        run_sensor(LuccaUserLocationImportSensor, summary_id=long_results, check_results=True, **limit)


def test_long_answers_are_parsed_off_the_event_loop(sandbox, monkeypatch):
    threads = []

    def parsed_or_none(self):
        threads.append(threading.current_thread())

    monkeypatch.setattr(Response, "parsed_or_none", parsed_or_none)
    monkeypatch.setattr(conversation, "MAX_ANSWER_BYTES", 1)
    import_id = sandbox.create_import("lucca", "leave", {"answers": [57]})
    assert asyncio.run(LuccaHook().aget_progress(LuccaLeaveImport(import_id))).percent == 57
    assert threads
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("fault", [{"body": "<html>maintenance</html>"}, {"deep": 100_000}])
def test_an_answer_that_is_not_json_may_pass(sandbox, leave_import, get_progress, fault):
    import_id = leave_import(57)
    sandbox.add_fault(fault)
    with pytest.raises(ImportProtocolError, match="not JSON") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert caught.value.transient


@pytest.mark.parametrize("status", [401, 502])
def test_an_error_page_may_be_as_long_as_it_likes(sandbox, leave_import, get_progress, status):
    import_id = leave_import(57)
    sandbox.add_fault({"status": status, "body": "x" * 2_000_000})
    with pytest.raises(ImportProgressError, match=f"HTTP {status}") as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert caught.value.transient == (status == 502)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_packed_all_the_same_is_unpacked(sandbox, leave_import, get_progress, packed, encoding):
    with packed(encoding, b"57") as connected:
        connected()
        assert get_progress(LuccaLeaveImport("3c90")).percent == 57


def test_a_small_body_that_unpacks_into_a_large_one_is_given_up(get_progress, packed):
    with packed("gzip", b"1" * 50_000_000) as connected:
        connected()
        with pytest.raises(ImportProtocolError, match="more than the limit of 1,048,576 bytes"):
            get_progress(LuccaLeaveImport("3c90"))


def test_an_unknown_encoding_may_pass(get_progress, packed):
    with packed("br", b"57") as connected:
        connected()
        with pytest.raises(ImportProtocolError, match="encoding 'br'") as caught:
            get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_long_headers_are_read(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    headers = {"Content-Security-Policy": "x" * 20_000}
    sandbox.add_fault({"status": 200, "headers": headers, "body": "57"}, import_id=import_id)
    assert get_progress(LuccaLeaveImport(import_id)).percent == 57


@pytest.mark.parametrize("location", ["http://[bad", "//"])
def test_a_redirect_to_nowhere_is_refused_like_any_other(sandbox, leave_import, get_progress, location):
    import_id = leave_import(57)
    sandbox.add_fault({"status": 302, "headers": {"Location": location}})
    with pytest.raises(ImportRequestError, match="Redirects are not followed"):
        get_progress(LuccaLeaveImport(import_id))


def test_tls_is_verified(get_progress, tls_server):
    tls_server()
    with pytest.raises(ImportRequestError, match="certificate is not signed by an authority that is trusted") as caught:
        get_progress(LuccaLeaveImport("3c90"))
    assert not caught.value.transient


def test_tls_is_verified_by_the_connections_own_certificates(get_progress, tls_server):
    tls_server(verify=tls_server.certificate)
    assert get_progress(LuccaLeaveImport("3c90")).percent == 57


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_tls_is_not_verified_if_the_connection_says_so(get_progress, tls_server):
    tls_server(verify=False)
    assert get_progress(LuccaLeaveImport("3c90")).percent == 57


def test_a_secret_in_a_progress_does_not_travel(sandbox, get_progress):
    results = {
        "globalErrorSummary": f"refused for {API_KEY}",
        "errorLines": [{"lineNumber": 3, "error": f"no right for {API_KEY}"}],
        "errorFileUri": f"https://files.example/{API_KEY}",
    }
    import_id = sandbox.create_import("lucca", "user_location", {"answers": [{"progress": 100}], "results": results})
    progress = get_progress(LuccaUserLocationImport(import_id, check_results=True))
    assert API_KEY not in str(progress.to_dict())
    assert progress.details["error_file"] == "https://files.example/***"


def test_half_a_secret_at_the_end_of_an_excerpt_is_none(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    for length in range(260, 310, 10):
        sandbox.add_fault({"status": 400, "body": "x" * length + API_KEY}, import_id=import_id)
        with pytest.raises(ImportRequestError) as caught:
            get_progress(LuccaLeaveImport(import_id))
        assert API_KEY[:8] not in str(caught.value)


def test_an_errors_cause_is_not_shown(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    sandbox.add_fault({"reset": True}, times=3)
    with pytest.raises(ImportPollError) as caught:
        get_progress(LuccaLeaveImport(import_id))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_exception_that_the_caller_was_handling_is_no_cause(connect, get_progress):
    with Sandbox() as gone:
        port = gone.port
    connect(port=port)
    try:
        raise ssl.SSLCertVerificationError("the caller's own trouble")  # noqa: TRY301
    except ssl.SSLCertVerificationError:
        with pytest.raises(ImportPollError, match="refused"):
            get_progress(LuccaLeaveImport("3c90"))


def test_no_cookies_are_kept(sandbox, leave_import):
    import_id = leave_import(57)
    import_ = LuccaLeaveImport(import_id)
    cookie = {"status": 200, "headers": {"Set-Cookie": "session=abc"}, "body": "57"}

    async def poll_twice():
        async with LuccaHook() as hook:
            await hook.aget_progress(import_)
            await hook.aget_progress(import_)

    sandbox.add_fault(cookie, import_id=import_id, times=None)
    with LuccaHook() as hook:
        hook.get_progress(import_)
        hook.get_progress(import_)
    asyncio.run(poll_twice())
    assert len(sandbox.requests(import_id)) == 4
    assert all("Cookie" not in asked["headers"] for asked in sandbox.requests(import_id))


def test_a_key_that_was_replaced_in_airflow_is_looked_up_again(connect, sandbox, leave_import):
    import_ = LuccaLeaveImport(leave_import(57))
    with LuccaHook() as hook:
        hook.get_progress(import_)
        sandbox.set_credentials("lucca", api_key="the-new-key")
        connect(password="the-new-key")
        assert hook.get_progress(import_).percent == 57


async def test_a_key_that_was_replaced_in_airflow_is_looked_up_again_on_the_event_loop(connect, sandbox, leave_import):
    import_ = LuccaLeaveImport(leave_import(57))
    async with LuccaHook() as hook:
        await hook.aget_progress(import_)
        sandbox.set_credentials("lucca", api_key="the-new-key")
        connect(password="the-new-key")
        assert (await hook.aget_progress(import_)).percent == 57


def test_a_redirect_is_not_followed(sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    with Sandbox() as other:
        sandbox.add_fault({"redirect": f"{other.url}/stolen"})
        with pytest.raises(ImportRequestError, match="Redirects are not followed"):
            get_progress(LuccaLeaveImport(import_id))
        assert other.requests() == []


def test_the_environments_proxy_and_netrc_are_not_used(sandbox, leave_import, get_progress, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text(f"machine {sandbox.host} login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert get_progress(LuccaLeaveImport(leave_import(57))).percent == 57


def test_the_connections_proxy_is_used(connect, sandbox, leave_import, get_progress):
    import_id = leave_import(57)
    with Sandbox() as gone:
        port = gone.port
    connect(extra={"proxy": f"http://127.0.0.1:{port}"})
    with pytest.raises(ImportPollError):
        get_progress(LuccaLeaveImport(import_id))
    assert sandbox.requests(import_id) == []


def test_a_proxy_that_demands_other_credentials_says_so(connect, get_progress):
    with serving(({}, b"")) as port:
        connect(
            host="acme.ilucca.net", port=None, schema="https", extra={"proxy": f"http://u:hunter2@127.0.0.1:{port}"}
        )
        with pytest.raises(ImportRequestError, match=r"HTTP 407\). It demands other credentials") as caught:
            get_progress(LuccaLeaveImport("3c90"))
    assert "hunter2" not in str(caught.value)


def test_starts_a_leave_import_by_multipart_upload(sandbox):
    response = LuccaHook().request(
        "POST",
        LEAVES_PATH,
        params={"create": "true", "async": "true"},
        files={"file": ("leaves.csv", LEAVES_CSV, "text/csv")},
    )
    answer = response.json()
    assert answer["hasError"] is False
    assert LuccaHook().get_progress(LuccaLeaveImport(answer["summaryId"])).state is ImportState.PENDING


async def test_starts_a_leave_import_by_multipart_upload_when_awaited(sandbox):
    response = await LuccaHook().arequest(
        "POST",
        LEAVES_PATH,
        params={"create": "true", "async": "true"},
        files={"file": ("leaves.csv", LEAVES_CSV, "text/csv")},
    )
    assert response.json()["hasError"] is False


def test_a_request_that_fails_is_sent_once(sandbox):
    sandbox.add_fault({"status": 503})
    with pytest.raises(ImportPollError):
        LuccaHook().request("POST", LEAVES_PATH, files={"file": ("leaves.csv", LEAVES_CSV, "text/csv")})
    assert len(sandbox.requests()) == 1


async def test_one_session_serves_an_async_with_block(leave_import):
    import_ = LuccaLeaveImport(leave_import(10, 20))
    async with LuccaHook() as hook:
        await hook.aget_progress(import_)
        await hook.aget_progress(import_)
        (session,) = hook._async_sessions._kept.values()
    assert session.closed


async def test_no_session_is_left_open_without_a_block(leave_import):
    await LuccaHook().aget_progress(LuccaLeaveImport(leave_import(10)))
    gc.collect()


async def test_polls_do_not_disturb_each_other(sandbox, leave_import):
    ids = [leave_import(n) for n in range(1, 40)]
    async with LuccaHook() as hook:
        polled = await asyncio.gather(*(hook.aget_progress(LuccaLeaveImport(import_id)) for import_id in ids))
    assert [progress.percent for progress in polled] == list(range(1, 40))


def test_the_connection_test_says_what_it_verified(sandbox):
    verified, words = LuccaHook().test_connection()
    assert verified
    assert words.endswith("accepted the API key for leave imports and user location imports.")


def test_the_connection_test_notices_a_right_that_is_missing(sandbox):
    sandbox.add_fault({"status": 403, "body": '{"Status": 403, "Message": "Forbidden"}'})
    verified, words = LuccaHook().test_connection()
    assert verified
    assert "for user location imports, but not for leave imports (HTTP 403)" in words


def test_the_connection_test_is_not_fooled_by_any_web_server(sandbox):
    sandbox.add_fault({"status": 404, "body": "<h1>Not found</h1>"}, times=2)
    verified, words = LuccaHook().test_connection()
    assert not verified
    assert "Check that the connection's host is your Lucca account's" in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "did not accept the API key"),
        ({"password": ""}, "Enter the Lucca API key"),
        ({"host": ""}, "no host"),
        ({"conn_type": "http"}, "not 'lucca'"),
    ],
)
def test_the_connection_test_says_what_is_wrong(connect, fields, words):
    connect(**fields)
    verified, said = LuccaHook().test_connection()
    assert not verified
    assert words in said
    # Behind the button the connection has an id that Airflow made up.
    assert "lucca_default" not in said


# A connection that is used for long


@pytest.fixture
def later(monkeypatch):
    """Return a function that lets a connection grow old."""
    past = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(connection_cache, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + past.seconds))

    def later():
        past.seconds += connection_cache.CONNECTION_LIFETIME + 1

    return later


@pytest.fixture(params=["requests", "aiohttp"])
def poll_twice(request, leave_import):
    """Return a function that polls with one hook before and after something, by each of the transports."""

    def poll_twice(meanwhile):
        import_ = LuccaLeaveImport(leave_import(10, 20))
        poll_twice.import_id = import_.summary_id

        async def with_aiohttp():
            async with LuccaHook() as hook:
                with suppress(ImportPollError):
                    await hook.aget_progress(import_)
                meanwhile()
                return await hook.aget_progress(import_)

        if request.param == "aiohttp":
            return asyncio.run(with_aiohttp()).percent
        with LuccaHook() as hook:
            with suppress(ImportPollError):
                hook.get_progress(import_)
            meanwhile()
            return hook.get_progress(import_).percent

    return poll_twice


def test_a_key_that_was_replaced_in_airflow_counts_after_a_while(sandbox, connect, poll_twice, later):
    def replace_key():
        sandbox.set_credentials("lucca", api_key="the-new-key")
        connect(password="the-new-key")
        later()

    assert poll_twice(replace_key) == 20
    assert [asked["status"] for asked in sandbox.requests(poll_twice.import_id)] == [200, 200]


def test_a_key_that_was_replaced_before_any_poll_got_through_is_looked_up_again(sandbox, connect, poll_twice):
    sandbox.add_fault({"status": 503})

    def replace_key():
        sandbox.set_credentials("lucca", api_key="the-new-key")
        connect(password="the-new-key")

    assert poll_twice(replace_key) == 10
    assert [asked["status"] for asked in sandbox.requests(poll_twice.import_id)] == [503, 401, 200]


def test_a_refused_key_that_is_still_the_same_in_airflow_is_not_sent_again(sandbox, poll_twice):
    with pytest.raises(ImportRequestError, match="did not accept the API key"):
        poll_twice(lambda: sandbox.set_credentials("lucca", api_key="the-new-key"))
    assert [asked["status"] for asked in sandbox.requests(poll_twice.import_id)] == [200, 401]


def test_a_time_limit_that_was_changed_in_airflow_counts_after_a_while(sandbox, connect, poll_twice, later):
    def shorten():
        connect(extra={"timeout": 0.2})
        sandbox.add_fault({"delay": 30})
        later()

    with pytest.raises(ImportPollError, match=r"longer than 0\.2 s"):
        poll_twice(shorten)


def test_a_connection_that_cannot_be_looked_up_again_is_used_on(sandbox, monkeypatch, poll_twice, later):
    def lose():
        monkeypatch.delenv("AIRFLOW_CONN_LUCCA_DEFAULT")
        later()

    assert poll_twice(lose) == 20
