"""The checks of an answer: equal to a text, containing some, a pattern, a number, JSON of a schema.

All of it is data and arithmetic with limits; the check by Python code runs elsewhere, in the jail.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from qwen3_chat.tools.arguments import SchemaChecker, SchemaError

MAX_CHECKED_CHARS: Final = 200_000
"""The most characters of an answer that are looked at."""
_MAX_JSON_STARTS: Final = 1_000
_NUMBER: Final = re.compile(
    r"(?:(?<![\w.])[-+−])?(?:\d{1,3}(?:,\d{3})+|\d{1,400})(?:\.\d{1,400})?(?:[eE][-+]?\d{1,3})?"
)


class CheckInvalidError(ValueError):
    """A check that can't be made; the reason is in English."""

    def __init__(self, check: str, reason: object) -> None:
        super().__init__(check, reason)
        self.check = check
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The outcome of one check: None where it could not be made; `reason` is in English."""

    check: str
    passed: bool | None
    reason: str = ""


class AnswerChecks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checks of a case, all of which have to hold; those that are None are not made."""

    exact: str | None = None
    contains: str | tuple[str, ...] | None = None
    regex: str | None = None
    number: int | float | None = None
    tolerance: float = 0.0
    json_schema: dict[str, Any] | str | None = None
    python: str | None = None

    def names(self) -> Iterator[str]:
        """Yield the names of the checks that are made."""
        for name in ("exact", "contains", "regex", "number", "json_schema", "python"):
            if getattr(self, name) is not None:
                yield name

    def require_usable(self) -> None:
        """Make sure that the pattern and the schema can be used.

        Raises:
            CheckInvalidError: one can't.
        """
        for name, schema in (("regex", _pattern_schema(self.regex)), ("json_schema", self.json_schema)):
            if isinstance(schema, dict):
                try:
                    _checker(json.dumps(schema))
                except SchemaError as error:
                    raise CheckInvalidError(name, error) from error
        if self.contains == () or self.tolerance < 0:
            raise CheckInvalidError("contains" if self.contains == () else "tolerance", "nothing would fit")

    def outcomes(self, answer: str) -> Iterator[CheckOutcome]:
        """Yield the outcome of each check but that by Python code."""
        answer = answer[:MAX_CHECKED_CHARS]
        if self.exact is not None:
            is_equal = answer.strip() == self.exact.strip()
            yield CheckOutcome("exact", is_equal, "" if is_equal else "the answer is another text")
        if self.contains is not None:
            texts = (self.contains,) if isinstance(self.contains, str) else self.contains
            missing = [text for text in texts if text not in answer]
            yield CheckOutcome("contains", not missing, f"missing: {missing}" if missing else "")
        if (schema := _pattern_schema(self.regex)) is not None:
            reason = _checker(json.dumps(schema)).explain_value(answer, "answer")
            yield CheckOutcome("regex", not reason, "the pattern is not found" if reason else "")
        if self.number is not None:
            yield self._number_outcome(answer)
        if isinstance(self.json_schema, dict):
            yield self._json_outcome(answer, self.json_schema)

    def _number_outcome(self, answer: str) -> CheckOutcome:
        number = last_number(answer)
        if number is None:
            return CheckOutcome("number", False, "there is no number")
        assert self.number is not None
        is_near = abs(number - self.number) <= self.tolerance
        return CheckOutcome("number", is_near, "" if is_near else f"the last number is {number:g}")

    def _json_outcome(self, answer: str, schema: dict[str, Any]) -> CheckOutcome:
        found, value = first_json(answer)
        if not found:
            return CheckOutcome("json_schema", False, "there is no JSON")
        reason = _checker(json.dumps(schema)).explain_value(value, "value")
        return CheckOutcome("json_schema", not reason, reason)


def last_number(text: str) -> float | None:
    """Return the last number of a text, with commas or full-width digits; None where there is none."""
    plain = unicodedata.normalize("NFKC", text[-MAX_CHECKED_CHARS:])
    number = None
    for match in _NUMBER.finditer(plain):
        number = match[0]
    if number is None:
        return None
    return float(number.replace(",", "").replace("−", "-"))


def first_json(text: str) -> tuple[bool, object]:
    """Return whether a text holds JSON, and its value: all of it, else the first object or list in it."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        pass
    decoder, at = json.JSONDecoder(), 0
    for _ in range(_MAX_JSON_STARTS):
        starts = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
        if not starts:
            break
        at = min(starts)
        try:
            return True, decoder.raw_decode(text, at)[0]
        except (ValueError, RecursionError):
            at += 1
    return False, None


def _pattern_schema(pattern: str | None) -> dict[str, str] | None:
    """Return a schema that a text fits if a pattern is found in it; the work of its search is limited."""
    return None if pattern is None else {"type": "string", "pattern": pattern}


@lru_cache(maxsize=256)
def _checker(schema: str) -> SchemaChecker:
    return SchemaChecker(json.loads(schema))
