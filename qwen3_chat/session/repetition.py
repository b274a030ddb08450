"""The detection of thinking that repeats itself."""

from __future__ import annotations

import re
from collections import Counter, deque

from qwen3_chat.events import EngineEvent, ReasoningDelta

_UNIT = re.compile(r"[a-zA-Z0-9']+|[^\W_a-zA-Z0-9]")
"""A word, or a single character of a script without spaces between words."""

_UNFINISHED = re.compile(r"[a-zA-Z0-9']+$")
"""The last word of an event's text: it may continue in the next event."""

_PHRASE_UNITS = 10
_WINDOW_UNITS = 90
_MIN_OCCURRENCES = 3
_MIN_REPEATED_SHARE = 0.9


class RepetitionDetector:
    """A detector of repetition in the thinking of one reply; it reports once.

    Saying something a second time is how Qwen3 checks itself. Its thinking counts as repeated where nine
    tenths of the last 90 words end a phrase of ten words that occurs for the third time or more.
    """

    def __init__(self) -> None:
        self._incomplete_word = ""
        self._phrase: deque[str] = deque(maxlen=_PHRASE_UNITS)
        self._occurrences: Counter[tuple[str, ...]] = Counter()
        self._repeated: deque[bool] = deque(maxlen=_WINDOW_UNITS)
        """For each of the latest words, True if it ends a phrase that occurred often enough."""
        self._has_reported = False

    def feed(self, event: EngineEvent) -> bool:
        """Process an event; return True, once only, when the thinking repeats itself."""
        if self._has_reported or not isinstance(event, ReasoningDelta):
            return False
        text = self._incomplete_word + event.text
        complete = _UNFINISHED.sub("", text)
        self._incomplete_word = text[len(complete) :]
        for unit in _UNIT.findall(complete.lower()):
            self._add_unit(unit)
        window = self._repeated
        self._has_reported = (
            len(window) == _WINDOW_UNITS and sum(window) >= _MIN_REPEATED_SHARE * _WINDOW_UNITS
        )
        return self._has_reported

    def _add_unit(self, unit: str) -> None:
        self._phrase.append(unit)
        if len(self._phrase) < _PHRASE_UNITS:
            return
        phrase = tuple(self._phrase)
        self._occurrences[phrase] += 1
        self._repeated.append(self._occurrences[phrase] >= _MIN_OCCURRENCES)
