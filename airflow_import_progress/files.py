# SPDX-License-Identifier: Apache-2.0
"""The file of an import: a path, an address in an object storage, or bytes."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from airflow_import_progress.exceptions import ImportFileError
from airflow_import_progress.http.exchange import ADDRESS, excerpt

if TYPE_CHECKING:
    from airflow_import_progress.compat import ObjectStoragePath
    from airflow_import_progress.http.body import Readable

#: The file of an import, as users give it.
ImportFileSource: TypeAlias = "str | bytes | os.PathLike[str] | ObjectStoragePath"
READ_CHUNK_BYTES = 1024 * 1024


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
        self.name = name or (self._path.name if self._path is not None else "import.csv")
        self.size = self._checked_size(max_bytes)

    def __str__(self) -> str:
        if self._path is None:
            return f"the {self.size:,} bytes given as file"
        # Without a query, a user and a password, which may give access to it.
        return f"the file {excerpt(ADDRESS.sub(_WITHOUT_CREDENTIALS, str(self._path)))!r}"

    def open(self) -> Readable:
        """
        Return a stream from the beginning of the content.

        :raises ImportFileError: if the file cannot be opened.
        """
        if self._content is not None:
            return io.BytesIO(self._content)
        try:
            stream: Readable = self._path.open("rb")
        except Exception as error:
            raise self._unreadable(error) from error
        return stream

    def digest(self) -> str:
        """
        Return the SHA-256 of the content, in hexadecimal digits. The file is read piece by piece.

        :raises ImportFileError: if the file cannot be read.
        """
        digest, stream = hashlib.sha256(), self.open()
        try:
            while chunk := stream.read(READ_CHUNK_BYTES):
                digest.update(chunk)
        except Exception as error:
            raise self._unreadable(error) from error
        finally:
            stream.close()
        return digest.hexdigest()

    def _checked_size(self, max_bytes: int | None) -> int:
        if self._content is not None:
            size = self.size = len(self._content)
        else:
            try:
                if self._path.is_dir():
                    raise IsADirectoryError("it is a folder")  # noqa: TRY301
                size = int(self._path.stat().st_size)
            except Exception as error:
                raise self._unreadable(error) from error
        if not size:
            raise ImportFileError(f"{self} is empty, so no import was started. Check the task that writes it.")
        if max_bytes is not None and size > max_bytes:
            raise ImportFileError(
                f"{self} has {size:,} bytes, and the vendor accepts at most {max_bytes:,}. No import was started: "
                f"split the file."
            )
        return size

    def _unreadable(self, error: Exception) -> ImportFileError:
        if isinstance(error, FileNotFoundError):
            reason = "does not exist"
        elif isinstance(error, PermissionError):
            reason = "may not be read by this worker"
        else:
            words = excerpt(ADDRESS.sub(_WITHOUT_CREDENTIALS, f"{type(error).__name__}: {error}"))
            reason = f"cannot be read ({words})"
        return ImportFileError(f"{self} {reason}, so no import was started. Check the path and its connection.")


#: What :data:`.ADDRESS` keeps of an address.
_WITHOUT_CREDENTIALS = r"\1\2"


def _path(file: Any) -> Any:
    if isinstance(file, str):
        if not file.strip() or file.strip().lower() == "none":
            raise ImportFileError(
                f"file is {file!r}, which is not a path. Check the template or the task that returns it."
            )
        scheme = urlsplit(file).scheme if "://" in file else ""
        if scheme == "file":
            return Path(PurePosixPath(file.removeprefix("file://")))
        if scheme:
            from airflow_import_progress.compat import ObjectStoragePath

            try:
                return ObjectStoragePath(file)
            except Exception as error:
                words = excerpt(ADDRESS.sub(_WITHOUT_CREDENTIALS, f"{type(error).__name__}: {error}"))
                raise ImportFileError(
                    f"The address of the file cannot be used ({words}). Check its scheme and its connection, and that "
                    f"the provider package of this storage is installed."
                ) from error
        return Path(file)
    if isinstance(file, os.PathLike) and not hasattr(file, "storage_options"):
        return Path(file)
    if not hasattr(file, "open") or not hasattr(file, "stat"):
        raise ImportFileError(
            f"file must be a path, an address or bytes, not {excerpt(repr(file), 80)}. Check the task that returns it."
        )
    return file
