# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import time
from dataclasses import fields, replace

import pytest

from airflow_import_progress.exceptions import ImportPollError, ImportProtocolError, ImportRequestError
from airflow_import_progress.http.exchange import Request, Response, excerpt, parse_retry_after, request_key


def response(status=200, body=b"{}", **headers):
    return Response(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
        request_line="GET https://acme.example/imports/1",
    )


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"57", 57),
        (b'{"progress": 43}', {"progress": 43}),
        (b"\xef\xbb\xbf100", 100),
        (b'"\xc3\xa9"', "é"),
    ],
)
def test_reads_json(body, value):
    assert response(body=body).json() == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>down for maintenance</html>",
        b"NaN",
        b"[Infinity]",
        b"{'progress': 43}",
        b"\xff\xfe\xfd",
        b"1" * 100_000,
        b"[" * 100_000,
        b'{"progress": -1, "progress": 100}',
    ],
    ids=["empty", "html", "NaN", "Infinity", "python", "binary", "endless number", "deep", "duplicate key"],
)
def test_what_is_not_json_is_a_protocol_error_that_may_pass(body):
    with pytest.raises(ImportProtocolError) as caught:
        response(body=body).json()
    assert caught.value.transient
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_status_that_may_pass_is_transient(status):
    with pytest.raises(ImportPollError) as caught:
        response(status).raise_for_status()
    assert caught.value.transient
    assert caught.value.status == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 418, 422])
def test_any_other_4xx_is_a_refusal(status):
    with pytest.raises(ImportRequestError) as caught:
        response(status).raise_for_status()
    assert not caught.value.transient
    assert caught.value.status == status


def test_a_redirect_is_refused_and_only_its_host_is_told():
    with pytest.raises(ImportRequestError, match=r"redirect to 'evil\.example'") as caught:
        response(302, location="https://evil.example/login?token=abc").raise_for_status()
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"Status": 400, "Message": "summaryId is not a guid"}', "summaryId is not a guid"),
        (b'{"detail": "quota", "title": "Too bad"}', "quota"),
        (b"<html>\n<b>Bad</b>\x00 Gateway</html>", "<html> <b>Bad</b> Gateway</html>"),
    ],
)
def test_an_error_repeats_the_vendors_words(body, words):
    with pytest.raises(ImportRequestError) as caught:
        response(400, body).raise_for_status()
    assert str(caught.value) == f"GET https://acme.example/imports/1 returned HTTP 400 Bad Request: {words}."


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 1970 00:17:40 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, seconds):
    assert parse_retry_after(value, now=1000.0) == seconds


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"Unauthorized"])
def test_an_error_without_words_repeats_none(body):
    with pytest.raises(ImportRequestError) as caught:
        response(401, body).raise_for_status()
    assert str(caught.value).endswith("returned HTTP 401 Unauthorized.")


def test_a_requests_repr_has_no_header_and_no_body():
    request = Request(method="POST", path="/", data=b"data-1", json="json-1", files={"f": ("n", b"file-1", "t")})
    text = repr(request.with_headers({"Authorization": "key-1"}))
    assert not any(secret in text for secret in ("data-1", "json-1", "file-1", "key-1"))


def test_an_error_carries_what_the_vendor_asked_to_wait():
    with pytest.raises(ImportPollError) as caught:
        response(429, retry_after="7").raise_for_status()
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("path", ["https://evil.example/", "imports", "", "/a\r\nX-Injected: 1", "/a b", "/é"])
def test_a_request_takes_a_quoted_path_and_nothing_else(path):
    with pytest.raises(ValueError, match="path must begin with '/' and be quoted"):
        Request(method="GET", path=path)


def test_an_excerpt_is_one_short_printable_line():
    assert excerpt("a\r\n\tb\x1b[31m" + "c" * 500, 12) == "a b [31mccc…"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://bucket.example/1.csv?X-Amz-Signature=5ecret#top", "https://bucket.example/1.csv"),
        ("HTTPS://bucket.example?sig=5ecret", "HTTPS://bucket.example"),
        ("s3://AKIA:5ecret@bucket/1.csv", "s3://bucket/1.csv"),
        (r"https:\/\/bucket.example\/1.csv?sig=5ecret", r"https:\/\/bucket.example\/1.csv"),
        ("https://bucket.example/@ada/1.csv", "https://bucket.example/@ada/1.csv"),
    ],
)
def test_an_excerpt_of_an_answer_does_not_hold_what_opens_a_file(address, shown):
    assert response().excerpt(f"cannot read '{address}', really?") == f"cannot read '{shown}', really?"
    assert response(body=f"cannot read '{address}', really?".encode()).excerpt() == f"cannot read '{shown}', really?"


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(
    "body",
    [b'{"message": "cannot read https://b.example/1?sig=5ecret"}', b"<a href='https://ada:5ecret@b.example/1'>"],
    ids=["json", "html"],
)
def test_what_opens_a_file_is_in_no_error(status, body):
    with pytest.raises((ImportPollError, ImportRequestError), match=r"https://b\.example/1") as caught:
        response(status, body).raise_for_status()
    assert "5ecret" not in str(caught.value)


def test_an_excerpt_of_hostile_addresses_takes_no_time():
    hostile = "".join(":" + "//" * n for n in range(1, 60)) + "://" * 3000
    before = time.process_time()
    response().excerpt(hostile)
    assert time.process_time() - before < 1


# The key of a request


POLL = Request(method="POST", path="/p")

#: For each field of a request, values that change its answer.
DIFFERENT: dict[str, list] = {
    "method": ["GET"],
    "path": ["/q"],
    "params": [{"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": 1}, {"a": True}],
    "json": [{}, [], 0, False, "", 1, 1.0, "1", True, {"a": 1}, {"a": "1"}, {"a": True}, {"a": None}, [1, 2], [2, 1]],
    "data": [{}, b"", b"a=1", "a=1", {"a": "1"}, {"a": "2"}, {"a": 1}, {"a": True}],
    "files": [{}, {"f": ("a", b"1", "t")}, {"f": ("a", b"2", "t")}, {"f": ("b", b"1", "t")}, {"f": ("a", b"1", "u")}],
    "headers": [{"A": "1"}, {"A": "2"}, {"B": "1"}],
    "max_answer_bytes": [1],
}
#: Those that do not.
SAME: dict[str, list] = {"shared": [True]}


def test_every_field_of_a_request_is_in_its_key_or_known_not_to_change_the_answer():
    assert {field.name for field in fields(Request)} == {*DIFFERENT, *SAME}


@pytest.mark.parametrize("name", DIFFERENT)
def test_requests_that_differ_in_one_field_have_different_keys(name):
    requests = [POLL, *(replace(POLL, **{name: value}) for value in DIFFERENT[name])]
    assert len({request_key(request) for request in requests}) == len(requests)


@pytest.mark.parametrize("name", SAME)
def test_requests_that_differ_in_how_they_are_sent_have_the_same_key(name):
    assert {request_key(replace(POLL, **{name: value})) for value in SAME[name]} == {request_key(POLL)}


def test_a_value_is_not_taken_for_the_same_in_another_field():
    requests = [replace(POLL, **{name: {"a": "1"}}) for name in ("params", "json", "data", "headers")]
    assert len({request_key(request) for request in requests}) == len(requests)


@pytest.mark.parametrize("name", DIFFERENT)
def test_equal_requests_have_equal_keys(name):
    for value in DIFFERENT[name]:
        first, second = (replace(POLL, **{name: copy.deepcopy(value)}) for _ in range(2))
        assert request_key(first) == request_key(second)


def test_an_answer_with_one_more_secret_is_not_parsed_again():
    answer = response(body=b'{"error": "the token hunter2"}')
    parsed = answer.parsed_or_none()
    other = answer.with_secret("hunter2")
    assert other.parsed_or_none() is parsed
    assert "hunter2" not in other.error_text()


def test_an_answer_whose_texts_are_hidden_shows_none_and_keeps_its_values():
    answer = response(body=b'{"error": "the token hunter2", "count": 1}').without_texts("it may have a key")
    assert answer.parsed_or_none()["count"] == 1
    for shown in (answer.error_text(), answer.excerpt(), answer.redacted("hunter2"), answer.with_secret("1").excerpt()):
        assert shown == "(a text that is not shown, because it may have a key)"
