# SPDX-License-Identifier: Apache-2.0
"""The file of an import: a path, an address in an object storage, or bytes."""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from airflow_import_progress.exceptions import ImportFileError
from airflow_import_progress.http.exchange import ADDRESS, excerpt, redacted

if TYPE_CHECKING:
    from airflow_import_progress.compat import ObjectStoragePath
    from airflow_import_progress.http.body import Readable

#: The file of an import, as users give it.
ImportFileSource: TypeAlias = "str | bytes | os.PathLike[str] | ObjectStoragePath"
READ_CHUNK_BYTES = 1024 * 1024
#: An address: its scheme, the rest without the query, and the query.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^?]*)(?:\?(.*))?", re.DOTALL)
#: Shortest part of an address that is removed from messages. A shorter one would be found in many words.
MIN_SECRET_LENGTH = 5


class ImportFile:
    """
    Read the file of an import, as often as it is needed and never as a whole.

    :param file: A local path, an address that Airflow's ``ObjectStoragePath`` accepts, such as
        ``"s3://aws_default@bucket/key"``, such a path, or the content as bytes.
    :param max_bytes: Largest file that the vendor accepts, in bytes. Default None: any size.
    :param name: The name under which the vendor receives the file. Default: the last part of the path, or
        ``"import.csv"`` for bytes.
    :raises ImportFileError: if the file is missing, empty, too large or cannot be read.
    """

    def __init__(
        self,
        file: ImportFileSource,
        *,
        max_bytes: int | None = None,
        name: str | None = None,
    ) -> None:
        self._content = bytes(file) if isinstance(file, bytes | bytearray) else None
        self._path: Any = None if self._content is not None else _path(file)
        # For messages, without a query, a user and a password, which may give access to the file.
        self._address, self._secrets = _without_secrets(
            "" if self._path is None else str(self._path if _is_local(self._path) else file)
        )
        self.name = name or (_name(self._path) if self._path is not None else "import.csv")
        self.size = self._checked_size(max_bytes)

    def __str__(self) -> str:
        if self._content is not None:
            return f"the {len(self._content):,} bytes given as file"
        return f"the file {excerpt(self._address)!r}"

    def open(self) -> Readable:
        """
        Return a stream from the beginning of the content.

        :raises ImportFileError: if the file cannot be opened, and also while it is read.
        """
        if self._content is not None:
            return io.BytesIO(self._content)
        try:
            return _Stream(self, self._path.open("rb"))
        except Exception as error:
            raise self.unreadable(error) from None

    def digest(self) -> str:
        """
        Return the SHA-256 of the content, in hexadecimal digits. The file is read piece by piece.

        :raises ImportFileError: if the file cannot be read.
        """
        digest, stream = hashlib.sha256(), self.open()
        try:
            while chunk := stream.read(READ_CHUNK_BYTES):
                digest.update(chunk)
        finally:
            stream.close()
        return digest.hexdigest()

    def unreadable(self, error: Exception) -> ImportFileError:
        """
        Return the error for a file that cannot be read, without the secrets of its address.

        It is raised without its cause, whose text is of a library and may contain the address.

        :param error: The reason.
        """
        if isinstance(error, FileNotFoundError):
            reason = "does not exist"
        elif isinstance(error, PermissionError):
            reason = "may not be read by this worker"
        else:
            reason = f"cannot be read ({_words(error, self._secrets)})"
        advice = "Check the path."
        if self._path is not None and not _is_local(self._path):
            advice = "Check the address and its connection, and that the provider package of this storage is installed."
        return ImportFileError(f"{self} {reason}, so no import was started. {advice}")

    def _checked_size(self, max_bytes: int | None) -> int:
        if self._content is not None:
            size = len(self._content)
        else:
            try:
                if self._path.is_dir():
                    raise IsADirectoryError("it is a folder")  # noqa: TRY301
                size = self._path.stat().st_size
                if not isinstance(size, int):
                    raise ValueError("its size is unknown")  # noqa: TRY301, TRY004
            except Exception as error:
                raise self.unreadable(error) from None
        if not size:
            raise ImportFileError(f"{self} is empty, so no import was started. Check the task that writes it.")
        if max_bytes is not None and size > max_bytes:
            raise ImportFileError(
                f"{self} has {size:,} bytes, and the vendor accepts at most {max_bytes:,}. No import was started: "
                f"split the file."
            )
        return size


class _Stream:
    """The stream of a file, whose errors are those of this package."""

    def __init__(self, file: ImportFile, stream: Readable) -> None:
        self._file = file
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:
            raise self._file.unreadable(error) from None

    def close(self) -> None:
        self._stream.close()


def _path(file: Any) -> Any:
    if isinstance(file, str):
        if not file.strip() or file.strip().lower() == "none":
            raise ImportFileError(
                f"file is {file!r}, which is not a path. Check the template or the task that returns it."
            )
        if (address := _ADDRESS.fullmatch(file)) is None:
            return Path(file)
        return _local_path(file) if address[1].lower() == "file" else _storage_path(file)
    if isinstance(file, os.PathLike) and not hasattr(file, "storage_options"):
        return Path(os.fsdecode(file))
    if not hasattr(file, "open") or not hasattr(file, "stat"):
        raise ImportFileError(
            f"file must be a path, an address or bytes, not {type(file).__name__}. Check the task that returns it."
        )
    return file


def _local_path(address: str) -> Path:
    # As it is, because a local name may contain the marks of a query or a fragment.
    host, _, path = address.partition("://")[2].partition("/")
    if host.rpartition("@")[2] not in ("", "localhost"):
        raise ImportFileError(
            "The address of a local file must begin with 'file:///', with three slashes. Check the address."
        )
    return Path(f"/{path}")


def _storage_path(address: str) -> Any:
    from airflow_import_progress.compat import ObjectStoragePath

    try:
        return ObjectStoragePath(address)
    except Exception as error:
        shown, secrets = _without_secrets(address)
        advice = "Check its scheme and its connection, and that the provider package of this storage is installed."
        if isinstance(error, TypeError):
            # As of universal_pathlib 0.3 with an Airflow that is older than that and does not exclude it.
            advice = (
                "This Airflow probably does not work with the installed version of universal_pathlib: install the one "
                "in Airflow's constraints file."
            )
        raise ImportFileError(
            f"The address of the file {excerpt(shown)!r} cannot be used ({_words(error, secrets)}), so no import was "
            f"started. {advice}"
        ) from None


def _name(path: Any) -> str:
    name: str = path.name
    # That of an address ends with its query.
    return name if _is_local(path) else name.partition("?")[0]


def _is_local(path: Any) -> bool:
    # In Airflow 2 an ObjectStoragePath is a Path too.
    return isinstance(path, Path) and not hasattr(path, "storage_options")


def _without_secrets(text: str) -> tuple[str, tuple[str, ...]]:
    """Return an address without a user, a password and a query, and the texts that may give access to the file."""
    if (address := _ADDRESS.fullmatch(text)) is None:
        return text, ()
    scheme, rest, query = address.groups()
    user, _, place = rest.rpartition("@")
    # Further on, an @ belongs to a key, unless it follows a password with a slash.
    if "/" in user and ":" not in user:
        user, place = "", rest
    password = user.partition(":")[2]
    # Libraries split an address at other places if a password contains their marks.
    parts = [user, password, *re.split("[@/:]", password)] if password else []
    parts += [query, *(part.partition("=")[2] for part in query.split("&"))] if query else []
    secrets = {secret for part in parts for secret in (part, unquote(part)) if len(secret) >= MIN_SECRET_LENGTH}
    return f"{scheme}://{place}", tuple(sorted(secrets, key=len, reverse=True))


def _words(error: Exception, secrets: tuple[str, ...]) -> str:
    text = redacted(f"{type(error).__name__}: {error}", secrets)
    return excerpt(ADDRESS.sub(r"\1\2", text))
