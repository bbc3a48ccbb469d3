"""Texts that a spreadsheet shows as they are: ids come from the field, and CSV is made to be opened in one.

A cell that begins like a formula would be worked out there (CWE-1236); OWASP's advice is an apostrophe before it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_BEGINS = r"^[=+\-@\t\r]"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(value: object) -> object:
    """A cell; numbers stay what they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def plain_table(table: pa.Table) -> pa.Table:
    """A table's columns of text, cell by cell the same."""
    for at, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            continue
        texts = table[field.name].cast(pa.string())
        begins = pc.match_substring_regex(texts, _BEGINS)
        if pc.any(begins).as_py():
            table = table.set_column(
                at, field.name, pc.if_else(begins, pc.binary_join_element_wise("'", texts, ""), texts)
            )
    return table
