# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress list`` where no Airflow answers as it should."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import socket
import threading

import pytest

from airflow_import_progress.cli import main
from airflow_import_progress.cli.airflow_api import WAITS_PATH
from airflow_import_progress.cli.arguments import parser

TOKEN = "a-token-that-is-not-shown"
UI = (200, {"Content-Type": "text/html"}, "<html>Airflow</html>")
VERSION = (200, {}, json.dumps({"version": "3.0.6", "git_version": None}))
EMPTY = (200, {}, json.dumps({"now": 0, "waits": [], "next_offset": None}))


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """The environment of a terminal with a token, without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_USERNAME", raising=False)
    monkeypatch.delenv("AIRFLOW_PASSWORD", raising=False)


@pytest.fixture
def serve():
    """Return a function that serves answers by their paths, and returns the address and the received requests."""
    with contextlib.ExitStack() as stack:

        def serve(answers):
            received = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    path = self.path.partition("?")[0]
                    received.append((path, self.headers.get("Authorization")))
                    status, headers, body = answers.get(path, (404, {}, "nothing here"))
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body.encode())

                def do_POST(self):
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self.do_GET()

                def log_message(self, *_):
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}", received

        yield serve


@pytest.fixture
def fail(capsys):
    """Return a function that runs the command, which cannot find out anything, and returns its message."""

    def fail(*arguments):
        out = io.StringIO()
        assert main.perform(parser().parse_args(["list", *arguments]), out) == 2
        assert out.getvalue() == ""
        error = capsys.readouterr().err
        assert TOKEN not in error
        assert error.startswith("airflow-import-progress: ")
        assert error.count("\n") == 1
        return error

    return fail


def test_the_token_is_sent_with_the_request(serve):
    url, received = serve({f"/airflow{WAITS_PATH}": EMPTY})
    options = parser().parse_args(["list", "--api-url", f"{url}/airflow/"])
    assert main.perform(options, io.StringIO()) == 0
    assert set(received) == {(f"/airflow{WAITS_PATH}", f"Bearer {TOKEN}")}


def test_an_entry_in_netrc_does_not_replace_the_token(serve, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    url, received = serve({WAITS_PATH: EMPTY})
    assert main.perform(parser().parse_args(["list", "--api-url", url]), io.StringIO()) == 0
    assert {authorization for _, authorization in received} == {f"Bearer {TOKEN}"}


def test_an_airflow_without_the_page_is_named_with_its_version(serve, fail):
    url, _ = serve({WAITS_PATH: UI, "/api/v2/version": VERSION})
    assert f"Airflow 3.0.6 at {url} has no Imports page. It needs Airflow 3.1 or later" in fail("--api-url", url)


@pytest.mark.parametrize("answers", [{}, {WAITS_PATH: UI}], ids=["not found", "another page"])
def test_a_server_that_is_not_airflow_3_is_reported(serve, fail, answers):
    url, _ = serve(answers)
    assert f"No Airflow 3 answers at {url}. Check --api-url." in fail("--api-url", url)


@pytest.mark.parametrize("body", ["[]", "{}", '{"waits": null}', "null", "1"])
def test_json_that_is_not_a_list_of_imports_is_reported(serve, fail, body):
    url, _ = serve({WAITS_PATH: (200, {}, body), "/api/v2/version": VERSION})
    assert fail("--api-url", url)


def test_a_redirect_is_not_followed(serve, fail):
    elsewhere, received = serve({})
    url, _ = serve({WAITS_PATH: (302, {"Location": f"{elsewhere}/login?next=x"}, "")})
    error = fail("--api-url", url)
    assert f"a redirect to '{elsewhere}/login', which is not followed" in error
    assert received == []


def test_an_unavailable_airflow_is_reported(serve, fail):
    url, _ = serve({WAITS_PATH: (503, {}, f"down {TOKEN}")})
    assert f"GET {url}{WAITS_PATH} returned HTTP 503. Try again." in fail("--api-url", url)


def test_a_secret_that_the_server_repeats_is_not_shown(serve, fail):
    url, _ = serve({WAITS_PATH: (401, {}, json.dumps({"detail": f"bad {TOKEN}"}))})
    assert "returned HTTP 401: bad ***. The token is not valid here, or not any more" in fail("--api-url", url)


def test_a_log_in_without_tokens_is_reported(serve, fail, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CLI_TOKEN")
    monkeypatch.setenv("AIRFLOW_USERNAME", "me")
    monkeypatch.setenv("AIRFLOW_PASSWORD", "mine-alone")
    url, _ = serve({"/auth/token": (405, {}, "mine-alone")})
    error = fail("--api-url", url)
    assert "POST" in error
    assert "set AIRFLOW_CLI_TOKEN to a token" in error
    assert "mine-alone" not in error


def test_an_unreachable_airflow_is_reported_with_the_reason(fail):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    assert f"Airflow was not reached at {url}: Connection refused. Check --api-url" in fail("--api-url", url)


def test_a_server_without_tls_is_reported_with_the_reason(serve, fail):
    url, _ = serve({})
    assert "TLS failed" in fail("--api-url", url.replace("http:", "https:"))


def test_the_address_of_airflows_configuration_is_the_default(fail, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", url)
    assert url in fail()


def test_without_credentials_the_variables_are_named(fail, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CLI_TOKEN")
    error = fail("--api-url", "http://127.0.0.1:1")
    for name in ("AIRFLOW_CLI_TOKEN", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"):
        assert name in error


@pytest.mark.parametrize("token", ["two\nlines", "two words", "tokén"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(fail, monkeypatch, token):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", token)
    error = fail("--api-url", "http://127.0.0.1:1")
    assert "AIRFLOW_CLI_TOKEN is not a token" in error
    assert token not in error


@pytest.mark.parametrize(
    "url", ["airflow", "ftp://airflow", "http://", "http://[", "http://me:secret@airflow", "http://airflow?secret"]
)
def test_an_address_that_cannot_be_used_is_refused_and_not_shown(fail, url):
    error = fail("--api-url", url)
    assert "The address of Airflow must be one such as https://airflow.example.com" in error
    assert "secret" not in error
