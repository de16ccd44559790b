# SPDX-License-Identifier: Apache-2.0
"""Request bodies that are read piece by piece, so that a large file is never held in memory."""

from __future__ import annotations

import base64
import io
import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from airflow_import_progress.exceptions import ImportFileError

#: Bytes of a file that are encoded at a time. A multiple of three, so that base64 needs padding only at the end.
ENCODED_CHUNK_BYTES = 48 * 1024


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""

    def close(self) -> None:
        """Close the stream."""


class Source(Protocol):
    """Content that can be read several times, such as a file."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def open(self) -> Readable:
        """Return a stream from the beginning of the content."""


class Body(ABC):
    """
    A request body of a known size.

    It is opened anew for each attempt, because a hook that logs in may have to repeat a request.
    """

    #: The value of the header ``Content-Type``.
    content_type: str

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of bytes."""

    @abstractmethod
    def open(self) -> Readable:
        """Return a stream from the beginning of the body."""


@dataclass(frozen=True)
class JsonBody(Body):
    """
    A JSON value as a body.

    :param value: The value.
    """

    value: object = field(repr=False)
    content_type = "application/json"

    @cached_property
    def _encoded(self) -> bytes:
        # Python would write numbers that are not JSON, such as NaN.
        return json.dumps(self.value, allow_nan=False).encode()

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._encoded)

    def open(self) -> Readable:
        """Return a stream from the beginning of the body."""
        return io.BytesIO(self._encoded)


@dataclass(frozen=True)
class MultipartBody(Body):
    """
    A multipart form with one file, and other fields if the vendor expects them.

    :param name: The name of the file's field.
    :param source: The content of the file.
    :param file_name: The name of the file.
    :param file_type: The content type of the file.
    :param fields: The other fields of the form, which precede the file. Default: none.
    """

    name: str
    source: Source = field(repr=False)
    file_name: str
    file_type: str
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    _boundary: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def content_type(self) -> str:  # type: ignore[override]
        """The value of the header ``Content-Type``."""
        return f"multipart/form-data; boundary={self._boundary}"

    @cached_property
    def _frame(self) -> tuple[bytes, bytes]:
        from urllib3.fields import RequestField

        before = ""
        for name, value in self.fields.items():
            part = RequestField(name, b"")
            part.make_multipart()
            before += f"--{self._boundary}\r\n{part.render_headers()}{value}\r\n"
        part = RequestField(self.name, b"", filename=self.file_name)
        part.make_multipart(content_type=self.file_type)
        # The name of a local file may have bytes that are not UTF-8.
        before_file = f"{before}--{self._boundary}\r\n{part.render_headers()}".encode(errors="replace")
        return before_file, f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """The number of bytes."""
        before, after = self._frame
        return len(before) + self.source.size + len(after)

    def open(self) -> Readable:
        """Return a stream from the beginning of the body."""
        before, after = self._frame
        return _Joined(io.BytesIO(before), _Whole(self.source), io.BytesIO(after))


@dataclass(frozen=True)
class Base64JsonBody(Body):
    """
    A JSON object that contains a file as base64.

    :param name: The key of the file.
    :param source: The content of the file.
    :param values: The other values of the object.
    """

    name: str
    source: Source = field(repr=False)
    values: Mapping[str, object] = field(repr=False)
    content_type = "application/json"

    @cached_property
    def _frame(self) -> tuple[bytes, bytes]:
        others = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in self.values.items())
        return f'{{{json.dumps(self.name)}: "'.encode(), f'"{others}}}'.encode()

    @property
    def size(self) -> int:
        """The number of bytes."""
        before, after = self._frame
        return len(before) + 4 * -(-self.source.size // 3) + len(after)

    def open(self) -> Readable:
        """Return a stream from the beginning of the body."""
        before, after = self._frame
        return _Joined(io.BytesIO(before), _Base64(_Whole(self.source)), io.BytesIO(after))


class _Whole:
    """The content of a source, which must still have the size that was announced."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = source.size
        self._stream = source.open()

    def read(self, size: int) -> bytes:
        if not self._left:
            return b""
        chunk = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        # The last bytes are passed on only if none follow them, because a server could take the beginning of a file
        # that has grown for all of it.
        if not chunk or (not self._left and self._stream.read(1)):
            raise ImportFileError(
                f"The size of {self._source} changed while it was sent, so the request was not completed and no import "
                f"was started. Check that the task that writes it has ended before."
            )
        return chunk

    def close(self) -> None:
        self._stream.close()


class _Joined:
    """Streams one after another."""

    def __init__(self, *streams: Readable) -> None:
        self._streams = streams
        self._position = 0

    def read(self, size: int) -> bytes:
        while self._position < len(self._streams):
            if chunk := self._streams[self._position].read(size):
                return chunk
            self._position += 1
        return b""

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


class _Base64:
    """A stream as base64."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = base64.b64encode(read_exactly(self._stream, ENCODED_CHUNK_BYTES))
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk

    def close(self) -> None:
        self._stream.close()


def read_exactly(stream: Readable, size: int) -> bytes:
    """
    Return the next bytes of a stream: fewer than requested only at its end.

    :param stream: The stream.
    :param size: The number of bytes.
    """
    chunks: list[bytes] = []
    while size and (chunk := stream.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


class BodyReader:
    """
    Read a body for a transport, and keep the error if that fails.

    :param body: The body.
    :param give_up_at: The time after which nothing more is read, on the monotonic clock. Default None: never.
    """

    def __init__(self, body: Body, give_up_at: float | None = None) -> None:
        self._give_up_at = give_up_at
        # A transport that gives up closes the body while a thread may still read it.
        self._lock = threading.Lock()
        #: The number of bytes. requests reads the length of a body from this name.
        self.len = body.size
        self._stream = body.open()
        #: Whether the transport has begun to read, so that a part of the request may have been sent.
        self.is_begun = False
        #: The reason why the body could not be read, if any. The request is then incomplete.
        self.error: ImportFileError | None = None

    def read(self, size: int) -> bytes:
        """
        Return the next bytes.

        :param size: Maximum number of bytes.
        :raises ImportFileError: if the file cannot be read, or its size has changed.
        :raises TimeoutError: if it is too late.
        """
        self.is_begun = True
        if self._give_up_at is not None and time.monotonic() > self._give_up_at:
            raise TimeoutError
        try:
            with self._lock:
                return self._stream.read(size)
        except ImportFileError as error:
            self.error = error
            raise
        except Exception as error:
            # Without the text of a library, which may contain an address with credentials.
            self.error = ImportFileError(
                f"The file could not be read to its end ({type(error).__name__}), so no import was started. Check the "
                f"file and its storage."
            )
            raise self.error from None

    def close(self) -> None:
        """Close the stream. An error is ignored, because the outcome of the request is certain without it."""
        with self._lock, suppress(Exception):
            self._stream.close()
