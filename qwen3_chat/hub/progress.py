"""What happens while a model is fetched, as typed events; `pull --json` prints them."""

from __future__ import annotations

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
