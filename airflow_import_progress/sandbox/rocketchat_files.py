# SPDX-License-Identifier: Apache-2.0
"""Readers of the files that Rocket.Chat imports. They read only the parts that affect the progress."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from airflow_import_progress.sandbox.checks import Json
from airflow_import_progress.sandbox.uploads import UnreadableUploadError


@dataclass
class Contents:
    """
    The contents of a file.

    :param users: The users as a client can select them.
    :param contacts: The contacts as a client can select them.
    :param channels: The channels as a client can select them.
    :param messages: Number of messages.
    """

    users: list[Json] = field(default_factory=list)
    contacts: list[Json] = field(default_factory=list)
    channels: list[Json] = field(default_factory=list)
    messages: int = 0

    def counts(self) -> dict[str, int]:
        """Return the number of records of each type."""
        return {
            "users": len(self.users),
            "contacts": len(self.contacts),
            "channels": len(self.channels),
            "messages": self.messages,
        }


def contents_of(content: bytes, key: str) -> Contents:
    """
    Read a file.

    :param content: The file.
    :param key: Key of the importer.
    :raises UnreadableUploadError: If the importer cannot read it, or finds no record.
    """
    try:
        contents = _READERS[key](content)
    # Catch everything: the real server also treats any error of its importer as an error of the file.
    except Exception as error:
        raise UnreadableUploadError(str(error)) from error
    if not any(contents.counts().values()):
        raise UnreadableUploadError("no valid record")
    return contents


def user_entry(user_id: str, username: str, email: str) -> Json:
    """
    Return a user as a client can select it.

    :param user_id: Id of the user in the file.
    :param username: Name of the user.
    :param email: Email address of the user.
    """
    return {
        "user_id": user_id,
        "username": username,
        "email": email,
        "is_deleted": False,
        "is_bot": False,
        "do_import": True,
        "is_email_taken": False,
    }


def channel_entry(channel_id: str, name: str, *, is_private: bool = False) -> Json:
    """
    Return a channel as a client can select it.

    :param channel_id: Id of the channel in the file.
    :param name: Name of the channel.
    :param is_private: Whether it is private.
    """
    return {
        "channel_id": channel_id,
        "name": name,
        "is_archived": False,
        "do_import": True,
        "is_private": is_private,
        "is_direct": False,
    }


def contact_entry(contact_id: str, name: str, emails: Sequence[str] = (), phones: Sequence[str] = ()) -> Json:
    """
    Return a contact as a client can select it.

    :param contact_id: Id of the contact in the file.
    :param name: Name of the contact.
    :param emails: Email addresses of the contact.
    :param phones: Telephone numbers of the contact.
    """
    return {"id": contact_id, "name": name, "emails": list(emails), "phones": list(phones), "do_import": True}


def _csv_archive(content: bytes) -> Contents:
    contents = Contents()
    for name, file in _members(content):
        match name.lower():
            case "users.csv":
                contents.users += [user_entry(row[0], row[0], row[1]) for row in _rows(file, columns=3)]
            case "channels.csv":
                rows = _rows(file, columns=4)
                contents.channels += [channel_entry(row[0], row[0], is_private=row[2] == "private") for row in rows]
            case "contacts.csv":
                contents.contacts += _contacts(file)
            case _ if "/" in name:
                contents.messages += len(_rows(file, columns=3))
    return contents


def _slack_archive(content: bytes) -> Contents:
    contents = Contents()
    for name, file in _members(content):
        match name.lower():
            case "users.json":
                contents.users += [
                    user_entry(str(one["id"]), str(one["name"]), one.get("profile", {}).get("email", ""))
                    for one in _objects(file)
                ]
            case "channels.json":
                contents.channels += [channel_entry(str(one["id"]), str(one["name"])) for one in _objects(file)]
            case _ if "/" in name:
                contents.messages += len(_objects(file))
    return contents


def _slack_users(content: bytes) -> Contents:
    _header, *rows = _rows(content, columns=2)
    return Contents(users=[user_entry(row[0], row[0], row[1]) for row in rows])


def _omnichannel_contacts(content: bytes) -> Contents:
    return Contents(contacts=_contacts(content))


_READERS = {
    "csv": _csv_archive,
    "slack": _slack_archive,
    "slack-users": _slack_users,
    "omnichannel_contact": _omnichannel_contacts,
}


def _contacts(content: bytes) -> list[Json]:
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), restval="")
    return [
        contact_entry(
            row.get("id") or f"contact-{number}",
            row.get("name", ""),
            _split_cell(row.get("emails", "")),
            _split_cell(row.get("phones", "")),
        )
        for number, row in enumerate(rows, start=1)
        if any(row.get(column) for column in ("emails", "phones", "name"))
    ]


def _split_cell(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _rows(content: bytes, columns: int) -> list[list[str]]:
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [[cell.strip() for cell in row] for row in rows if len(row) >= columns]


def _objects(content: bytes) -> list[Json]:
    value = json.loads(content)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("a list of objects is expected")
    return value


def _members(content: bytes) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if not member.is_dir() and "__MACOSX" not in member.filename:
                yield member.filename, archive.read(member)
