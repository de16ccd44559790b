# SPDX-License-Identifier: Apache-2.0
"""Request bodies: what is read is what was announced, and what a server decodes is the file."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from email import message_from_bytes, policy

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.multipart import MultipartReader

from airflow_import_progress.exceptions import ImportFileError
from airflow_import_progress.http.body import (
    ENCODED_CHUNK_BYTES,
    Base64JsonBody,
    BodyReader,
    JsonBody,
    MultipartBody,
    read_exactly,
)

#: Sizes around those at which something changes: the padding of base64, a chunk, a read of a transport.
SIZES = [
    *range(1, 201),
    *(n + m for n in (16384, ENCODED_CHUNK_BYTES, 65536, 2 * ENCODED_CHUNK_BYTES) for m in (-1, 0, 1)),
]
READS = [1, 1000, 16384, 65536, 1 << 20]


class Source:
    """Content in memory, which may have another size than it announces, and may come in pieces."""

    def __init__(self, content, *, size=None, piece=None):
        self.content, self.piece = content, piece
        self.size = len(content) if size is None else size
        self.is_closed = False
        #: The sizes of all reads.
        self.asked = []

    def __str__(self):
        return "the file 'a.csv'"

    def open(self):
        source = self

        class Stream(io.BytesIO):
            def read(self, size=-1):
                source.asked.append(size)
                return super().read(size if source.piece is None else min(size, source.piece))

            def close(self):
                source.is_closed = True

        return Stream(self.content)


def content_of(size):
    return bytes((n * 7 + n // 256) % 256 for n in range(size))


def multipart(source, name="a.csv"):
    return MultipartBody("file", source, name, "text/csv")


def base64_json(source, name="a.csv"):
    return Base64JsonBody("binaryContent", source, {"fileName": name, "contentType": "text/csv"})


def read(body, size=65536):
    reader = BodyReader(body)
    try:
        return b"".join(iter(lambda: reader.read(size), b""))
    finally:
        reader.close()


def passed_on(body, size=65536):
    """Return what a transport gets of a body, and the error that ends it."""
    reader, got = BodyReader(body), []
    with pytest.raises(ImportFileError) as caught:
        got.extend(iter(lambda: reader.read(size), b""))
    assert reader.error is caught.value
    return b"".join(got), caught.value


def parsed_by_email(body):
    """Return the only part of a form, as the standard library reads it."""
    whole = b"Content-Type: %s\r\n\r\n%s" % (body.content_type.encode(), read(body))
    (part,) = message_from_bytes(whole, policy=policy.HTTP).iter_parts()
    return part


def parsed_by_aiohttp(body):
    """Return the headers, the file name and the content of the only part of a form, as aiohttp's server reads it."""

    async def parse():
        stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1 << 20)
        stream.feed_data(read(body))
        stream.feed_eof()
        reader = MultipartReader({"Content-Type": body.content_type}, stream)
        part = await reader.next()
        content = await part.read()
        assert await reader.next() is None
        return part.headers, part.filename, bytes(content)

    return asyncio.run(parse())


# The size and the content


@pytest.mark.parametrize("piece", [None, 5])
def test_a_form_of_any_size_is_as_long_as_announced_and_contains_the_file(piece):
    for size in SIZES:
        content = content_of(size)
        body = multipart(Source(content, piece=piece))
        whole = read(body)
        before, _, rest = whole.partition(b"\r\n\r\n")
        boundary = before.partition(b"\r\n")[0]
        assert len(whole) == body.size == BodyReader(body).len
        assert rest == content + b"\r\n" + boundary + b"--\r\n"


@pytest.mark.parametrize("piece", [None, 5])
def test_base64_of_any_size_is_as_long_as_announced_and_contains_the_file(piece):
    for size in SIZES:
        content = content_of(size)
        body = base64_json(Source(content, piece=piece))
        whole = read(body)
        values = json.loads(whole)
        assert len(whole) == body.size == BodyReader(body).len
        assert base64.b64decode(values.pop("binaryContent"), validate=True) == content
        assert values == {"fileName": "a.csv", "contentType": "text/csv"}


@pytest.mark.parametrize("value", [{}, {"a": [1, None, "é"]}, "x" * 70_000])
def test_a_json_value_is_as_long_as_announced_and_decodes_to_the_same(value):
    body = JsonBody(value)
    whole = read(body)
    assert len(whole) == body.size == BodyReader(body).len
    assert json.loads(whole) == value
    assert body.content_type == "application/json"


def test_a_value_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        _ = JsonBody(float("nan")).size


@pytest.mark.parametrize("make", [multipart, base64_json])
def test_a_body_is_the_same_whatever_the_size_of_a_read(make):
    body = make(Source(content_of(ENCODED_CHUNK_BYTES * 2 + 1)))
    assert len({read(body, size) for size in READS}) == 1


@pytest.mark.parametrize("make", [multipart, base64_json])
def test_a_file_is_never_read_as_a_whole(make):
    source = Source(content_of(10 * ENCODED_CHUNK_BYTES))
    read(make(source), 65536)
    assert max(source.asked) <= 65536


@pytest.mark.parametrize("make", [multipart, base64_json])
def test_no_read_returns_more_than_it_asked_for(make):
    reader = BodyReader(make(Source(content_of(5000))))
    assert max(len(chunk) for chunk in iter(lambda: reader.read(7), b"")) == 7


@pytest.mark.parametrize("make", [multipart, base64_json, lambda source: JsonBody({"a": 1})])
def test_a_body_that_is_opened_twice_is_the_same(make):
    body = make(Source(content_of(5000)))
    first, second = BodyReader(body), BodyReader(body)
    assert first.read(100) == second.read(100)
    assert read(body) == read(body)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10])
def test_the_next_bytes_of_a_stream_are_fewer_only_at_its_end(size):
    stream = Source(b"abcdefg", piece=2).open()
    assert read_exactly(stream, size) == b"abcdefg"[:size]


# The form


@pytest.mark.parametrize(
    "name", ["a.csv", "congés d'été.csv", "予定.csv", "😀.csv", "a b;c=d.csv", "a'b.csv", "100%.csv"]
)
def test_a_server_gets_the_file_and_its_name(name):
    body = multipart(Source(b"a;b\r\n\r\n--c\r\n"), name)
    headers, file_name, content = parsed_by_aiohttp(body)
    assert (file_name, content) == (name, b"a;b\r\n\r\n--c\r\n")
    assert headers["Content-Type"] == "text/csv"
    assert parsed_by_email(body).get_payload(decode=True) == b"a;b\r\n\r\n--c\r\n"


def test_a_server_gets_the_other_fields_of_a_form_before_the_file():
    fields = {"path": "a b/é", "namé": 'a"b\r\nc', "empty": ""}
    body = MultipartBody("file", Source(b"a;b"), "a.csv", "text/csv", fields=fields)
    whole = b"Content-Type: %s\r\n\r\n%s" % (body.content_type.encode(), read(body))
    *others, file = message_from_bytes(whole, policy=policy.HTTP).iter_parts()
    assert [part.get_payload(decode=True).decode() for part in others] == list(fields.values())
    assert [part.get_filename() for part in others] == [None] * 3
    assert others[0].get_param("name", header="Content-Disposition") == "path"
    assert file.get_payload(decode=True) == b"a;b"
    assert len(read(body)) == body.size


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("congés.csv", "congés.csv"),
        ('a".csv', "a%22.csv"),
        ("a\r\nX-Evil: 1\r\n\r\nb.csv", "a%0D%0AX-Evil: 1%0D%0A%0D%0Ab.csv"),
        ("a\nX-Evil: 1", "a%0AX-Evil: 1"),
        ("a\rX-Evil: 1", "a%0DX-Evil: 1"),
    ],
)
def test_a_file_name_is_sent_as_browsers_send_it(name, sent):
    body = multipart(Source(b"a"), name)
    lines = read(body).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[1:] == [
        f'Content-Disposition: form-data; name="file"; filename="{sent}"'.encode(),
        b"Content-Type: text/csv",
    ]
    headers, _, content = parsed_by_aiohttp(body)
    assert set(headers) == {"Content-Disposition", "Content-Type"}
    assert content == b"a"


def test_a_file_name_that_is_not_unicode_is_sent():
    body = multipart(Source(b"a"), b"a\xff.csv".decode(errors="surrogateescape"))
    assert parsed_by_aiohttp(body)[1:] == ("a?.csv", b"a")
    assert len(read(body)) == body.size


def test_a_boundary_is_never_used_again():
    assert len({multipart(Source(b"a")).content_type for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "name", ["congés.csv", 'a".csv', "a\r\nb.csv", "予定.csv", b"a\xff".decode(errors="surrogateescape")]
)
def test_json_contains_any_file_name(name):
    body = base64_json(Source(b"a"), name)
    whole = read(body)
    assert (json.loads(whole)["fileName"], len(whole)) == (name, body.size)


# A file that changes


@pytest.mark.parametrize("make", [multipart, base64_json])
@pytest.mark.parametrize("read_size", READS)
def test_a_file_that_changes_while_it_is_sent_makes_the_request_incomplete(make, read_size):
    for announced in (1, 2, 3, 4, 100, 16384, 65536 - 40, ENCODED_CHUNK_BYTES, ENCODED_CHUNK_BYTES + 1):
        for change in (-50, -3, -2, -1, 1, 2, 3, 36, 38, 40, 50, 16384, 65536):
            # A read of one byte each is slow for a large file, and does not differ for it.
            if announced + change < 0 or (read_size == 1 and announced + change > 1000):
                continue
            body = make(Source(content_of(announced + change), size=announced))
            got, error = passed_on(body, read_size)
            assert len(got) < body.size
            assert "The size of the file 'a.csv' changed while it was sent" in str(error)


def test_an_error_while_reading_is_one_of_the_file_without_the_words_of_a_library():
    class Broken(Source):
        def open(self):
            stream = super().open()
            stream.read = lambda size: 1 / 0
            return stream

    _, error = passed_on(multipart(Broken(b"abc")))
    assert str(error).startswith("The file could not be read to its end (ZeroDivisionError), so no import was started.")
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_an_error_of_the_file_is_passed_on_as_it_is():
    expected = ImportFileError("the file is gone")

    class Gone(Source):
        def open(self):
            def read(size):
                raise expected

            stream = super().open()
            stream.read = read
            return stream

    assert passed_on(multipart(Gone(b"abc")))[1] is expected


# The reader


def test_a_body_is_begun_with_the_first_read():
    reader = BodyReader(JsonBody({}))
    assert not reader.is_begun
    reader.read(1)
    assert reader.is_begun


def test_a_body_is_not_read_after_its_time():
    reader = BodyReader(JsonBody({}), give_up_at=0)
    with pytest.raises(TimeoutError):
        reader.read(1)
    assert reader.error is None


@pytest.mark.parametrize("make", [multipart, base64_json])
def test_the_file_is_closed_with_the_body(make):
    source = Source(b"abc")
    reader = BodyReader(make(source))
    assert not source.is_closed
    reader.close()
    assert source.is_closed


def test_an_error_while_closing_does_not_hide_the_outcome_of_the_request():
    class Stuck(Source):
        def open(self):
            stream = super().open()
            stream.close = lambda: 1 / 0
            return stream

    assert read(multipart(Stuck(b"abc")))
