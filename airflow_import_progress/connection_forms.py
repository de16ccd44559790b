# SPDX-License-Identifier: Apache-2.0
"""
The connection forms of Airflow before 3.2, which asks the class of a hook for them.

They are derived from what later versions read in ``provider_info.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_import_progress.provider_info import get_provider_info


def _declared(cls: Any) -> dict[str, Any]:
    connection_types: list[dict[str, Any]] = get_provider_info()["connection-types"]
    return next((entry for entry in connection_types if entry["connection-type"] == cls.conn_type), {})


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
