"""The log of what a server writes to stderr: of limited size, private, without secrets."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from qwen3_chat.log_file import MAX_LOG_BYTES, open_log
from qwen3_chat.mcp.launch_secrets import MIN_SECRET_CHARS
from qwen3_chat.servers import REDACTED
from qwen3_chat.texts.terminal_safe import terminal_safe

MAX_LAST_CHARS: Final = 200
"""The longest last line that an error quotes, in characters."""

_READ_BYTES: Final = 1 << 16
_MIN_SECRET_CHARS: Final = 4  # of a shorter one, every text would be full


class ServerLog:
    """The log of one server; `last_line` is the last that is not empty.

    A file over `max_bytes` becomes `<name>.1`, and nothing is lost but what stood there before.
    """

    def __init__(
        self,
        path: Path | None,
        secrets: tuple[str, ...] = (),
        result_secrets: tuple[str, ...] = (),
        max_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self._path = path
        self._result_secrets = list(result_secrets)
        self._secrets = [secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS]
        self._max_bytes = max_bytes
        self._end = asyncio.Event()
        self.last_line = ""

    async def copy(self, stream: asyncio.StreamReader | None) -> None:
        """Copy a stream to its end."""
        assert stream is not None
        descriptor, rest = -1, b""
        try:
            while data := await stream.read(_READ_BYTES):
                # a secret that is cut by the end of a piece would not be seen
                lines, _, rest = (rest + data).rpartition(b"\n")
                if len(rest) > _READ_BYTES:
                    lines, rest = lines + rest, b""
                descriptor = self._write(descriptor, lines + b"\n" if lines else b"")
            if rest:
                self._write(descriptor, rest + b"\n")
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            self._end.set()

    async def wait(self) -> None:
        """Wait for the end of the stream."""
        await self._end.wait()

    def add_secret(self, secret: str) -> None:
        """Redact another text from now on."""
        for secrets, least in (
            (self._secrets, _MIN_SECRET_CHARS),
            (self._result_secrets, MIN_SECRET_CHARS),
        ):
            if len(secret) >= least and secret not in secrets:
                secrets.append(secret)

    def redact(self, text: str) -> str:
        """Return a text for an error or a log without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def redact_result(self, text: str) -> str:
        """Return a text of an answer without secrets; other values of variables may stand there."""
        for secret in self._result_secrets:
            text = text.replace(secret, REDACTED)
        return text

    def _write(self, descriptor: int, lines: bytes) -> int:
        """Write lines; return the descriptor of the file, -1 where there is none."""
        text = self.redact(lines.decode(errors="replace"))
        if filled := [line for line in text.splitlines() if line.strip()]:
            self.last_line = terminal_safe(filled[-1].strip())[:MAX_LAST_CHARS]
        if self._path is None or not text:
            return descriptor
        with suppress(OSError):  # a full disk must not end a server
            if descriptor >= 0 and os.fstat(descriptor).st_size > self._max_bytes:
                os.close(descriptor)
                descriptor = -1
            if descriptor < 0:
                descriptor = open_log(self._path, self._max_bytes)
            os.write(descriptor, text.encode(errors="replace"))
        return descriptor
