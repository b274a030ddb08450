"""JSON that a server wrote: parsed within limits, its values taken only if they are what they should be."""

from __future__ import annotations

import json

MAX_ITEMS = 500_000
"""The limit for arrays, objects and commas together: the ids of half a million tokens."""
MAX_COUNT = 2**53
"""The limit for counts, up to which JSON numbers are exact in every program."""


class JsonError(ValueError):
    """A text that is no JSON, or has more parts or levels than any answer needs."""


def parse_json(text: str) -> object:
    """Parse a text whose length is limited already.

    Raises:
        JsonError: it is no JSON, too deep, or has too many items.
    """
    if text.count(",") + text.count("[") + text.count("{") > MAX_ITEMS:
        raise JsonError(MAX_ITEMS)
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JsonError(str(error)) from error
    return value


def json_object(value: object) -> dict[str, object]:
    """Return an object of untrusted JSON; anything else counts as empty."""
    return value if isinstance(value, dict) else {}


def json_list(value: object) -> list[object]:
    """Return a list of untrusted JSON; anything else counts as empty."""
    return value if isinstance(value, list) else []


def json_count(value: object, limit: int = MAX_COUNT) -> int | None:
    """Return a count of untrusted JSON, or None if the value is no integer from 0 to below the limit."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit
    return value if is_count and isinstance(value, int) else None
