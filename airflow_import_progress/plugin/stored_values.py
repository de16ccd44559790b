# SPDX-License-Identifier: Apache-2.0
"""
What a wait has published, as expressions of SQL that no stored value makes fail.

SQLAlchemy's own operators for JSON raise where a value is not JSON, which SQLite stores too, or where a text or a
number out of range is converted to a number. Any task can store such a value under the same key.
"""

from __future__ import annotations

from typing import Any

from airflow.models.xcom import XComModel
from sqlalchemy import Float, String, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement


class published_text(FunctionElement[str]):  # noqa: N801
    """
    A text that a wait has published, or NULL.

    :param path: The keys that lead to it.
    """

    type = String()
    inherit_cache = True

    def __init__(self, *path: str) -> None:
        super().__init__(*_arguments(path))


class published_number(FunctionElement[float]):  # noqa: N801
    """
    A number that a wait has published, or NULL for any other value.

    :param path: The keys that lead to it.
    """

    type = Float()
    inherit_cache = True

    def __init__(self, *path: str) -> None:
        super().__init__(*_arguments(path))


@compiles(published_text, "postgresql")
def _text_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"jsonb_extract_path_text({compiler.process(element.clauses, **options)})"


@compiles(published_number, "postgresql")
def _number_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    arguments = compiler.process(element.clauses, **options)
    # As NUMERIC, because a number may be too large for a FLOAT.
    return (
        f"CASE WHEN jsonb_typeof(jsonb_extract_path({arguments})) = 'number' "
        f"THEN CAST(jsonb_extract_path_text({arguments}) AS NUMERIC) END"
    )


@compiles(published_text, "sqlite")
def _text_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_sqlite(element, compiler, **options)
    return f"CASE WHEN typeof({value}) = 'text' THEN {value} END"


@compiles(published_number, "sqlite")
def _number_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_sqlite(element, compiler, **options)
    return f"CASE WHEN typeof({value}) IN ('integer', 'real') THEN {value} END"


def _extracted_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, path = _column_and_path(element, compiler, **options)
    return f"json_extract(CASE WHEN json_valid({column}) THEN {column} END, {path})"


@compiles(published_text, "mysql")
def _text_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    value = "JSON_EXTRACT({}, {})".format(*_column_and_path(element, compiler, **options))
    return f"CASE WHEN JSON_TYPE({value}) = 'STRING' THEN JSON_UNQUOTE({value}) END"


@compiles(published_number, "mysql")
def _number_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    value = "JSON_EXTRACT({}, {})".format(*_column_and_path(element, compiler, **options))
    kinds = "('INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL')"
    return f"CASE WHEN JSON_TYPE({value}) IN {kinds} THEN {value} + 0.0 END"


def _arguments(path: tuple[str, ...]) -> list[Any]:
    # Not as parameters, so that SQLAlchemy reuses the statement that it has compiled.
    return [XComModel.value, *(literal_column(f"'{key}'") for key in path)]


def _column_and_path(element: Any, compiler: Any, **options: Any) -> tuple[str, str]:
    column, *keys = element.clauses
    return compiler.process(column, **options), "'$.{}'".format(
        ".".join(compiler.process(key).strip("'") for key in keys)
    )
