# SPDX-License-Identifier: Apache-2.0
"""How an Airflow connection is read: everything wrong with it is told before anything is sent."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_import_progress.exceptions import ImportPollError, ImportRequestError
from airflow_import_progress.hooks.leadsy import LeadsyHook
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.hooks.zilliz import ZillizHook

KEY = "s3cret-key"


@pytest.fixture
def read(monkeypatch):
    """Return a function that reads a connection with these fields through the hook."""

    def read(**fields):
        values = {"conn_type": "lucca", "host": "acme.ilucca.net", "password": KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_LUCCA_TEST", json.dumps(values))
        with LuccaHook("lucca_test")._translating_errors("Lucca"):
            return LuccaHook("lucca_test").connection_cache.get()

    return read


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "acme.ilucca.net"}, "https://acme.ilucca.net"),
        ({"host": "acme.ilucca.ch"}, "https://acme.ilucca.ch"),
        ({"host": "acme.ilucca-test.net"}, "https://acme.ilucca-test.net"),
        ({"host": "acme.ilucca-demo.net"}, "https://acme.ilucca-demo.net"),
        ({"host": "acme-trial1.sandbox.eu1.luccasoftware.com"}, "https://acme-trial1.sandbox.eu1.luccasoftware.com"),
        ({"host": " ACME.ilucca.net/ "}, "https://acme.ilucca.net"),
        ({"host": "https://acme.ilucca.net"}, "https://acme.ilucca.net"),
        ({"host": "http://127.0.0.1", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "127.0.0.1:8765", "schema": "http"}, "http://127.0.0.1:8765"),
        ({"host": "[::1]", "port": 8765, "schema": "http"}, "http://[::1]:8765"),
        ({"schema": "https", "port": 8443}, "https://acme.ilucca.net:8443"),
        ({"port": "8443"}, "https://acme.ilucca.net:8443"),
        ({"port": " 8443 "}, "https://acme.ilucca.net:8443"),
        ({"port": ""}, "https://acme.ilucca.net"),
        ({"host": "::1", "port": 8443}, "https://[::1]:8443"),
        ({"host": "2001:DB8::7"}, "https://[2001:db8::7]"),
        ({"host": "https://[::1]:8443/chat/"}, "https://[::1]:8443/chat"),
        ({"host": "example.com/chat"}, "https://example.com/chat"),
        ({"host": "https://example.com:8443/Gateway/a%20b/"}, "https://example.com:8443/Gateway/a%20b"),
    ],
)
def test_the_address_is_https_unless_the_schema_says_otherwise(read, fields, base_url):
    assert read(**fields).base_url == base_url


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": ""}, "no host"),
        ({"host": None}, "no host"),
        ({"host": "acme.ilucca.net/a//b"}, "host name, such as"),
        ({"host": "acme.ilucca.net/../b"}, "host name, such as"),
        ({"host": "acme.ilucca.net/a/%2E%2e"}, "host name, such as"),
        ({"host": "acme.ilucca.net/a b"}, "host name, such as"),
        ({"host": "acme.ilucca.net/a#b"}, "host name, such as"),
        ({"host": "acme.ilucca.net/%zz"}, "host name, such as"),
        ({"host": "fe80::1%eth0"}, "host name, such as"),
        ({"host": "[::1"}, "host name, such as"),
        ({"host": "[1.2.3.4]"}, "host name, such as"),
        ({"host": "::g"}, "host name, such as"),
        ({"port": "99999"}, "port must be from 1 to 65535"),
        ({"host": "user@evil.example"}, "host name, such as"),
        ({"host": "https://user:123/hunter2@acme.ilucca.net"}, "host name, such as"),
        ({"host": "acme.ilucca.net/hunter2@b"}, "host name, such as"),
        ({"host": "acme.ilucca.net?x=1"}, "host name, such as"),
        ({"host": "acme..net"}, "host name, such as"),
        ({"host": "ac me.net"}, "host name, such as"),
        ({"host": "ftp://acme.ilucca.net"}, "schema must be 'https' or 'http'"),
        ({"schema": "lucca"}, "schema must be 'https' or 'http'"),
        ({"host": "http://acme.ilucca.net", "schema": "https"}, "Remove one of the two"),
        ({"host": "acme.ilucca.net:80", "port": 443}, "Remove one of the two"),
        ({"password": ""}, "Enter the Lucca API key"),
        ({"password": None}, "Enter the Lucca API key"),
        (
            {"password": "key\r\nX-Injected: 1"},
            "password has characters that cannot be sent. Enter the Lucca API key alone",
        ),
        ({"password": "clé"}, "password has characters that cannot be sent. Enter the Lucca API key alone"),
        ({"conn_type": "http"}, "of type 'http', not 'lucca'"),
        ({"extra": {"timeout": 0}}, "'timeout'"),
        ({"extra": {"timeout": 301}}, "'timeout'"),
        ({"extra": {"timeout": "soon"}}, "'timeout'"),
        ({"extra": {"timeout": True}}, "'timeout'"),
        ({"extra": {"requests_per_minute": 0}}, "'requests_per_minute' must be a number from 0.1 to 100000"),
        ({"extra": {"requests_per_minute": "many"}}, "'requests_per_minute'"),
        ({"extra": {"requests_per_minute": True}}, "'requests_per_minute'"),
        ({"extra": {"timeout": float("nan")}}, "'timeout'"),
        (
            {"extra": {"verify": "/no/such/file.pem"}},
            "'/no/such/file.pem' cannot be read as certificates on this machine",
        ),
        ({"extra": {"verify": __file__}}, "cannot be read as certificates on this machine (SSLError)"),
        ({"port": 99999}, "port must be from 1 to 65535"),
        ({"host": "acme.ilucca.net:0"}, "port must be from 1 to 65535"),
        ({"host": "u:hunter2@acme.ilucca.net"}, "host name, such as"),
        ({"host": "acme.ilucca.net/api?token=hunter2"}, "host name, such as"),
        ({"extra": {"proxy": "proxy.example:3128"}}, "'proxy'"),
        ({"extra": {"proxy": "http://u:hunter2@[bad"}}, "'proxy'"),
        ({"extra": {"proxy": "socks5://proxy.example"}}, "'proxy'"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(read, fields, words):
    with pytest.raises(ImportRequestError) as caught:
        read(**fields)
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("extra", "parsed"), [("not json", {}), ("[1]", [1]), ('"text"', "text")])
def test_an_extra_that_is_no_json_object_is_refused(monkeypatch, extra, parsed):
    # Some versions of Airflow refuse to read such a connection themselves, others hand out an empty extra.
    connection = SimpleNamespace(conn_type="lucca", extra=extra, extra_dejson=parsed)
    monkeypatch.setattr(BaseHook, "get_connection", lambda *_, **__: connection)
    with pytest.raises(ImportRequestError, match="extra is not a JSON object"):
        LuccaHook("lucca_test").connection_cache.get()


@pytest.mark.parametrize(
    ("extra", "timeout"), [({}, 30), ({"timeout": None}, 30), ({"timeout": ""}, 30), ({"timeout": "4.5"}, 4.5)]
)
def test_the_request_timeout_is_thirty_seconds_unless_given(read, extra, timeout):
    assert read(extra=extra).timeout == timeout


@pytest.mark.parametrize(
    ("value", "verify"),
    [
        (None, True),
        ("", True),
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (DEFAULT_CA_BUNDLE_PATH, DEFAULT_CA_BUNDLE_PATH),
    ],
)
def test_tls_is_verified_unless_switched_off(read, value, verify):
    assert read(extra={"verify": value}).verify == verify


def test_a_proxy_is_taken_from_the_extra(read):
    assert read(extra={"proxy": "http://proxy.example:3128"}).proxy == "http://proxy.example:3128"


def test_what_the_form_leaves_empty_is_no_error(read):
    assert read(schema="", login="", extra="").base_url == "https://acme.ilucca.net"


def test_secrets_are_not_in_the_connections_repr(read):
    connection = read(extra={"proxy": "http://u:hunter2@proxy.example", "note": "also-private"})
    for secret in (KEY, "hunter2", "also-private"):
        assert secret not in repr(connection)


def test_an_unknown_connection_is_named():
    with pytest.raises(ImportRequestError, match=r"'nowhere'.*does not find this connection.*lucca_conn_id"):
        LuccaHook("nowhere").get_progress(LuccaLeaveImport("3c90"))


async def test_an_unknown_connection_is_named_on_the_event_loop_too():
    with pytest.raises(ImportRequestError, match=r"'nowhere'.*does not find this connection.*lucca_conn_id"):
        await LuccaHook("nowhere").aget_progress(LuccaLeaveImport("3c90"))


def test_a_lookup_that_fails_for_the_moment_is_transient(monkeypatch):
    def unavailable(*_, **__):
        raise ConnectionError("API server is restarting")

    monkeypatch.setattr(BaseHook, "get_connection", unavailable)
    with pytest.raises(Exception, match="API server is restarting") as caught:
        LuccaHook().get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_a_connection_that_was_there_before_is_waited_for(monkeypatch):
    # What Airflow says when the secrets backend does not answer.
    def not_found(*_, **__):
        raise AirflowNotFoundException("isn't defined")

    monkeypatch.setattr(BaseHook, "get_connection", not_found)
    hook = LuccaHook()
    hook.connection_cache.is_known = True
    with pytest.raises(ImportPollError) as caught:
        hook.get_progress(LuccaLeaveImport("3c90"))
    assert caught.value.transient


def test_secrets_are_known_in_every_form_in_which_they_travel(read):
    secrets = read(password='k"ey /1', extra={"proxy": "http://u:p%40ssw@proxy.example"}).secrets
    assert {'k"ey /1', "k%22ey%20%2F1", 'k\\"ey /1', "p%40ssw", "p@ssw"} <= set(secrets)


def test_a_secret_that_is_too_short_is_not_taken_out_of_texts(read):
    # As in Airflow's own logs: with the password "e" a text would lose most of its words.
    assert read(password="e", extra={"proxy": "http://u:four@proxy.example"}).secrets == ()


#: Values of other types than those that a field should have, as secrets backends and hand-made connections give them.
ODD = [
    "s\ud800",
    "[" * 100_000,
    True,
    7,
    -1,
    1.5,
    10**400,
    "7",
    "",
    " ",
    "text",
    b"bytes",
    [],
    ["a"],
    {},
    {"a": 1},
    object(),
]
EXTRAS = [
    "timeout",
    "verify",
    "proxy",
    "requests_per_minute",
    "import_page",
    "auth_method",
    "auth_scheme",
    "status_map",
]
EXTRAS += ["api_version", "cluster_id", "cloud_region"]


def connection_with(hook_class, **changed):
    values = {"conn_type": hook_class.conn_type, "host": "vendor.example", "schema": "https", "port": None}
    values |= {"login": "user", "password": KEY, "extra": "{}", "extra_dejson": {"api_version": "v2"}}
    return SimpleNamespace(**values | changed)


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", ["host", "schema", "port", "login", "password", *EXTRAS])
@pytest.mark.parametrize("hook_class", [LuccaHook, RocketChatHook, LeadsyHook, ZillizHook])
def test_each_field_is_read_as_what_it_should_be_or_refused_by_name(hook_class, name, value, monkeypatch):
    if name in EXTRAS:
        connection = connection_with(hook_class, extra_dejson={"api_version": "v2", name: value}, extra="{...}")
    else:
        connection = connection_with(hook_class, **{name: value})
    monkeypatch.setattr(BaseHook, "get_connection", lambda *_, **__: connection)
    hook, refusal = hook_class(), None
    try:
        with hook._translating_errors("the hook"):
            hook.connection_cache.get()
    except ImportRequestError as error:
        refusal = str(error)
    assert refusal is None or (name in refusal and KEY not in refusal)


def test_a_secret_of_another_type_is_not_quoted(monkeypatch):
    connection = connection_with(LuccaHook, password={"key": "hunter2"})
    monkeypatch.setattr(BaseHook, "get_connection", lambda *_, **__: connection)
    with pytest.raises(ImportRequestError, match="password must be a text, not a value of type dict") as caught:
        LuccaHook().connection_cache.get()
    assert "hunter2" not in str(caught.value)


def test_an_address_in_brackets_may_be_a_uri(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LUCCA_TEST", "lucca://:key@[::1]:8443/https")
    assert LuccaHook("lucca_test").connection_cache.get().base_url == "https://[::1]:8443"


def test_a_host_with_a_path_may_be_a_uri(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CHAT_TEST", "rocketchat://user:token@example.com%2Fchat/https")
    assert RocketChatHook("chat_test").connection_cache.get().base_url == "https://example.com/chat"


def test_the_page_of_imports_is_below_the_path_of_the_host(monkeypatch):
    connection = connection_with(RocketChatHook, host="https://example.com/chat")
    monkeypatch.setattr(BaseHook, "get_connection", lambda *_, **__: connection)
    assert RocketChatHook().import_url(RocketChatImport()) == "https://example.com/chat/admin/import"
