# SPDX-License-Identifier: Apache-2.0
"""
The connection forms of Airflow before 3.2, which asks the class of a hook for them.

They are derived from what later versions read in the metadata of the hook's provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from airflow_import_progress.provider_info import get_provider_info


def _declared(cls: Any) -> dict[str, Any]:
    own: list[dict[str, Any]] = get_provider_info()["connection-types"]
    path = f"{cls.__module__}.{cls.__qualname__}"
    if not any(entry["hook-class-name"] == path for entry in own):
        for entry in _declared_by_other_packages():
            if entry.get("hook-class-name") == path:
                return entry
    return next((entry for entry in own if entry["connection-type"] == cls.conn_type), {})


@cache
def _declared_by_other_packages() -> list[dict[str, Any]]:
    """Return the connection types of all installed providers. Airflow has loaded their metadata already."""
    found: list[dict[str, Any]] = []
    for entry_point in entry_points(group="apache_airflow_provider"):
        try:
            found += entry_point.load()().get("connection-types", ())
        except Exception:  # noqa: S112
            # Airflow reports a provider whose metadata cannot be read.
            continue
    return found


def _ui_field_behaviour(cls: Any) -> dict[str, Any]:
    """Return how the form shows the fields of every connection."""
    behaviour = _declared(cls).get("ui-field-behaviour", {})
    return {key.replace("-", "_"): value for key, value in behaviour.items()}


def _connection_form_widgets(cls: Any) -> dict[str, Any]:
    """Return the form's fields for the extras of the connection."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, PasswordField, StringField

    def widget(declared: dict[str, Any]) -> Any:
        label, description = lazy_gettext(declared["label"]), declared.get("description")
        if declared["schema"].get("format") == "password":
            return PasswordField(label, widget=BS3PasswordFieldWidget(), description=description)
        if "boolean" in declared["schema"]["type"]:
            return BooleanField(label, description=description)
        return StringField(label, widget=BS3TextFieldWidget(), description=description)

    fields = _declared(cls).get("conn-fields", {})
    return {name: widget(declared) for name, declared in fields.items()}


_METHODS: Mapping[str, Callable[..., Any]] = {
    "get_ui_field_behaviour": _ui_field_behaviour,
    "get_connection_form_widgets": _connection_form_widgets,
}


def add_form_methods(cls: type) -> None:
    """
    Add to a hook's class the methods that return its form, unless it has its own.

    :param cls: The class. Airflow before 3.2 reads them from its own namespace and ignores inherited ones.
    """
    for name, method in _METHODS.items():
        if name not in vars(cls):
            setattr(cls, name, classmethod(method))
