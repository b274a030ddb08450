from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec import Struct

from qwen3_chat.record_copies import field_names, replace


class Point(Struct, frozen=True):
    x: int
    y: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    x: int
    y: int = 0


@pytest.mark.parametrize("kind", [Point, Size])
def test_a_copy_has_the_changed_fields_and_the_others_as_they_were(kind: type[Point] | type[Size]) -> None:
    record = kind(1, 2)
    assert replace(record, y=3) == kind(1, 3)
    assert record == kind(1, 2)
    with pytest.raises(TypeError):
        replace(record, z=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("record", [Point, Size, Point(1), Size(1)])
def test_the_names_of_the_fields_are_those_of_the_class_in_order(record: object) -> None:
    assert field_names(record) == ("x", "y")
