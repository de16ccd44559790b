# SPDX-License-Identifier: Apache-2.0
"""The API of the "Imports" page, as a client of one user reads it over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from ssl import SSLError
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import requests

from airflow_import_progress import __version__
from airflow_import_progress.http.exchange import excerpt, redacted

#: The address that Airflow's own clients use if none is configured.
DEFAULT_URL = "http://localhost:8080"
#: The variable from which Airflow's own clients read a token.
TOKEN_VARIABLE = "AIRFLOW_CLI_TOKEN"  # noqa: S105
USERNAME_VARIABLE, PASSWORD_VARIABLE = "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"
#: The path of the list, below Airflow's address.
WAITS_PATH = "/import-progress/api/waits"
#: Maximum duration of the connection, and of a gap in the answer, in seconds.
TIMEOUT = (10.0, 60.0)


class AirflowApiError(Exception):
    """Raised if Airflow does not return the list, with the reason and advice."""


class Waits(NamedTuple):
    """
    Hold a part of the list.

    :param waits: The waits as JSON objects.
    :param is_cut: Whether Airflow left out waits.
    """

    waits: list[dict[str, Any]]
    is_cut: bool


class AirflowApi:
    """
    A client of the API, for use as a context manager.

    :param url: The address of Airflow. None: that of Airflow's configuration.
    :param environment: The environment variables with the token, or with the user name and the password.
    :raises AirflowApiError: if the address or the credentials cannot be used.
    """

    def __init__(self, url: str | None, environment: Mapping[str, str] = os.environ) -> None:
        self.url = _checked_url(url or _configured_url())
        self._token = environment.get(TOKEN_VARIABLE, "").strip()
        if not self._token.isascii() or not self._token.isprintable() or " " in self._token:
            raise AirflowApiError(f"{TOKEN_VARIABLE} is not a token: it contains characters that no token contains.")
        self._username = environment.get(USERNAME_VARIABLE, "")
        self._password = environment.get(PASSWORD_VARIABLE, "")
        if not self._token and not (self._username and self._password):
            raise AirflowApiError(
                f"No credentials for {self.url}: set the environment variable {TOKEN_VARIABLE} to a token of Airflow's "
                f"API, or {USERNAME_VARIABLE} and {PASSWORD_VARIABLE}."
            )
        self._session = requests.Session()
        self._session.headers.update(
            {"Accept": "application/json", "User-Agent": f"airflow-provider-import-progress/{__version__}"}
        )
        # Set, because requests would otherwise replace the token by an entry of .netrc.
        self._session.auth = self._authenticate

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._session.close()

    def list_waits(self, **parameters: Any) -> Waits:
        """
        Return the waits that the user may see.

        :param parameters: The parameters of the page's API. Those that are None are left out.
        :raises AirflowApiError: if Airflow does not return them.
        """
        if not self._token:
            self._token = self._create_token()
        answer = self._send("GET", WAITS_PATH, params=parameters)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise AirflowApiError(
                f"{self._refusal(answer)} The token is not valid here, or not any more: set {TOKEN_VARIABLE} to a new "
                f"one."
            )
        if answer.status_code == HTTPStatus.FORBIDDEN:
            raise AirflowApiError(
                f"{self._refusal(answer)} The list needs a valid token of a user who may read DAGs, task instances and "
                f"XComs."
            )
        content = _json(answer)
        if answer.status_code == HTTPStatus.NOT_FOUND or (answer.ok and content is None):
            # Airflow returns the HTML of its UI for paths that it does not have.
            raise AirflowApiError(self._missing_page())
        if not answer.ok:
            raise AirflowApiError(f"{self._refusal(answer)} Try again. If this lasts, check the API server.")
        waits = content.get("waits") if isinstance(content, dict) else None
        if not isinstance(waits, list):
            raise AirflowApiError(f"{self.url}{WAITS_PATH} did not return a list of imports. Check the address.")
        return Waits(waits, is_cut=content.get("next_offset") is not None)

    def _authenticate(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _create_token(self) -> str:
        body = {"username": self._username, "password": self._password}
        answer = self._send("POST", "/auth/token", json=body)
        content = _json(answer)
        token = content.get("access_token") if isinstance(content, dict) else None
        if answer.ok and isinstance(token, str):
            return token
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise AirflowApiError(f"{self._refusal(answer)} Check {USERNAME_VARIABLE} and {PASSWORD_VARIABLE}.")
        raise AirflowApiError(
            f"{self._refusal(answer)} It did not return a token for {USERNAME_VARIABLE} and {PASSWORD_VARIABLE}. Check "
            f"the address, or set {TOKEN_VARIABLE} to a token if this Airflow has another log-in."
        )

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            answer = self._session.request(
                method, f"{self.url}{path}", timeout=TIMEOUT, allow_redirects=False, **arguments
            )
        except requests.RequestException as error:
            raise AirflowApiError(
                f"Airflow was not reached at {self.url}: {_reason(error)}. Check --api-url, and that the API server "
                f"is up."
            ) from None
        if answer.is_redirect:
            target = answer.headers["Location"].partition("?")[0]
            raise AirflowApiError(
                f"{self._refusal(answer)} It is a redirect to {excerpt(target)!r}, which is not followed, because the "
                f"credentials are only for this address. Name with --api-url the address at which Airflow itself "
                f"answers."
            )
        return answer

    def _refusal(self, answer: requests.Response) -> str:
        content = _json(answer)
        detail = content.get("detail") if isinstance(content, dict) else None
        words = (
            f"{answer.request.method} {(answer.url or self.url).partition('?')[0]} returned HTTP {answer.status_code}"
        )
        if isinstance(detail, str):
            words = f"{words}: {excerpt(redacted(detail, self._secrets)).rstrip('.')}"
        return f"{words}."

    @property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in (self._token, self._password) if secret)

    def _missing_page(self) -> str:
        content = _json(self._send("GET", "/api/v2/version"))
        version = content.get("version") if isinstance(content, dict) else None
        if not isinstance(version, str):
            return f"No Airflow 3 answers at {self.url}. Check --api-url. The list needs Airflow 3.1 or later."
        return (
            f"Airflow {excerpt(version)} at {self.url} has no Imports page. It needs Airflow 3.1 or later, and an API "
            f"server that was restarted after airflow-provider-import-progress was installed beside it."
        )


def _configured_url() -> str:
    from airflow.configuration import conf

    return conf.get("api", "base_url", fallback=None) or DEFAULT_URL


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
    except ValueError:
        is_usable = False
    # Not repeated in the message, because it may contain a password.
    if not is_usable or "@" in url or "?" in url or "#" in url:
        raise AirflowApiError(
            "The address of Airflow must be one such as https://airflow.example.com, without a user or password. Check "
            "--api-url or, without it, [api] base_url of Airflow's configuration."
        )
    return url.rstrip("/")


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _reason(error: requests.RequestException) -> str:
    """Return the reason of the operating system. The words of requests may contain the credentials."""
    if isinstance(error, requests.Timeout):
        return "it took too long"
    for cause in _causes(error):
        if isinstance(cause, SSLError):
            return f"TLS failed ({getattr(cause, 'verify_message', '') or cause.reason})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
