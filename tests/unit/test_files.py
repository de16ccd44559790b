# SPDX-License-Identifier: Apache-2.0
"""The file of an import: it is found, checked and read the same wherever it is."""

from __future__ import annotations

import hashlib
import io
import os
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_import_progress import compat, files
from airflow_import_progress.exceptions import ImportFileError
from airflow_import_progress.files import ImportFile

CONTENT = "utilisateur;début\nÉva;2026-01-01\n".encode()


def read(file):
    stream = file.open()
    try:
        return b"".join(iter(lambda: stream.read(7), b""))
    finally:
        stream.close()


def refusal(file, **arguments):
    """Return the words by which a file is refused, with all that a traceback in a log would show."""
    with pytest.raises(ImportFileError) as caught:
        ImportFile(file, **arguments)
    return "".join(traceback.format_exception_only(caught.value)), "".join(traceback.format_exception(caught.value))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "congés d'été.csv"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def memory():
    """Return a file system in memory that addresses with memory:// lead to, with and without a connection."""
    try:
        compat.ObjectStoragePath("file:///tmp")
    except TypeError as error:
        pytest.skip(f"this Airflow does not work with this universal_pathlib: {error}")
    try:
        from airflow.sdk.io import attach
    except ImportError:
        from airflow.io.store import attach
    system = MemoryFileSystem()
    for conn_id in (None, "storage_default", "user:sesame-open"):
        attach("memory", conn_id, fs=system)
    yield system
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


class FakePath:
    """A path in a storage, as far as it is used."""

    storage_options: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, address, content=CONTENT, *, size=None, error=None, is_folder=False):
        self.address, self.content, self.error, self.is_folder = address, content, error, is_folder
        self.size = len(content) if size is None else size
        self.name = address.rpartition("/")[2]

    def __str__(self):
        return self.address

    def is_dir(self):
        return self.is_folder

    def stat(self):
        return SimpleNamespace(st_size=self.size)

    def open(self, mode):
        assert mode == "rb"
        if self.error:
            raise self.error
        return io.BytesIO(self.content)


# Where a file may be


@pytest.mark.parametrize(
    "given", [str, lambda path: path, lambda path: f"file://{path}", lambda path: f"FILE://localhost{path}"]
)
def test_a_local_file_is_read_by_its_path_or_address(path, given):
    file = ImportFile(given(path))
    assert (read(file), file.size, file.name) == (CONTENT, len(CONTENT), "congés d'été.csv")


def test_a_relative_path_is_read(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert read(ImportFile(path.name)) == CONTENT


def test_an_entry_of_a_folder_is_read(path):
    (entry,) = os.scandir(path.parent)
    assert read(ImportFile(entry)) == CONTENT


def test_marks_of_a_query_belong_to_the_name_of_a_local_file(tmp_path):
    path = tmp_path / "a?b#c%20d.csv"
    path.write_bytes(CONTENT)
    file = ImportFile(f"file://{path}")
    assert (read(file), file.name) == (CONTENT, path.name)
    assert path.name in str(file)


@pytest.mark.parametrize("content", [CONTENT, bytearray(CONTENT)])
def test_bytes_are_a_file(content):
    file = ImportFile(content)
    assert (read(file), file.size, file.name) == (CONTENT, len(CONTENT), "import.csv")


def test_bytes_that_change_afterwards_do_not_change_the_file():
    content = bytearray(CONTENT)
    file = ImportFile(content)
    content.clear()
    assert read(file) == CONTENT


@pytest.mark.parametrize("address", ["memory://folder/congés.csv", "memory://storage_default@folder/congés.csv"])
def test_a_file_in_a_storage_is_read_by_its_address(memory, address):
    memory.pipe("/folder/congés.csv", CONTENT)
    file = ImportFile(address)
    assert (read(file), file.size, file.name) == (CONTENT, len(CONTENT), "congés.csv")


def test_a_path_in_a_storage_is_read(memory):
    memory.pipe("/folder/a.csv", CONTENT)
    file = ImportFile(compat.ObjectStoragePath("memory://storage_default@folder/a.csv"))
    assert (read(file), file.size, file.name) == (CONTENT, len(CONTENT), "a.csv")


def test_a_local_path_of_airflow_is_read(memory, path):
    file = ImportFile(compat.ObjectStoragePath(f"file://{path}"))
    assert (read(file), file.size, file.name) == (CONTENT, len(CONTENT), path.name)


def test_a_name_for_the_vendor_replaces_that_of_the_file(path):
    assert ImportFile(path, name="leaves.csv").name == "leaves.csv"


def test_a_file_is_read_from_its_beginning_each_time(path):
    file = ImportFile(path)
    assert read(file) == read(file) == CONTENT


# What is refused


def test_a_missing_file_is_refused(tmp_path):
    words, _ = refusal(tmp_path / "missing.csv")
    assert "/missing.csv' does not exist, so no import was started." in words


def test_a_missing_file_in_a_storage_is_refused(memory):
    assert "the file 'memory://folder/missing.csv' does not exist" in refusal("memory://folder/missing.csv")[0]


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.csv"
    path.touch()
    assert "is empty, so no import was started" in refusal(path)[0]
    assert "the 0 bytes given as file is empty" in refusal(b"")[0]


def test_a_folder_is_refused(tmp_path):
    assert "it is a folder" in refusal(tmp_path)[0]
    assert "it is a folder" in refusal(FakePath("s3://bucket/folder", is_folder=True))[0]


def test_a_file_is_refused_above_the_limit_and_not_at_it(path):
    assert ImportFile(path, max_bytes=len(CONTENT)).size == len(CONTENT)
    words, _ = refusal(path, max_bytes=len(CONTENT) - 1)
    assert f"has {len(CONTENT)} bytes, and the vendor accepts at most {len(CONTENT) - 1}. No import" in words


def test_a_file_that_this_worker_may_not_look_at_is_refused(path, monkeypatch):
    def stat(self, **_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", stat)
    assert "may not be read by this worker" in refusal(path)[0]


def test_a_file_that_this_worker_may_not_open_is_refused_when_it_is_opened():
    file = ImportFile(FakePath("s3://bucket/a.csv", error=PermissionError(13, "Permission denied")))
    with pytest.raises(ImportFileError, match="may not be read by this worker"):
        file.open()
    with pytest.raises(ImportFileError, match="may not be read by this worker"):
        file.digest()


def test_a_file_of_unknown_size_is_refused():
    path = FakePath("https://files.example/a.csv")
    path.size = None
    assert "its size is unknown" in refusal(path)[0]


@pytest.mark.parametrize("text", ["None", "none", " NONE ", "", "  "])
def test_a_template_that_rendered_to_nothing_is_refused(text):
    assert "which is not a path. Check the template" in refusal(text)[0]


@pytest.mark.parametrize("value", [None, 5, {"url": "https://h/?sig=sesame-open"}, [b"a"], io.BytesIO(b"a")])
def test_a_value_that_is_no_file_is_refused_without_its_content(value):
    words, log = refusal(value)
    assert f"must be a path, an address or bytes, not {type(value).__name__}" in words
    assert "sesame" not in log


@pytest.mark.parametrize("path", ["a\0b.csv", "/" + "a" * 5000])
def test_a_path_that_cannot_be_one_is_refused(path):
    assert "cannot be read" in refusal(path)[0]


@pytest.mark.parametrize("address", ["file://folder/a.csv", "file://folder"])
def test_a_local_address_with_two_slashes_is_refused(address):
    assert "three slashes" in refusal(address)[0]


@pytest.mark.parametrize("address", ["nosuchscheme://host/a.csv", "https://[broken/a.csv"])
def test_an_address_that_cannot_be_used_is_refused(address):
    assert f"the file {address!r} cannot be" in refusal(address)[0].replace("The address of ", "")


def test_an_address_that_the_installed_universal_pathlib_does_not_support_is_refused_with_advice(monkeypatch):
    class Unusable:
        def __init__(self, address):
            raise TypeError("detected protocol s3 which is incompatible")

    monkeypatch.setattr(compat, "ObjectStoragePath", Unusable, raising=False)
    words, _ = refusal("s3://bucket/a.csv")
    assert "does not work with the installed version of universal_pathlib" in words
    assert "so no import was started" in words


def test_the_address_of_a_storage_whose_package_is_missing_is_refused_with_that_advice(memory):
    assert "that the provider package of this storage is installed" in refusal("nosuchscheme://bucket/a.csv")[0]


def test_an_error_while_reading_names_the_file():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    file = ImportFile(FakePath("s3://bucket/a.csv"))
    file._path.open = lambda mode: Broken()
    with pytest.raises(ImportFileError, match=r"'s3://bucket/a\.csv' cannot be read \(OSError: .*Input/output error"):
        file.digest()


# What messages must not contain

SECRET = "sesame-open"
ADDRESSES = {
    "a password": f"nosuchscheme://user:{SECRET}@host/a.csv",
    "a password with an at sign": f"nosuchscheme://user:p@{SECRET}@host/a.csv",
    "a password with a slash": f"nosuchscheme://user:p/{SECRET}@host/a.csv",
    "a quoted password": "nosuchscheme://user:sesame%2Dopen@host/a.csv",
    "a signed query": f"nosuchscheme://host/a.csv?X-Amz-Signature={SECRET}&x=1",
    "a signed query after a space": f"nosuchscheme://host/a b.csv?sig={SECRET}",
    "a signed query after a quote": f"nosuchscheme://host/a'b.csv?sig={SECRET}",
}


def secret_as_in(address):
    return SECRET if SECRET in address else "sesame%2Dopen"


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_secret_of_an_address_is_in_no_message(address, monkeypatch):
    class Unusable:
        def __init__(self, address):
            raise ValueError(f"{address!r} has no {address.partition('://')[2]}, {secret_as_in(address)!r}")

    monkeypatch.setattr(compat, "ObjectStoragePath", Unusable, raising=False)
    words, log = refusal(address)
    assert "cannot be used" in words
    assert "sesame" not in log


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, OSError])
def test_a_secret_of_a_path_is_in_no_message(address, error):
    path = FakePath(address, error=error(f"{address}: {secret_as_in(address)!r}"))
    file = ImportFile(path)
    assert SECRET not in f"{file} {file.name}"
    with pytest.raises(ImportFileError) as caught:
        file.open()
    assert "sesame" not in "".join(traceback.format_exception(caught.value))


def test_a_secret_of_an_address_is_in_no_message_of_airflow(memory):
    address = f"memory://user:{SECRET}@folder/missing.csv?sig={SECRET}"
    words, log = refusal(address)
    assert "missing.csv' does not exist" in words
    assert SECRET not in log


def test_a_user_is_not_shown_with_a_file_because_it_may_be_a_token():
    assert SECRET not in str(ImportFile(FakePath(f"https://{SECRET}@host/a.csv")))


def test_a_connection_that_airflow_does_not_find_is_named(monkeypatch):
    class Unusable:
        def __init__(self, address):
            raise ValueError("The conn_id `aws_default` isn't defined")

    monkeypatch.setattr(compat, "ObjectStoragePath", Unusable, raising=False)
    assert "The conn_id `aws_default` isn't defined" in refusal("s3://aws_default@bucket/a.csv")[0]


def test_an_at_sign_in_a_key_is_kept():
    assert str(ImportFile(FakePath("s3://bucket/who@example.csv"))) == "the file 's3://bucket/who@example.csv'"


def test_a_line_break_in_a_path_does_not_begin_a_line_of_the_log(tmp_path):
    assert "\nb" not in refusal(tmp_path / "a\nb.csv")[0]


# The digest


@pytest.mark.parametrize("chunk", [1, 7, len(CONTENT), 1 << 20])
def test_the_digest_is_that_of_the_content_whatever_the_chunks(path, monkeypatch, chunk):
    monkeypatch.setattr(files, "READ_CHUNK_BYTES", chunk)
    expected = hashlib.sha256(CONTENT).hexdigest()
    assert ImportFile(path).digest() == ImportFile(CONTENT).digest() == expected


def test_the_digest_is_that_of_a_content_that_comes_in_pieces():
    class Pieces(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    file = ImportFile(FakePath("s3://bucket/a.csv"))
    file._path.open = lambda mode: Pieces(CONTENT)
    assert file.digest() == hashlib.sha256(CONTENT).hexdigest()
