"""Copies and field names of records, which are msgspec structs or dataclasses.

A frozen record that every start needs is a `msgspec.Struct`: its class is made in 0.02 ms, that of a frozen
dataclass in 0.5 ms, since `dataclasses` writes Python code and compiles it. The functions of `dataclasses`
refuse structs, and mypy does not see it, so ruff forbids them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from dataclasses import (
        replace as replace,  # mypy checks the names and types of its changes, for structs too
    )
else:

    def replace(record, /, **changes):
        """Return a copy of a record in which some fields have other values."""
        if isinstance(record, msgspec.Struct):
            return msgspec.structs.replace(record, **changes)
        return dataclasses.replace(record, **changes)


def field_names(record: Any) -> tuple[str, ...]:
    """Return the names of the fields of a record or of its class, in order."""
    if dataclasses.is_dataclass(record):
        return tuple(field.name for field in dataclasses.fields(record))
    names: tuple[str, ...] = record.__struct_fields__
    return names
