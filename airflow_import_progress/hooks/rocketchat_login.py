# SPDX-License-Identifier: Apache-2.0
"""The log-in to Rocket.Chat with a user name and password."""

from __future__ import annotations

from hashlib import blake2b
from secrets import token_bytes
from typing import NamedTuple

from airflow_import_progress.hooks.rocketchat_answers import is_server_fault, server_fault_error
from airflow_import_progress.vendor import (
    Conversation,
    ImportProtocolError,
    ImportRequestError,
    Request,
    VendorConnection,
    as_text,
)

LOGIN_PATH = "/api/v1/login"

TWO_FACTOR_ADVICE = (
    "Use a personal access token instead: create one in Rocket.Chat under My Account > Personal Access Tokens, with "
    "two-factor authentication ignored, enter the user id as the connection's login and the token as its password, "
    "and remove the extra 'auth_method'."
)


class LogIn(NamedTuple):
    """The user id and token that authenticate requests."""

    user_id: str
    auth_token: str


#: The log-ins of this process by address and user name, which all its waits share. Each has the digest of its password,
#: so that the password itself is not kept for as long as the process lives. The digest's key is this process's own.
_log_ins: dict[tuple[str, str], tuple[bytes, LogIn]] = {}
_DIGEST_KEY = token_bytes(32)


def sign(request: Request, log_in: LogIn) -> Request:
    """Return a request with the headers of the authentication."""
    return request.with_headers({"X-User-Id": log_in.user_id, "X-Auth-Token": log_in.auth_token})


def get_log_in(connection: VendorConnection, refused: LogIn | None = None) -> Conversation[LogIn]:
    """
    Return the log-in of this process, or log in if there is none.

    :param connection: The connection with the user name and password.
    :param refused: A log-in that the server has refused, which is not returned again.
    """
    key = connection.base_url, connection.login
    digest = blake2b(connection.password.encode(), key=_DIGEST_KEY).digest()
    kept_digest, log_in = _log_ins.get(key, (b"", None))
    # If another wait has logged in again meanwhile, its log-in is not the refused one.
    if log_in is None or log_in == refused or kept_digest != digest:
        log_in = yield from _log_in(connection)
        _log_ins[key] = digest, log_in
    return log_in


def known_user_id(connection: VendorConnection) -> str | None:
    """Return the user id with which requests are signed, or None if this process has not logged in."""
    if connection.extra.get("auth_method") != "password":
        return connection.login
    _, log_in = _log_ins.get((connection.base_url, connection.login), (b"", None))
    return log_in.user_id if log_in else None


def _log_in(connection: VendorConnection) -> Conversation[LogIn]:
    credentials = {"user": connection.login, "password": connection.password}
    response = yield Request(method="POST", path=LOGIN_PATH, json=credentials, shared=True)
    answer = response.parsed_or_none()
    if is_server_fault(response):
        raise server_fault_error(response)
    if response.status == 401 and isinstance(answer, dict):
        if answer.get("error") == "totp-required":
            raise ImportRequestError(
                f"{response.request_line} requires a two-factor code, which cannot be entered here. {TWO_FACTOR_ADVICE}"
            )
        raise ImportRequestError(
            f"{response.request_line} refused the user name or password ({response.error_text()}).", status=401
        )
    response.raise_for_status()
    data = answer.get("data") if isinstance(answer, dict) else None
    user_id, token = (as_text(data.get(name)) if isinstance(data, dict) else None for name in ("userId", "authToken"))
    if not (user_id and token and f"{user_id}{token}".isascii() and f"{user_id}{token}".isprintable()):
        # Without an excerpt of the body, which may have a token.
        raise ImportProtocolError(
            f"{response.request_line} returned an answer without the user id and token that its API promises.",
            # Proxies and maintenance pages return bodies that are not JSON.
            transient=answer is None,
            status=response.status,
        )
    return LogIn(user_id, token)
