"""Fetches a model, split or not, as one: copies that are here already are used, the rest is downloaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qwen3_chat.hub.copies import FileCheck, link, make_way
from qwen3_chat.hub.download import Download, Watcher
from qwen3_chat.hub.files import HubFile
from qwen3_chat.hub.pace import Pace
from qwen3_chat.hub.part_file import RESERVE_BYTES, part_path
from qwen3_chat.hub.patience import USUAL_PATIENCE, Patience
from qwen3_chat.hub.progress import (
    CopyUsed,
    DownloadDelayed,
    DownloadProgressed,
    FileChecked,
    ModelPulled,
    PullEvent,
    SourceAsked,
)
from qwen3_chat.hub.sources import Hub, new_client
from qwen3_chat.hub.threads import settled
from qwen3_chat.hub.wanted import WantedModel

REPORT_S = 0.1
"""Progress is told this often at most."""

Report = Callable[[PullEvent], None]
FindCopies = Callable[[HubFile], Iterable[Path]]


def no_copies(file: HubFile) -> Iterable[Path]:
    """Find nothing."""
    return ()


async def pull(
    wanted: WantedModel,
    hubs: Sequence[Hub],
    folder: Path,
    report: Report,
    find_copies: FindCopies = no_copies,
    patience: Patience = USUAL_PATIENCE,
    reserve_bytes: int = RESERVE_BYTES,
) -> ModelPulled:
    """Bring a model into the models folder; `find_copies` names files that may be the ones wanted.

    Cancelling keeps what arrived; the same call goes on with it.

    Raises:
        HubError: a file could not be fetched or stored.
    """
    targets = [folder / file.repository / file.path for file in wanted.files]
    progress = _Progress(wanted, targets, report)
    async with new_client(patience) as client:
        download = Download(client, hubs, progress, patience, reserve_bytes)
        for file, target in zip(wanted.files, targets, strict=True):
            if not (
                await _is_here(file, target, progress) or await _use_copy(file, target, find_copies, progress)
            ):
                await download.fetch(file, target)
            progress.finished(file)
    pulled = ModelPulled(wanted.model, wanted.quant, str(targets[0]), wanted.size_bytes)
    report(pulled)
    return pulled


async def _is_here(file: HubFile, target: Path, progress: _Progress) -> bool:
    """Check a file that has the name already; one that is not whole makes way."""
    if await _is_the_file(file, target, progress):
        return True
    make_way(target)
    return False


async def _use_copy(file: HubFile, target: Path, find_copies: FindCopies, progress: _Progress) -> bool:
    """Use a copy that another program keeps where it is, by a link to it."""
    for copy in find_copies(file):
        if await _is_the_file(file, copy, progress) and link(copy, target):
            progress.report(CopyUsed(file.name, str(copy)))
            return True
    return False


async def _is_the_file(file: HubFile, path: Path, progress: _Progress) -> bool:
    check = FileCheck(path, file)
    try:
        while await settled(check.step):
            progress.checked(file, check.done_bytes)
    finally:
        check.close()
    return check.is_the_file


class _Progress(Watcher):
    """Adds the parts up, smooths the speed, and reports ten times a second at most."""

    def __init__(self, wanted: WantedModel, targets: Sequence[Path], report: Report) -> None:
        self.report = report
        self._total_bytes = wanted.size_bytes
        self._done_bytes = {
            file.path: _size_of(part_path(target, file))
            for file, target in zip(wanted.files, targets, strict=True)
        }
        self._pace = Pace()
        self._reported_s = -REPORT_S

    def checked(self, file: HubFile, done_bytes: int) -> None:
        """Report what is checked."""
        if self._is_due():
            self.report(FileChecked(file.name, done_bytes, file.size_bytes))

    def asked(self, file: HubFile, host: str) -> None:
        """Report which source is asked."""
        self.report(SourceAsked(file.name, host))
        self._reported_s = -REPORT_S  # what arrives first is told at once

    def arrived(self, file: HubFile, host: str, done_bytes: int) -> None:
        """Add up what arrived."""
        arrived_bytes = done_bytes - self._done_bytes[file.path]
        self._done_bytes[file.path] = done_bytes
        self._pace.feed(max(0, arrived_bytes), time.monotonic())
        if self._is_due() or done_bytes == file.size_bytes:
            self._report_progress(file, host)

    def delayed(self, file: HubFile, reason: str, wait_s: float) -> None:
        """Report what is in the way."""
        self.report(DownloadDelayed(file.name, reason, wait_s))

    def finished(self, file: HubFile) -> None:
        """Count a file as whole."""
        self._done_bytes[file.path] = file.size_bytes

    def _report_progress(self, file: HubFile, host: str) -> None:
        done_bytes = sum(self._done_bytes.values())
        left_s = self._pace.left_s(self._total_bytes - done_bytes)
        self.report(
            DownloadProgressed(file.name, host, done_bytes, self._total_bytes, self._pace.bytes_per_s, left_s)
        )

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._reported_s < REPORT_S:
            return False
        self._reported_s = now_s
        return True


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
