# SPDX-License-Identifier: Apache-2.0
"""An Airflow connection, read and checked before anything is sent."""

from __future__ import annotations

import json
import math
import re
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from airflow_import_progress.exceptions import ImportRequestError
from airflow_import_progress.http.exchange import excerpt

if TYPE_CHECKING:
    from airflow_import_progress.compat import Connection

#: Shorter secrets are not redacted, as in Airflow's own logs.
MIN_SECRET_LENGTH = 5
DEFAULT_REQUEST_TIMEOUT = 30.0
MIN_REQUEST_TIMEOUT = 0.1
MAX_REQUEST_TIMEOUT = 300.0
MIN_REQUESTS_PER_MINUTE = 0.1
MAX_REQUESTS_PER_MINUTE = 100_000.0
HOST = re.compile(
    r"(?P<name>\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)(:(?P<port>\d{1,5}))?", re.ASCII
)
#: The path below which a vendor or a gateway is served: without segments such as ``..``, and without a query.
PATH = re.compile(r"(/(?!(\.|%2e){1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})+)*", re.ASCII | re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{(\w*)\}", re.ASCII)
#: Slowest upload that is not given up, in bytes per second.
MIN_UPLOAD_RATE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class VendorConnection:
    """
    Hold an Airflow connection, checked and ready to use.

    :param conn_id: Its id in Airflow.
    :param base_url: Scheme, host, port and the path below which the vendor is served, without a slash at the end.
    :param login: The login, or an empty string.
    :param password: The password or key, or an empty string.
    :param timeout: How long one request may take, in seconds.
    :param verify: Whether to verify TLS, or the path of a file with the certificates to trust.
    :param proxy: The proxy's address, or None.
    :param requests_per_minute: How many requests a triggerer process sends in a minute at most, or None for what the
        vendor allows.
    :param extra: All the extras of the connection.
    """

    conn_id: str
    base_url: str
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    timeout: float = DEFAULT_REQUEST_TIMEOUT
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    requests_per_minute: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def max_request_seconds(self, body_bytes: int = 0) -> float:
        """
        Return the longest duration of a request, in seconds. An upload has more time than other requests.

        :param body_bytes: The size of the body that is uploaded.
        """
        return self.timeout + body_bytes / MIN_UPLOAD_RATE

    @cached_property
    def key(self) -> tuple[str | float | None, ...]:
        """The fields that may change an answer beside the request itself."""
        return self.base_url, self.login, self.password, self.timeout, self.verify, self.proxy

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The texts that are redacted everywhere, except secrets so short that they may be part of any text."""
        proxy_password = urlsplit(self.proxy).password if self.proxy else None
        return tuple(
            form
            for secret in (self.password, proxy_password, unquote(proxy_password or ""))
            if secret and len(secret) >= MIN_SECRET_LENGTH
            for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        )


def read_connection(
    conn_id: str, connection: Connection, extra: Any, base_url: Callable[[Connection, Mapping[str, Any]], str]
) -> VendorConnection:
    """
    Read and check an Airflow connection.

    :param conn_id: Its id.
    :param connection: The connection.
    :param extra: Its extras, parsed.
    :param base_url: Returns the address that requests go to.
    :raises ImportRequestError: if it cannot be used.
    """
    if connection.extra and not (isinstance(extra, dict) and (extra or is_empty_object(connection.extra))):
        raise ImportRequestError("The connection's extra is not a JSON object. Correct it in Airflow.")
    return VendorConnection(
        conn_id=conn_id,
        base_url=base_url(connection, extra),
        login=read_text("login", connection.login),
        password=read_text("password", connection.password),
        timeout=read_timeout(extra.get("timeout")),
        verify=read_verify(extra.get("verify")),
        proxy=read_proxy(extra.get("proxy")),
        requests_per_minute=read_requests_per_minute(extra.get("requests_per_minute")),
        extra=extra,
    )


# The fields of a connection. Forms of different Airflow versions store an empty field as null or as "".


def read_text(name: str, value: Any) -> str:
    """
    Return a field as text, without the space around it.

    :param name: The field, for the message.
    :param value: The field: None is an empty text, a whole number the text that it is written as.
    :raises ImportRequestError: if it is anything else. The message does not have the value, which may be a secret.
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ImportRequestError(f"The connection's {name} must be a text, not a value of type {type(value).__name__}.")
    try:
        text = str(value).strip()
        text.encode()
    except ValueError:
        # An unpaired surrogate, or a number of thousands of digits.
        raise ImportRequestError(f"The connection's {name} has characters that cannot be sent.") from None
    return text


def require_credential(name: str, value: str, expected: str) -> None:
    """
    Raise if a credential is missing or cannot be sent in a header.

    :param name: The connection's field, such as ``"password"``.
    :param value: The field, already read.
    :param expected: What to enter there, such as ``"Lucca API key"``.
    :raises ImportRequestError: The message does not have the value.
    """
    if not value:
        raise ImportRequestError(f"The connection has no {name}. Enter the {expected} there.")
    if not (value.isascii() and value.isprintable()):
        raise ImportRequestError(
            f"The connection's {name} has characters that cannot be sent. Enter the {expected} alone."
        )


def read_base_url(host: Any, scheme: Any, port: Any) -> str:
    """Return the address that requests go to, from the fields host, schema and port."""
    text = read_text("host", host).rstrip("/")
    if not text:
        raise ImportRequestError("The connection has no host. Enter the host name, such as 'acme.example.com'.")
    scheme_of_host, separator, rest = text.partition("://")
    if not separator:
        scheme_of_host, rest = "", text
    scheme = (read_text("schema", scheme) or scheme_of_host or "https").lower()
    if scheme not in ("http", "https"):
        raise ImportRequestError(f"The connection's schema must be 'https' or 'http', not {scheme!r}.")
    if scheme_of_host and scheme_of_host.lower() != scheme:
        raise ImportRequestError(
            f"The connection's host begins with {scheme_of_host!r} but its schema is {scheme!r}. Remove one of the two."
        )
    authority, slash, path = rest.partition("/")
    match = HOST.fullmatch(f"[{authority}]" if _is_ipv6(authority) else authority)
    # The part before an @ would be a user and password.
    is_usable = match is not None and "@" not in rest and PATH.fullmatch(slash + path) is not None
    if match is None or not is_usable or (match["ipv6"] and not _is_ipv6(match["ipv6"])):
        # Not repeated in the message if it may contain a password.
        given = "" if {"@", "?"} & set(rest) else f", not {excerpt(rest)!r}"
        raise ImportRequestError(
            f"The connection's host must be a host name, such as 'acme.example.com', or one with a path, such as "
            f"'example.com/chat'{given}."
        )
    number = _read_port(port)
    if match["port"] and number and int(match["port"]) != number:
        raise ImportRequestError(
            f"The connection's host names port {match['port']}, its port is {number}. Remove one of the two."
        )
    number = number or (_read_port(match["port"]) if match["port"] else None)
    return f"{scheme}://{match['name'].lower()}{f':{number}' if number else ''}{slash}{path}"


def _is_ipv6(text: str) -> bool:
    try:
        return not IPv6Address(text).scope_id
    except ValueError:
        return False


def _read_port(value: Any) -> int | None:
    # HashiCorp Vault and other secrets backends return it as a text.
    text = read_text("port", value)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise ImportRequestError(f"The connection's port must be from 1 to 65535, not {excerpt(text, 50)!r}.")
    return int(text)


def read_timeout(value: Any) -> float:
    """Return the maximum duration of a request, in seconds, from the extra ``timeout``."""
    seconds = _read_number("timeout", value, "seconds", MIN_REQUEST_TIMEOUT, MAX_REQUEST_TIMEOUT)
    return DEFAULT_REQUEST_TIMEOUT if seconds is None else seconds


def read_requests_per_minute(value: Any) -> float | None:
    """Return the maximum number of requests per minute, or None, from the extra ``requests_per_minute``."""
    return _read_number("requests_per_minute", value, "a number", MIN_REQUESTS_PER_MINUTE, MAX_REQUESTS_PER_MINUTE)


def _read_number(name: str, value: Any, what: str, minimum: float, maximum: float) -> float | None:
    if value in (None, ""):
        return None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not minimum <= number <= maximum:
        raise ImportRequestError(
            f"The connection's extra {name!r} must be {what} from {minimum:g} to {maximum:g}, not "
            f"{excerpt(repr(value), 50)}."
        )
    return number


def read_verify(value: Any) -> bool | str:
    """Return whether to verify TLS, or the file to verify it with, from the extra ``verify``."""
    if value in (None, ""):
        return True
    if isinstance(value, bool):
        return value
    text = read_text("extra 'verify'", value)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        ssl.create_default_context(cafile=text)
    except (OSError, ValueError) as error:
        raise ImportRequestError(
            f"The connection's extra 'verify' must be true, false or the path of a file with certificates, and "
            f"{text!r} cannot be read as certificates on this machine ({type(error).__name__})."
        ) from None
    return text


def read_proxy(value: Any) -> str | None:
    """Return the proxy's address or None, from the extra ``proxy``."""
    if value in (None, ""):
        return None
    try:
        parts = urlsplit(str(value).strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not repeated in the message, because it may contain a password.
        raise ImportRequestError(
            "The connection's extra 'proxy' must be an address such as 'http://proxy.example:3128'."
        )
    return str(value).strip()


def read_import_page(value: Any, allowed_placeholders: Collection[str]) -> str | None:
    """
    Return the address of the vendor's page of an import, with placeholders, from the extra ``import_page``.

    :param value: The extra.
    :param allowed_placeholders: The names of the placeholders that it may have: the arguments of the imports.
    """
    if value in (None, ""):
        return None
    text = str(value).strip()
    # Placeholders are allowed only after the host, so that no value decides where the button leads to.
    address = PLACEHOLDER.sub("", text)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc) is not None
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text or {"{", "}"} & set(address):
        # Not repeated in the message if it may contain a password.
        given = "" if "@" in text else f", not {excerpt(text)!r}"
        raise ImportRequestError(
            f"The connection's extra 'import_page' must be an address such as "
            f"'https://vendor.example/imports/{{{min(allowed_placeholders, default='id')}}}'{given}."
        )
    unknown = sorted(set(PLACEHOLDER.findall(text)) - set(allowed_placeholders))
    if unknown:
        raise ImportRequestError(
            f"The connection's extra 'import_page' has the unknown placeholder {{{excerpt(unknown[0])}}}. Available: "
            f"{', '.join(sorted(allowed_placeholders))}."
        )
    return text


def fill_placeholders(page: str, values: Mapping[str, str]) -> str | None:
    """
    Return the address of the vendor's page of one import, or None if a placeholder has no value.

    :param page: The address with placeholders.
    :param values: The values by the names of the placeholders.
    """
    if not set(PLACEHOLDER.findall(page)) <= set(values):
        return None
    return PLACEHOLDER.sub(lambda place: quote(values[place[1]], safe=""), page)


def is_empty_object(text: str) -> bool:
    """Return whether a text is the JSON of an object without keys."""
    try:
        return bool(json.loads(text) == {})
    except ValueError:
        return False
