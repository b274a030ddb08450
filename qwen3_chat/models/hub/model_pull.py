"""The pull of a model, split or not: copies on this disk are linked, other files are downloaded."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError, ModelError
from qwen3_chat.models.gguf_file_name import LINK_SUFFIX
from qwen3_chat.models.hub.blocking_calls import run_to_end
from qwen3_chat.models.hub.download_errors import SourceRefusedError
from qwen3_chat.models.hub.downloader import Downloader, DownloadObserver, FileIdentity, identify_file
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.part_file import RESERVE_BYTES, part_path, rename_part
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
from qwen3_chat.models.hub.target_resolution import PullTarget, resolve_other_publisher

_CHECK_STEP_BYTES = 4 << 20


class FileCheck:
    """A check of size and checksum, a few milliseconds at a time; `error` is why a file can't be read."""

    def __init__(self, path: Path, file: HubFile) -> None:
        self._path = path
        self._file = file
        self._stream: BinaryIO | None = None
        self._sum = hashlib.sha256()
        self.done_bytes = 0
        self.matches = False
        self.error: OSError | None = None

    def step(self) -> bool:
        """Check a step further, and return whether there is more to check."""
        try:
            if self._stream is None:
                if self._path.stat().st_size != self._file.size_bytes:
                    return False
                self._stream = self._path.open("rb")
            data = self._stream.read(_CHECK_STEP_BYTES)
        except OSError as error:
            self.error = error
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


def link_copy(copy: Path, link: Path) -> bool:
    """Make `link` lead to a copy, and return whether the file system can do that."""
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(copy.absolute())
        except OSError:  # Windows lets only some users make them
            link.hardlink_to(copy)
    except OSError:
        return False
    return True


def _rename_link(link: Path, target: Path) -> None:
    """Give a link its name; whatever has it already is replaced.

    Raises:
        HubError: it can't be renamed.
    """
    try:
        link.replace(target)
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

    A file that is there stays until its successor is complete, and the parts of a split model are replaced
    together. Where no source has the files any more, the next publisher of the model is asked. After a
    cancellation the same call resumes.

    Raises:
        HubError: a file could not be fetched or stored.
        ModelError: a file that is there can't be read.
    """
    pull = _Pull(hubs, folder, on_event, find_copies, retry_policy, reserve_bytes)
    while True:
        try:
            return await pull.run(target)
        except SourceRefusedError as error:
            other = await resolve_other_publisher(target, hubs, retry_policy)
            if other is None:
                raise
            on_event(DownloadDelayed(target.files[0].name, str(error), 0))
            target = other


@dataclass(frozen=True, slots=True)
class _Pull:
    """A pull into the models folder, with everything that stays the same for each publisher."""

    hubs: Sequence[Hub]
    folder: Path
    on_event: PullEventSink
    find_copies: FindCopies
    retry_policy: RetryPolicy
    reserve_bytes: int

    async def run(self, target: PullTarget) -> ModelPulled:
        paths = {file: self.folder / file.repository / file.path for file in target.files}
        progress = _Progress(target, list(paths.values()), self.on_event)
        missing: dict[HubFile, FileIdentity | None] = {}
        for file, path in paths.items():
            identity = identify_file(path)
            if await _is_in_place(file, path, progress):
                progress.finished(file)
            else:
                missing[file] = identity
        are_replaced_together = len(paths) > 1 and any(missing.values())
        arrived: list[Callable[[], None]] = []
        async with new_http_client(self.retry_policy) as client:
            downloader = Downloader(client, self.hubs, progress, self.retry_policy, self.reserve_bytes)
            for file, replaced in missing.items():
                path = paths[file]
                link = path.with_name(f"{part_path(path, file).name}{LINK_SUFFIX}")
                if await _use_copy(file, link, self.find_copies, progress):
                    arrived.append(partial(_rename_link, link, path))
                elif (
                    await downloader.fetch(file, path, replaced, is_renamed=not are_replaced_together)
                    and are_replaced_together
                ):
                    arrived.append(partial(_rename_unless_done, path, file, replaced))
                progress.finished(file)
                if not are_replaced_together:
                    _rename_all(arrived)
        _rename_all(arrived)
        for file, path in paths.items():
            if identify_file(path) is None:
                raise HubError(ErrorCode.DOWNLOAD_REMOVED, name=file.name)
        pulled = ModelPulled(target.model, target.quant, str(paths[target.files[0]]), target.size_bytes)
        self.on_event(pulled)
        return pulled


def _rename_unless_done(path: Path, file: HubFile, replaced: FileIdentity | None) -> None:
    """Give a complete part its name, unless another process did.

    Raises:
        HubError: it can't be renamed, or was deleted.
    """
    try:
        rename_part(path, file)
    except HubError as error:
        if error.code is not ErrorCode.DOWNLOAD_REMOVED or identify_file(path) in (None, replaced):
            raise


def _rename_all(arrived: list[Callable[[], None]]) -> None:
    """Give all files that arrived their names."""
    while arrived:
        arrived.pop(0)()


async def _is_in_place(file: HubFile, path: Path, progress: _Progress) -> bool:
    """Return whether the target is the file already.

    Raises:
        ModelError: it may be, but can't be read.
    """
    check = await _check(file, path, progress)
    if isinstance(error := check.error, OSError) and error.errno not in (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
    ):
        raise ModelError(
            ErrorCode.MODEL_FILE_UNREADABLE, path=path, reason=error.strerror or error
        ) from error
    return check.matches


async def _use_copy(file: HubFile, link: Path, find_copies: FindCopies, progress: _Progress) -> bool:
    """Link to a copy of another program, and return whether there is one."""
    for copy in find_copies(file):
        check = await _check(file, copy, progress)
        if check.matches and link_copy(copy, link):
            progress.on_event(CopyUsed(file.name, str(copy)))
            return True
    return False


async def _check(file: HubFile, path: Path, progress: _Progress) -> FileCheck:
    check = FileCheck(path, file)
    try:
        while await run_to_end(check.step):
            progress.on_checked(file, check.done_bytes)
    finally:
        check.close()
    return check


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
