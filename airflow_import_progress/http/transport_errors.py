# SPDX-License-Identifier: Apache-2.0
"""The meaning of the exceptions of requests and aiohttp, in the same words for both."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus

from airflow_import_progress.exceptions import ImportPollError, ImportProgressError, ImportRequestError
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import is_transient, redacted

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
DIGITS = re.compile(r"\d+", re.ASCII)
#: The words of http.client for a proxy that refuses to connect to the host.
_PROXY_REFUSAL = re.compile(r"Tunnel connection failed: (\d{3})\b")


class UnreadableError(Exception):
    """Raised for an answer that one of the libraries reads and the other refuses: both must refuse it."""


def check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """
    Refuse the headers of an answer that aiohttp refuses, such as contradictory lengths of the body.

    :param headers: The names and values.
    :raises UnreadableError: if they are refused.
    """
    lengths, is_chunked = [], False
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name) or "\0" in value:
            raise UnreadableError
        if name.lower() == "content-length":
            lengths.append(value)
        is_chunked = is_chunked or name.lower() == "transfer-encoding"
    if len(lengths) > 1 or any(not DIGITS.fullmatch(length) for length in lengths) or (lengths and is_chunked):
        raise UnreadableError


def translated(
    error: Exception,
    request_line: str,
    connection: VendorConnection,
    handled_before: BaseException | None,
    *,
    is_begun: bool | None = None,
) -> ImportProgressError:
    """
    Return the error of this package for an exception of a library.

    :param error: The exception.
    :param request_line: The request, for the message.
    :param connection: The connection that the request was sent over.
    :param handled_before: The exception that the caller was handling already, which is not a cause of this one.
    :param is_begun: Whether the sending of the request's body was begun; None: unknown.
    """
    import urllib3

    chain = list(_causes(error, handled_before))
    not_sent = is_begun is False

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in chain)

    for cause in chain:
        # aiohttp's own error does not contain the reason.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            return ImportRequestError(
                f"{request_line} was not sent, because {_refused_certificate(cause)}", not_sent=True
            )
    advice = "If this lasts, check the connection's host, port and schema."
    if _is_unreadable(chain):
        return ImportPollError(
            f"{request_line} got an answer that is not valid HTTP. {advice}", transient=True, not_sent=not_sent
        )
    # A defect of the request itself is a ValueError in both libraries.
    if isinstance(error, ValueError) and not is_begun:
        words = redacted(f"{type(error).__name__}: {error}", connection.secrets)
        return ImportRequestError(f"{request_line} could not be sent ({words}).", not_sent=not_sent)
    if connection.proxy and (status := _proxy_refusal(chain)) is not None:
        return _refused_by_proxy(request_line, status, not_sent=not is_begun)
    not_sent = not_sent or (not is_begun and caused_by(socket.gaierror, ConnectionRefusedError))
    if caused_by(socket.gaierror):
        why = "the host name could not be resolved"
    elif caused_by(ConnectionRefusedError):
        why = "the connection was refused"
    elif caused_by(ssl.SSLError) and not is_begun:
        why = "the TLS handshake failed, as with a server that has no TLS at this port"
    elif caused_by(TimeoutError, urllib3.exceptions.TimeoutError):
        why = f"it took longer than {connection.timeout:g} s"
    else:
        why = "the connection broke before the answer was complete"
    if connection.proxy:
        why = f"{why} (by way of the connection's proxy)"
    return ImportPollError(f"{request_line} got no answer: {why}. {advice}", transient=True, not_sent=not_sent)


#: What OpenSSL may find wrong with a certificate, by its code: what it means, and what to do.
_CERTIFICATE_PROBLEMS: Mapping[int, tuple[str, str]] = {
    9: ("is not valid yet", "Check the clock of this machine, and the certificate with whoever runs the host."),
    10: ("has expired", "Whoever runs the host has to renew it."),
    62: ("is for another host name", "Check the connection's host."),
    64: ("is for another address", "Check the connection's host."),
    **dict.fromkeys(
        (18, 19, 20, 21),
        (
            "is not signed by an authority that is trusted",
            "If it is signed by your own authority, set the connection's 'verify' to the file with its certificate.",
        ),
    ),
}


def _refused_certificate(error: ssl.SSLCertVerificationError) -> str:
    problem, advice = _CERTIFICATE_PROBLEMS.get(
        error.verify_code, ("cannot be verified", "Check it with whoever runs the host.")
    )
    return f"the host's TLS certificate {problem} ({error.verify_message}). {advice}"


def _proxy_refusal(chain: Sequence[BaseException]) -> int | None:
    for cause in chain:
        # aiohttp's error has the status; that of http.client has it only in its words.
        status = getattr(cause, "status", None)
        if isinstance(status, int) and status >= 300:
            return status
        if match := _PROXY_REFUSAL.search(str(cause)):
            return int(match[1])
    return None


def _refused_by_proxy(request_line: str, status: int, *, not_sent: bool) -> ImportProgressError:
    words = f"{request_line} was not sent, because the proxy refused to connect to the host (HTTP {status})."
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ImportRequestError(
            f"{words} It demands other credentials: correct the connection's 'proxy', http://user:password@host:port.",
            not_sent=not_sent,
        )
    if is_transient(status):
        return ImportPollError(
            f"{words} If this lasts, check the proxy.",
            transient=True,
            rate_limited=status == HTTPStatus.TOO_MANY_REQUESTS,
            not_sent=not_sent,
        )
    return ImportRequestError(f"{words} Have it allowed there, or correct the connection's 'proxy'.", not_sent=not_sent)


def _is_unreadable(chain: Sequence[BaseException]) -> bool:
    import aiohttp
    import urllib3

    unreadable = (
        UnreadableError,
        aiohttp.http_exceptions.HttpProcessingError,
        http.client.BadStatusLine,
        http.client.LineTooLong,
        http.client.UnknownProtocol,
        urllib3.exceptions.InvalidHeader,
    )
    # A connection that ends before the answer begins is a BadStatusLine too, and a refusal by a proxy an HTTP error.
    others = (http.client.RemoteDisconnected, aiohttp.ClientHttpProxyError, aiohttp.ClientPayloadError)
    if any(isinstance(cause, others) for cause in chain):
        return False
    # For other reasons, such as too many headers, http.client raises HTTPException itself.
    return any(isinstance(cause, unreadable) or type(cause) is http.client.HTTPException for cause in chain)


def _causes(error: BaseException | None, handled_before: BaseException | None) -> Iterator[BaseException]:
    # The exception that the caller was handling already is in the chain of contexts, but it is not a cause.
    while error is not None and error is not handled_before:
        yield error
        error = error.__cause__ or error.__context__
