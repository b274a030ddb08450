"""The download of a file, which resumes, changes sources and accepts only the right bytes."""

from __future__ import annotations

import asyncio
import errno
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import HubError
from qwen3_chat.models.gguf_file_name import lock_name
from qwen3_chat.models.hub.blocking_calls import run_to_end
from qwen3_chat.models.hub.body_reader import stream_response
from qwen3_chat.models.hub.download_errors import (
    DamagedError,
    SourceCrawlsError,
    SourceFailedError,
    SourceRefusedError,
)
from qwen3_chat.models.hub.http_responses import RangeRequest, body_offset_bytes
from qwen3_chat.models.hub.hub_file import HubFile
from qwen3_chat.models.hub.parallel_ranges import ConnectionCount, RangedDownload, RangesIgnoredError
from qwen3_chat.models.hub.part_appender import SPACE_CHECK_BYTES
from qwen3_chat.models.hub.part_file import RESERVE_BYTES, PartFile, part_path, rename_part
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY, RetryPolicy
from qwen3_chat.models.hub.source_rounds import no_source_error
from qwen3_chat.models.hub.sources import Hub, network_error
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import join_sentences

if TYPE_CHECKING:
    import httpx2
    from filelock import BaseFileLock

BATCH_BYTES = 512 << 10
"""The number of bytes that are hashed and written together, while the next ones arrive."""

BATCH_S = 0.25
"""The time after which a batch is written, even if it is smaller."""

MAX_DAMAGED_DOWNLOADS = 2
"""The number of downloads with wrong bytes after which the file is given up."""


_WITHOUT_LOCKS_ERRNOS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""The errors by which a file system says that it has no locks."""


class FileIdentity(NamedTuple):
    """The identity of a file, which one that replaces it does not share."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


class DownloadObserver:
    """An observer of a download; each method does nothing unless overridden."""

    def on_checked(self, file: HubFile, done_bytes: int) -> None:
        """Note that `done_bytes` of an earlier run are checked."""

    def on_source_asked(self, file: HubFile, host: str) -> None:
        """Note that a source is asked for the file."""

    def on_received(self, file: HubFile, host: str, done_bytes: int) -> None:
        """Note that `done_bytes` of the file have arrived so far."""

    def on_delayed(self, file: HubFile, reason: str, wait_s: float) -> None:
        """Note a delay: `reason` is a sentence for the user, `wait_s` the planned pause."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """A downloader of files from the same sources; cancel its task to pause, call it again to resume."""

    client: httpx2.AsyncClient
    hubs: Sequence[Hub]
    observer: DownloadObserver
    retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY
    reserve_bytes: int = RESERVE_BYTES
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def fetch(
        self, file: HubFile, target: Path, replaced: FileIdentity | None = None, *, is_renamed: bool = True
    ) -> bool:
        """Download a file to `target`, which appears only when the file is complete and checked.

        `replaced` is the file that is there now and stays until then. Where `is_renamed` is False, the
        complete file keeps the name of a part for `rename_part`. Return False if another process was faster.

        Raises:
            HubError: no source delivers it, or it can't be stored; the next call resumes.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HubError(
                ErrorCode.DOWNLOAD_NOT_WRITABLE, path=target.parent, reason=error.strerror or error
            ) from error
        async with self._lock(file, target) as lock:
            if identify_file(target) not in (None, replaced):
                _remove_lock(lock)  # a process that waits for it finds the complete file too
                return False
            with PartFile(target, file) as part:
                await self._check_stored(file, part)
                part.check_space(self.reserve_bytes)
                await self._complete(file, part)
            if is_renamed:
                await run_to_end(partial(rename_part, target, file))
            _remove_lock(lock)
        return True

    @asynccontextmanager
    async def _lock(self, file: HubFile, target: Path) -> AsyncIterator[BaseFileLock]:
        """Wait for the lock of this part and hold it; the system frees the lock of a process that dies.

        Where the file system has none, a file that names the process stands for one.
        """
        from filelock import FileLock, SoftFileLock, Timeout  # here: only a download needs it

        part = str(part_path(target, file))
        lock: BaseFileLock = FileLock(lock_name(part), thread_local=False)
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # filelock warns where it makes do with a file itself
                    lock.acquire(blocking=False)
                break
            except Timeout:
                self.observer.on_delayed(file, t("hub.locked", name=file.name), 0)
                await asyncio.sleep(self.retry_policy.lock_poll_interval_s)
            except (OSError, NotImplementedError) as error:
                if not isinstance(lock, SoftFileLock) and _has_no_locks(error):
                    _remove_lock(lock)
                    lock = SoftFileLock(lock_name(f"{part}.soft"), thread_local=False)
                    continue
                reason = error.strerror if isinstance(error, OSError) else None
                raise HubError(
                    ErrorCode.DOWNLOAD_NOT_WRITABLE, path=target.parent, reason=reason or error
                ) from error
        try:
            yield lock
        finally:
            lock.release()

    async def _check_stored(self, file: HubFile, part: PartFile) -> None:
        """Check what an earlier run left; pieces that have changed on the disk since arrive again."""
        while True:
            while await run_to_end(part.hash_next_step):
                self.observer.on_checked(file, part.size_bytes)
            if part.gap_end_bytes is None:
                return
            self.observer.on_delayed(file, t("hub.piece_damaged", name=file.name), 0)
            await self._fill(file, part, list(self.hubs))

    async def _complete(self, file: HubFile, part: PartFile) -> None:
        """Download the missing bytes and check all; if they are wrong, start again with the next source."""
        hubs = list(self.hubs)
        n_damaged = 0
        while True:
            await self._fill(file, part, hubs)
            try:
                await run_to_end(part.verify)
                return
            except DamagedError as error:
                n_damaged += 1
                if n_damaged == MAX_DAMAGED_DOWNLOADS:
                    raise
                hubs = [*hubs[1:], *hubs[:1]]
                self.observer.on_delayed(file, str(error), 0)

    async def _fill(self, file: HubFile, part: PartFile, hubs: list[Hub]) -> None:
        """Ask the sources in turn until every missing byte is there; one that delivers becomes the first."""
        failures: dict[Hub, HubError] = {}
        refused: set[Hub] = set()
        crawling: set[Hub] = set()
        paused_until_s: dict[Hub, float] = {}
        connections = {hub: ConnectionCount(self.retry_policy) for hub in hubs}
        n_fruitless_rounds = 0
        while part.size_bytes < part.end_bytes:
            before_bytes, has_changed = part.size_bytes, False
            for hub in [hub for hub in hubs if hub not in refused]:
                if paused_until_s.get(hub, 0) > self.clock():
                    continue
                has_other = any(other not in refused | crawling for other in hubs if other is not hub)
                try:
                    has_changed = await self._receive(
                        file, part, hub, connections[hub], may_crawl=not has_other
                    )
                except SourceRefusedError as error:
                    failures[hub] = error
                    refused.add(hub)
                except SourceCrawlsError as error:
                    crawling.add(hub)
                    hubs.remove(hub)
                    hubs.append(hub)
                    self.observer.on_delayed(file, str(error), 0)
                    has_changed = True
                    break
                except SourceFailedError as error:
                    if connections[hub].n > 1:
                        connections[hub].settle(connections[hub].n // 2)
                    failures[hub] = error
                    paused_until_s[hub] = self.clock() + (error.wait_s or 0)
                if has_changed or part.size_bytes > before_bytes:
                    hubs.remove(hub)
                    hubs.insert(0, hub)
                    break
            if part.size_bytes == part.end_bytes:
                return
            if has_changed:
                continue
            n_fruitless_rounds = 0 if part.size_bytes > before_bytes else n_fruitless_rounds + 1
            willing = [hub for hub in hubs if hub not in refused]
            if not willing or n_fruitless_rounds == self.retry_policy.max_attempts:
                raise no_source_error(file.name, list(failures.values()))
            pause_s = min(paused_until_s.get(hub, 0) for hub in willing) - self.clock()
            if pause_s > self.retry_policy.max_server_wait_s:
                raise no_source_error(file.name, list(failures.values()))
            wait_s = max(self.retry_policy.wait_s(n_fruitless_rounds), pause_s)
            self.observer.on_delayed(
                file, join_sentences(failures[hub] for hub in hubs if hub in failures), wait_s
            )
            await self.sleep(wait_s)

    async def _receive(
        self, file: HubFile, part: PartFile, hub: Hub, connections: ConnectionCount, *, may_crawl: bool
    ) -> bool:
        """Ask a source once for the missing bytes, and store those that arrive, however the request ends.

        Return True if it ended for another number of connections.
        """
        import httpx2

        self.observer.on_source_asked(file, hub.host)
        pace = None if may_crawl else _Pace(self.retry_policy, self.clock())
        is_gap = part.gap_end_bytes is not None
        if connections.n > 1 and not is_gap:
            arriving = self._many_connections(file, part, hub, connections)
        else:
            arriving = self._one_connection(file, part, hub)
        has_changed, before_bytes = False, part.size_bytes
        try:
            async with aclosing(arriving) as arrivals:
                async for n_bytes in arrivals:
                    self.observer.on_received(file, hub.host, part.size_bytes)
                    if part.size_bytes == part.end_bytes:
                        break
                    now_s = self.clock()
                    if pace and pace.is_crawl(n_bytes, now_s):
                        raise SourceCrawlsError(ErrorCode.SOURCE_CRAWLS, host=hub.host)
                    missing_bytes = part.end_bytes - part.size_bytes
                    if not is_gap and connections.feed(n_bytes, missing_bytes, now_s):
                        has_changed = True
                        break
        except RangesIgnoredError:
            connections.settle(1)
            has_changed = True
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise network_error(hub.host, error) from error
        finally:
            if part.size_bytes > before_bytes:
                self.observer.on_received(file, hub.host, part.size_bytes)
        if part.size_bytes < part.end_bytes and not has_changed:
            raise SourceFailedError(ErrorCode.SOURCE_DISCONNECTED, host=hub.host)
        return has_changed

    async def _one_connection(self, file: HubFile, part: PartFile, hub: Hub) -> AsyncGenerator[int]:
        """Append the missing bytes as one response delivers them; yield how many arrived."""
        offset = part.size_bytes
        headers = {**hub.headers(), "Accept-Encoding": "identity"}
        is_gap = part.gap_end_bytes is not None
        if offset or is_gap:
            headers["Range"] = f"bytes={offset}-{part.end_bytes - 1 if is_gap else ''}"
        async with stream_response(self.retry_policy, hub.file_url(file), headers) as response:
            request = RangeRequest(
                hub.host, file.repository, file.name, offset, file.size_bytes, response.is_redirected
            )
            # a source that ignores ranges sends the stored bytes again; they are skipped
            n_to_skip = offset - body_offset_bytes(response.status, response.headers, request)
            async with aclosing(response.read_into(part, n_to_skip)) as arrivals:
                async for n_bytes in arrivals:
                    yield n_bytes

    async def _many_connections(
        self, file: HubFile, part: PartFile, hub: Hub, connections: ConnectionCount
    ) -> AsyncGenerator[int]:
        """Append the missing bytes as several connections deliver them; yield how many arrived."""
        ranged = RangedDownload(self.client, hub, file, connections.n, connections.range_bytes)
        writer = _BatchWriter(self, part)
        try:
            async with aclosing(ranged.chunks(part.size_bytes)) as chunks:
                async for data in chunks:
                    await writer.add(data)
                    yield len(data)
        finally:
            await writer.close()


class _Pace:
    """The pace at which a source delivers, window by window."""

    def __init__(self, retry_policy: RetryPolicy, now_s: float) -> None:
        self._retry_policy = retry_policy
        self._begun_s = now_s
        self._n_bytes = 0

    def is_crawl(self, n_bytes: int, now_s: float) -> bool:
        """Note bytes that arrived; return True at the end of a window in which too few did."""
        self._n_bytes += n_bytes
        elapsed_s = now_s - self._begun_s
        if elapsed_s < self._retry_policy.crawl_window_s:
            return False
        crawls = self._n_bytes < self._retry_policy.crawl_bytes_per_s * elapsed_s
        self._begun_s, self._n_bytes = now_s, 0
        return crawls


class _BatchWriter:
    """A writer of the bytes of several connections; a thread writes one batch while the next one fills."""

    def __init__(self, downloader: Downloader, part: PartFile) -> None:
        self._downloader = downloader
        self._part = part
        self._missing_bytes = part.end_bytes - part.size_bytes
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._batch_started_s = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._bytes_since_space_check = 0

    async def add(self, data: bytes) -> None:
        """Add bytes; those beyond the end of the file are dropped.

        Raises:
            HubError: they can't be written to the disk.
        """
        data = data[: self._missing_bytes]
        if not data:
            return
        self._missing_bytes -= len(data)
        if not self._batch:
            self._batch_started_s = self._downloader.clock()
        self._batch.append(data)
        self._batch_bytes += len(data)
        if self._batch_bytes >= BATCH_BYTES or self._downloader.clock() - self._batch_started_s >= BATCH_S:
            await self._finish_batch()
            self._write()

    async def close(self) -> None:
        """Write the last batch, also when the connection broke or the download was cancelled."""
        await self._finish_batch()
        if self._batch:
            self._write()
            await self._finish_batch()

    def _write(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._writing = asyncio.create_task(asyncio.to_thread(self._append, batch))

    def _append(self, chunks: list[bytes]) -> None:
        batch = b"".join(chunks)
        self._part.append(batch)
        self._bytes_since_space_check += len(batch)
        if self._bytes_since_space_check >= SPACE_CHECK_BYTES:
            self._bytes_since_space_check = 0
            self._part.check_space()

    async def _finish_batch(self) -> None:
        """Wait for the batch that is being written; if that is cancelled, `close` waits for it."""
        if (writing := self._writing) is not None:
            await asyncio.wait({writing})
            self._writing = None
            writing.result()


def identify_file(path: Path) -> FileIdentity | None:
    """Return what tells a file or link from one that replaces it; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _has_no_locks(error: Exception) -> bool:
    """Return whether a file system has no locks, as an old NFS."""
    return isinstance(error, NotImplementedError) or (
        isinstance(error, OSError) and error.errno in _WITHOUT_LOCKS_ERRNOS
    )


def _remove_lock(lock: BaseFileLock) -> None:
    """Remove the file of a lock whose work is done; Windows does so after the release."""
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
