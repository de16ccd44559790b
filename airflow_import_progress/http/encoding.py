# SPDX-License-Identifier: Apache-2.0
"""Content encodings of answers, with a limit on the decoded size."""

from __future__ import annotations

import zlib
from contextlib import suppress

from airflow_import_progress.exceptions import ImportProtocolError


def decoded(request_line: str, body: bytes, encoding: str, limit: int) -> bytes:
    """
    Return the body of an answer without its content encoding.

    :param request_line: The request, for messages.
    :param body: The body as it was received.
    :param encoding: The ``Content-Encoding``.
    :param limit: Largest body, in bytes, before and after decoding.
    :raises ImportProtocolError: if the body is too long, or is not in an encoding that can be decoded.
    """
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        # Sent although it was not accepted. Decode it here, with a limit on the decoded size.
        decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        decoded = b""
        with suppress(zlib.error):
            decoded = decoder.decompress(body, limit + 1)
        if not decoder.eof and len(decoded) <= limit:
            raise ImportProtocolError(f"{request_line} returned a body that cannot be decompressed.", transient=True)
        body = decoded
    elif encoding.strip().lower() not in ("", "identity"):
        raise ImportProtocolError(
            f"{request_line} returned the encoding {encoding[:40]!r}, which was not accepted.", transient=True
        )
    if len(body) > limit:
        raise ImportProtocolError(f"{request_line} returned more than the limit of {limit:,} bytes.")
    return body
