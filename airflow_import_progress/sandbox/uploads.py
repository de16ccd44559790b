# SPDX-License-Identifier: Apache-2.0
"""Uploaded files: parsing of multipart bodies and CSV tables."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from aiohttp import web


class UnreadableUploadError(Exception):
    """Raised if a body is not a multipart upload, or a file is not a table."""


@dataclass(frozen=True)
class UploadedFile:
    """
    A file of a multipart body.

    :param name: Its name. None: the client sent none.
    :param content: Its bytes.
    """

    name: str | None
    content: bytes


@dataclass(frozen=True)
class Line:
    """
    A line of a table.

    :param number: Number of its last line in the file. The header is line 1.
    :param cells: Its cells.
    """

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """
    A CSV file.

    :param header: Names of the columns.
    :param lines: The lines below the header that are not blank.
    """

    header: tuple[str, ...]
    lines: tuple[Line, ...]


async def uploaded_files(request: web.Request) -> list[UploadedFile]:
    """
    Return the files of a multipart request.

    It replaces aiohttp's reader, because vendors' documents show parts whose content type is itself multipart.

    :param request: The upload.
    :raises UnreadableUploadError: If the body is not multipart or has no part.
    """
    content_type = Message()
    content_type["Content-Type"] = request.headers.get("Content-Type", "")
    boundary = content_type.get_boundary()
    if content_type.get_content_maintype() != "multipart" or not boundary:
        raise UnreadableUploadError("a multipart body with a boundary is expected")
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?=\r?\n|\Z)")
    sections = delimiter.split(await request.read())[1:-1]
    if not sections:
        raise UnreadableUploadError("the multipart body has no complete part")
    return [_file_in(section) for section in sections]


def table_of(content: bytes, delimiter: str) -> Table:
    """
    Return a CSV file as a table.

    :param content: The file, in UTF-8 with or without byte order mark.
    :param delimiter: Separator of the columns.
    :raises UnreadableUploadError: If it is not such a file or has no line below its header.
    """
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter)
        lines = [Line(reader.line_num, tuple(cells)) for cells in reader if any(map(str.strip, cells))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableUploadError(str(error)) from error
    if len(lines) < 2:
        raise UnreadableUploadError("a header and at least one line are expected")
    return Table(lines[0].cells, tuple(lines[1:]))


def _file_in(section: bytes) -> UploadedFile:
    head, *content = re.split(rb"\r?\n\r?\n", section, maxsplit=1)
    headers = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip())
    return UploadedFile(headers.get_filename(), b"".join(content))
