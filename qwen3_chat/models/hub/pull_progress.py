"""The progress of a pull: its events, which `pull --json` prints, and the throughput."""

from __future__ import annotations

import math

from qwen3_chat.events import Event


class FileChecked(Event, frozen=True):
    """Bytes that are here already are being checked: `done_bytes` of `total_bytes` of one file."""

    file: str
    done_bytes: int
    total_bytes: int


class DownloadProgressed(Event, frozen=True):
    """So much of the whole is here, all parts together; speed and time left where they are known."""

    file: str
    source: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float
    left_s: float | None = None


class SourceAsked(Event, frozen=True):
    """A source is asked for what is missing of a file; its answer may take a while."""

    file: str
    source: str


class DownloadDelayed(Event, frozen=True):
    """Something is in the way, said in a sentence; what is missing is asked for again after `wait_s`."""

    file: str
    reason: str
    wait_s: float


class CopyUsed(Event, frozen=True):
    """A file that another program keeps is the very one, so it is used where it is."""

    file: str
    path: str


class ModelPulled(Event, frozen=True):
    """Everything is here and checked; `path` is the file to load, the first part of a split one."""

    model: str
    quant: str
    path: str
    size_bytes: int


PullEvent = FileChecked | SourceAsked | DownloadProgressed | DownloadDelayed | CopyUsed | ModelPulled


AVERAGING_TIME_S = 5.0
"""What arrived this long ago weighs a third."""


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
        """The speed; 0 before there is one. The average starts at 0, which is taken out again."""
        if self._begun_s is None or self._last_s <= self._begun_s:
            return 0.0
        return self._average / -math.expm1(-(self._last_s - self._begun_s) / AVERAGING_TIME_S)

    def remaining_s(self, missing_bytes: int) -> float | None:
        """Return the time that the rest takes at this speed; None while it can't be known."""
        return missing_bytes / self.bytes_per_s if self.bytes_per_s >= 1 else None
