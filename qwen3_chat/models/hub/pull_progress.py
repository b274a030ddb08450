"""The progress of a pull: its events, which `pull --json` prints, and the throughput."""

from __future__ import annotations

import math

from qwen3_chat.events import Event


class FileChecked(Event, frozen=True):
    """The check of a file on this disk has reached `done_bytes` of `total_bytes`."""

    file: str
    done_bytes: int
    total_bytes: int


class DownloadProgressed(Event, frozen=True):
    """The bytes that have arrived, of all parts together; with speed and time left where they are known."""

    file: str
    source: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float
    left_s: float | None = None


class SourceAsked(Event, frozen=True):
    """A source is asked for the missing bytes of a file; its response may take a while."""

    file: str
    source: str


class DownloadDelayed(Event, frozen=True):
    """The download is delayed, for a reason that is a sentence; the next attempt follows after `wait_s`."""

    file: str
    reason: str
    wait_s: float


class CopyUsed(Event, frozen=True):
    """A file of another program is a copy of this one, so a link to it is used."""

    file: str
    path: str


class ModelPulled(Event, frozen=True):
    """The model is complete and checked; `path` is the file to load, the first part of a split one."""

    model: str
    quant: str
    path: str
    size_bytes: int


PullEvent = FileChecked | SourceAsked | DownloadProgressed | DownloadDelayed | CopyUsed | ModelPulled

AVERAGING_TIME_S = 5.0
"""The age at which bytes that arrived weigh a third."""


class Throughput:
    """A moving average of the speed, weighted by time: steady between bursts, quick to forget a stall."""

    def __init__(self) -> None:
        self._begun_s: float | None = None
        self._last_s = 0.0
        self._average = 0.0

    def feed(self, arrived_bytes: int, at_s: float) -> None:
        """Note that so many bytes arrived since the last call."""
        if self._begun_s is None:
            self._begun_s = self._last_s = at_s
            return
        elapsed_s = at_s - self._last_s
        if elapsed_s <= 0:
            self._average += arrived_bytes / AVERAGING_TIME_S
            return
        self._last_s = at_s
        fading = math.exp(-elapsed_s / AVERAGING_TIME_S)
        self._average = self._average * fading + arrived_bytes / elapsed_s * (1 - fading)

    @property
    def bytes_per_s(self) -> float:
        """The speed, 0 before it is known; the start of the average at 0 is compensated."""
        if self._begun_s is None or self._last_s <= self._begun_s:
            return 0.0
        return self._average / -math.expm1(-(self._last_s - self._begun_s) / AVERAGING_TIME_S)

    def remaining_s(self, missing_bytes: int) -> float | None:
        """Return the time that the missing bytes take at this speed; None while it can't be known."""
        return missing_bytes / self.bytes_per_s if self.bytes_per_s >= 1 else None
