"""The sequences that steer the terminal outside of its screen: title, notifications, progress; pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from qwen3_chat.texts.terminal_safe import terminal_safe

BELL = "\x07"
MAX_SIGNAL_CHARACTERS = 120
"""The most characters of a title or a notification; terminals cut longer ones anyway."""

MIN_VTE_VERSION = 7900
"""The first version of VTE, GNOME's terminal library, that shows progress."""


class Notification(StrEnum):
    """The sequence by which a terminal shows a notification beside the bell."""

    NONE = ""
    OSC_9 = "9"
    OSC_777 = "777"


def notification_of(environ: Mapping[str, str]) -> Notification:
    """Return the sequence that this terminal understands; tmux and screen would not pass it on."""
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    if environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return Notification.NONE
    if program in ("iTerm.app", "WezTerm", "ghostty") or "KITTY_WINDOW_ID" in environ:
        return Notification.OSC_9
    is_777 = term.startswith(("foot", "rxvt")) or "VTE_VERSION" in environ
    return Notification.OSC_777 if is_777 else Notification.NONE


def shows_progress(environ: Mapping[str, str]) -> bool:
    """Return True if this terminal is known to show progress; iTerm2 took the sequence for a notification."""
    if environ.get("TMUX"):
        return False
    version = environ.get("VTE_VERSION", "")
    is_recent_vte = version.isdecimal() and len(version) < 9 and int(version) >= MIN_VTE_VERSION
    is_known = environ.get("TERM_PROGRAM") in ("ghostty", "mintty") or environ.get("ConEmuANSI") == "ON"
    return is_recent_vte or is_known or "WT_SESSION" in environ


def title_sequence(title: str) -> str:
    """Return the sequence that gives the window a title."""
    return f"\x1b]2;{_one_line(title)}\x07"


def background_sequence(colour: str) -> str:
    """Return the sequence that gives the window a background."""
    return f"\x1b]11;{_one_line(colour)}\x07"


def notification_sequence(kind: Notification, app_name: str, text: str) -> str:
    """Return the bell, with the sequence of a notification where the terminal has one."""
    match kind:
        case Notification.OSC_9:
            return f"\x1b]9;{app_name}: {_one_line(text)}\x07{BELL}"
        case Notification.OSC_777:
            body = _one_line(text).replace(";", ",")
            return f"\x1b]777;notify;{app_name};{body}\x07{BELL}"
        case Notification.NONE:
            return BELL


def progress_sequence(fraction: float | None, *, is_running: bool) -> str:
    """Return the sequence that shows progress, of unknown length where there is no fraction, or ends it."""
    if not is_running:
        return "\x1b]9;4;0;0\x07"
    if fraction is None:
        return "\x1b]9;4;3;0\x07"
    return f"\x1b]9;4;1;{round(100 * min(1.0, max(0.0, fraction)))}\x07"


def _one_line(text: str) -> str:
    """Return a text that neither ends the sequence nor steers the terminal."""
    shown = "".join(character for character in terminal_safe(text) if character.isprintable())
    return shown[:MAX_SIGNAL_CHARACTERS]
