"""The driver of the app in a browser: packets on stdin and stdout, which `qwen3_chat.web` passes on.

Textual's `WebDriver` is not documented. Its packets, which textual-serve reads, are a letter, four bytes with
the size, and the payload: `D` for what a terminal gets, `M` for JSON.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, Literal, TextIO, cast
from urllib.parse import urlsplit

from textual.app import App
from textual.drivers._byte_stream import ByteStream
from textual.drivers.web_driver import WebDriver

from qwen3_chat.ui.textual_compat.steady_input import SteadyInput
from qwen3_chat.ui.textual_compat.terminal_parser import TerminalParser

PAGE_SEQUENCES = {"\x1b]2;": "title", "\x1b]11;": "background"}
"""The beginnings of the sequences that concern the page: its tab's title, its background."""
SEQUENCE_END = "\x07"
SCREEN_MODES = "\x1b[?1049h\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[?25l\x1b[?2004h"
"""The modes of the app's screen, for a page that was loaded after the app had set them."""
OPENED_SCHEMES = ("http", "https", "mailto")


class BrowserDriver(SteadyInput, WebDriver):
    """A driver that outlives the page it is shown in, and ends the app with the server that shows it.

    **Reading.** Textual's thread decodes strictly, ends silently with an error or with its input, and its
    signals, like its `quit`, end the app without storing what arrived. Here each of these lets it leave.

    **Writing.** A signal can interrupt a write to a pipe after a part; the rest is written as well.

    **Pages.** A page that is loaded later is given the modes and the whole screen. Title and background go
    as JSON, because textual-serve's page does not show them. Files are handed over on the disk, in one piece.

    We know of no upstream issue about any of this.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._write = self._write_whole  # type: ignore[assignment]
        self._is_cut_off = False

    # writing

    def write(self, data: str) -> None:
        """Write what a terminal gets; what concerns the page goes there as JSON."""
        start, separator, rest = data.partition(";")
        kind = PAGE_SEQUENCES.get(start + separator)
        if kind is not None and rest.endswith(SEQUENCE_END):
            self.write_meta({"type": kind, "value": rest.removesuffix(SEQUENCE_END)})
        else:
            super().write(data)

    def _write_whole(self, data: bytes) -> int:
        """Write all bytes, or none any more once nobody reads them; the end of the input ends the app."""
        rest = memoryview(data)
        while rest and not self._is_cut_off:
            try:
                rest = rest[os.write(self.fileno, rest) :]
            except OSError:
                self._is_cut_off = True
        return len(data)

    # reading

    def run_input_thread(self) -> None:
        """Read packets until the app ends; no byte ends the thread, the end of the input ends the app."""
        stream, parser = ByteStream(), self._new_parser()
        for data in self._input_reader:
            try:
                for packet_type, payload in stream.feed(data) if data else ():
                    if packet_type == "D":
                        for event in parser.feed_bytes(payload):
                            self._pass_on(event)
                    else:
                        self._on_meta(packet_type, payload)
                for event in parser.tick():
                    self._pass_on(event)
            except Exception as error:  # a bug of a parser must not take the keyboard away
                self._report(error)
                parser = self._new_parser()
        if not self.exit_event.is_set():
            self._leave()

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        """Act on what the server says: another size, another page, the end."""
        match packet_type:
            case "redraw":
                self._app.call_later(self._redraw)
            case "quit":
                self._leave()
            case "resize" | "focus" | "blur":
                super().on_meta(packet_type, payload)

    def _new_parser(self) -> TerminalParser:
        return TerminalParser(lambda: self._size or (80, 24))

    def _redraw(self) -> None:
        """Write the modes and every row of the screen."""
        self.write(SCREEN_MODES)
        self._app.refresh(layout=True)

    def _leave(self) -> None:
        """Let the app store everything and end."""
        self._app.call_later(getattr(self._app, "leave", self._app.exit))

    def start_application_mode(self) -> None:
        """Start, and let the signals that Textual takes lead to the same end."""
        super().start_application_mode()
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self._leave)

    # what the browser does instead of this machine

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Have the browser open an address of the web; there is nothing else that it could open."""
        if urlsplit(url).scheme in OPENED_SCHEMES:
            super().open_url(url, new_tab)

    def deliver_binary(
        self,
        binary: BinaryIO | TextIO,
        *,
        delivery_key: str,
        save_path: Path,
        open_method: Literal["browser", "download"] = "download",
        encoding: str | None = None,
        mime_type: str | None = None,
        name: str | None = None,
    ) -> None:
        """Hand a file to the browser: a private copy, which the server deletes when it is done.

        Raises:
            OSError: it could not be copied.
        """
        number, path = tempfile.mkstemp(prefix="qwen3-chat-download-")
        try:
            with open(number, "wb") as copy, binary:
                binary.seek(0)
                if isinstance(binary.read(0), str):
                    copy.write(str(binary.read()).encode(encoding or "utf-8", errors="surrogatepass"))
                else:
                    copyfileobj(cast(BinaryIO, binary), copy)
        except BaseException:
            with suppress(OSError):
                Path(path).unlink()
            raise
        self.write_meta({"type": "download", "key": delivery_key, "path": path, "name": save_path.name})


__all__ = ["BrowserDriver"]
