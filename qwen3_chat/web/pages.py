"""The pages that the server shows, their files, the headers of each response. Pure but for reading files."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final

from qwen3_chat.config.paths import APP_NAME
from qwen3_chat.texts import Language, current_language, t
from qwen3_chat.web.access import HOST_NAMES, Refusal

FONT_SIZE_PX: Final = 16
_LANGUAGE_TAGS: Final = {Language.EN: "en", Language.ZH: "zh-CN"}
_PAGE_TEXTS: Final = (
    "starting",
    "waiting",
    "take",
    "moved",
    "again",
    "lost",
    "crowded",
    "refused",
    "unable",
    "too_large",
    "close",
    "restart",
)

_OWN_FILES: Final = {"page.js": "text/javascript", "page.css": "text/css"}
_TERMINAL_FILES: Final = {
    "textual.js": ("js/textual.js", "text/javascript"),
    "xterm.css": ("css/xterm.css", "text/css"),
    "mono.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", "font/ttf"),
    "mono-italic.ttf": ("fonts/RobotoMono-Italic-VariableFont_wght.ttf", "font/ttf"),
}
"""The files of textual-serve that its page needs; it would load the font from another host."""


def has_terminal_files() -> bool:
    """Return whether the extra `web` is installed."""
    return all(find_spec(name) is not None for name in ("aiohttp", "textual_serve"))


@cache
def read_page_file(name: str) -> tuple[bytes, str] | None:
    """Return a file of the page with its type; None if the page has no such file."""
    if name in _OWN_FILES:
        return (resources.files(__package__) / "static" / name).read_bytes(), _OWN_FILES[name]
    if name in _TERMINAL_FILES:
        file, mime_type = _TERMINAL_FILES[name]
        spec = find_spec("textual_serve")
        assert spec is not None
        assert spec.origin is not None
        return (Path(spec.origin).parent / "static" / file).read_bytes(), mime_type
    return None


def security_headers(port: int) -> dict[str, str]:
    """Return the headers of every response: nothing from elsewhere, in no frame, in no cache.

    Styles may stand in the page because xterm.js writes its own there; scripts may not.
    """
    sockets = " ".join(f"ws://{name}:{port}" for name in HOST_NAMES)
    policy = (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"connect-src 'self' {sockets}; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store",
        "Server": APP_NAME,
    }


def app_page(socket_url: str) -> str:
    """Return the page that shows the app."""
    texts = json.dumps({key: t(f"web.page.{key}") for key in _PAGE_TEXTS})
    template = (resources.files(__package__) / "static" / "page.html").read_text("utf-8")
    return Template(template).substitute(
        language=_LANGUAGE_TAGS[current_language()],
        name=APP_NAME,
        texts=escape(texts),
        socket_url=escape(socket_url),
        font_size=FONT_SIZE_PX,
        starting=escape(t("web.page.starting")),
        unable=escape(t("web.page.unable")),
    )


def entered_page() -> str:
    """Return the page that leads to the app.

    A redirect would not do: the browser keeps the cookie from it, as long as the link was followed from
    elsewhere. From this page on, everything is ours.
    """
    sentence = escape(t("web.page.starting"))
    return (
        f'<!DOCTYPE html><html lang="{_LANGUAGE_TAGS[current_language()]}"><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="0; url=./"><title>{APP_NAME}</title>'
        f'<p><a href="./">{sentence}</a></p></html>'
    )


def refused_text(refusal: Refusal) -> str:
    """Return the sentence for whoever gets nothing."""
    return t(f"web.refused.{refusal}") + "\n"
