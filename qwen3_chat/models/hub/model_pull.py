"""The pull of a model, split or not: copies on this disk are linked, other files are downloaded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.hub.blocking_calls import run_to_end
from qwen3_chat.models.hub.downloader import Downloader, DownloadObserver
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.part_file import RESERVE_BYTES, part_path
from qwen3_chat.models.hub.pull_progress import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    SourceAsked,
    Throughput,
)
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY, RetryPolicy
from qwen3_chat.models.hub.sources import Hub, new_http_client
from qwen3_chat.models.hub.target_resolution import PullTarget

_CHECK_STEP_BYTES = 4 << 20


class FileCheck:
    """A check of size and checksum, a few milliseconds at a time; an unreadable file does not match."""

    def __init__(self, path: Path, file: HubFile) -> None:
        self._path = path
        self._file = file
        self._stream: BinaryIO | None = None
        self._sum = hashlib.sha256()
        self.done_bytes = 0
        self.matches = False

    def step(self) -> bool:
        """Check a step further, and return whether there is more to check."""
        try:
            if self._stream is None:
                if self._path.stat().st_size != self._file.size_bytes:
                    return False
                self._stream = self._path.open("rb")
            data = self._stream.read(_CHECK_STEP_BYTES)
        except OSError:
            return False
        self._sum.update(data)
        self.done_bytes += len(data)
        if not data:
            self.matches = self._sum.hexdigest() == self._file.sha256
        return bool(data)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


def link_copy(copy: Path, target: Path) -> bool:
    """Link `target` to a copy, and return whether the file system can do that."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.symlink_to(copy.absolute())
        except OSError:  # Windows lets only some users make them
            target.hardlink_to(copy)
    except OSError:
        return False
    return True


def clear_target(target: Path) -> None:
    """Remove a file that occupies the target: a damaged one, a dangling link.

    Raises:
        HubError: it can't be removed.
    """
    try:
        target.unlink(missing_ok=True)
    except OSError as error:
        raise HubError(
            ErrorCode.DOWNLOAD_NOT_WRITABLE, path=target, reason=error.strerror or error
        ) from error


REPORT_INTERVAL_S = 0.1
"""The shortest interval between two reports of progress."""

PullEventSink = Callable[[PullEvent], None]
FindCopies = Callable[[HubFile], Iterable[Path]]


def no_copies(file: HubFile) -> Iterable[Path]:
    """Return no copies."""
    return ()


async def pull_target(
    target: PullTarget,
    hubs: Sequence[Hub],
    folder: Path,
    on_event: PullEventSink,
    find_copies: FindCopies = no_copies,
    retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
    reserve_bytes: int = RESERVE_BYTES,
) -> ModelPulled:
    """Pull a model into the models folder; `find_copies` returns files that may be copies of one.

    After a cancellation the same call resumes.

    Raises:
        HubError: a file could not be fetched or stored.
    """
    paths = [folder / file.repository / file.path for file in target.files]
    progress = _Progress(target, paths, on_event)
    async with new_http_client(retry_policy) as client:
        downloader = Downloader(client, hubs, progress, retry_policy, reserve_bytes)
        for file, path in zip(target.files, paths, strict=True):
            is_here = await _is_in_place(file, path, progress)
            if not is_here and not await _use_copy(file, path, find_copies, progress):
                await downloader.fetch(file, path)
            progress.finished(file)
    pulled = ModelPulled(target.model, target.quant, str(paths[0]), target.size_bytes)
    on_event(pulled)
    return pulled


async def _is_in_place(file: HubFile, path: Path, progress: _Progress) -> bool:
    """Return whether the target is the file already; any other file there is removed."""
    if await _is_the_file(file, path, progress):
        return True
    clear_target(path)
    return False


async def _use_copy(file: HubFile, path: Path, find_copies: FindCopies, progress: _Progress) -> bool:
    """Link the target to a copy of another program, and return whether there is one."""
    for copy in find_copies(file):
        if await _is_the_file(file, copy, progress) and link_copy(copy, path):
            progress.on_event(CopyUsed(file.name, str(copy)))
            return True
    return False


async def _is_the_file(file: HubFile, path: Path, progress: _Progress) -> bool:
    check = FileCheck(path, file)
    try:
        while await run_to_end(check.step):
            progress.on_checked(file, check.done_bytes)
    finally:
        check.close()
    return check.matches


class _Progress(DownloadObserver):
    """The progress of all parts, with a smoothed speed; it is reported ten times a second at most."""

    def __init__(self, target: PullTarget, paths: Sequence[Path], on_event: PullEventSink) -> None:
        self.on_event = on_event
        self._total_bytes = target.size_bytes
        self._done_bytes = {
            file.path: _size_of(part_path(path, file)) for file, path in zip(target.files, paths, strict=True)
        }
        self._throughput = Throughput()
        self._reported_s = -REPORT_INTERVAL_S

    def on_checked(self, file: HubFile, done_bytes: int) -> None:
        """Report the number of checked bytes."""
        if self._is_due():
            self.on_event(FileChecked(file.name, done_bytes, file.size_bytes))

    def on_source_asked(self, file: HubFile, host: str) -> None:
        """Report the source that is asked."""
        self.on_event(SourceAsked(file.name, host))
        self._reported_s = -REPORT_INTERVAL_S  # the first bytes are reported at once

    def on_received(self, file: HubFile, host: str, done_bytes: int) -> None:
        """Add up the bytes that arrived, and report them."""
        arrived_bytes = done_bytes - self._done_bytes[file.path]
        self._done_bytes[file.path] = done_bytes
        self._throughput.feed(max(0, arrived_bytes), time.monotonic())
        if self._is_due() or done_bytes == file.size_bytes:
            self._report_progress(file, host)

    def on_delayed(self, file: HubFile, reason: str, wait_s: float) -> None:
        """Report the reason of a delay."""
        self.on_event(DownloadDelayed(file.name, reason, wait_s))

    def finished(self, file: HubFile) -> None:
        """Count a file as complete."""
        self._done_bytes[file.path] = file.size_bytes

    def _report_progress(self, file: HubFile, host: str) -> None:
        done_bytes = sum(self._done_bytes.values())
        left_s = self._throughput.remaining_s(self._total_bytes - done_bytes)
        self.on_event(
            DownloadProgressed(
                file.name, host, done_bytes, self._total_bytes, self._throughput.bytes_per_s, left_s
            )
        )

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._reported_s < REPORT_INTERVAL_S:
            return False
        self._reported_s = now_s
        return True


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
