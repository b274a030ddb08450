"""Images of results, kept as files of the chat for the user to open; the model cannot see them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from qwen3_chat.tools.built_in_tools import FILES_WRITTEN

MAX_IMAGE_BYTES: Final = 8 << 20
"""The largest image that is kept, in bytes."""

MAX_CHAT_IMAGES: Final = 200
"""The most images of results in the folder of a chat."""

MAX_CHAT_IMAGE_BYTES: Final = 128 << 20
"""The most bytes that images of results take in the folder of a chat."""

_PREFIX: Final = "image-"
_NOT_SEEN: Final = "You cannot see images; the user can open these files."


def image_suffix(data: bytes) -> str:
    """Return the suffix of a file for an image, by its bytes; empty for what is no PNG, JPEG, GIF or WebP."""
    match data[:12]:
        case head if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return ".png"
        case head if head.startswith(b"\xff\xd8\xff"):
            return ".jpg"
        case head if head.startswith((b"GIF87a", b"GIF89a")):
            return ".gif"
        case head if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return ".webp"
        case _:
            return ""


def keep_images(
    images: Sequence[bytes], chat_id: int | None, chat_folder: Callable[[int], Path] | None
) -> str:
    """Write images to the folder of a chat; return what the model is told of them. This blocks.

    Equal images share a file. What is no image, too large or too many is left out, and said to be.
    """
    if not images:
        return ""
    kept, reasons = list[str](), list[str]()
    try:
        if chat_id is None or chat_folder is None:
            raise OSError("there is no folder for this chat")
        folder = chat_folder(chat_id)
        for data in images:
            name, reason = _keep(data, folder)
            if name and name not in kept:
                kept.append(name)
            if reason and reason not in reasons:
                reasons.append(reason)
    except OSError as error:
        reasons.append(error.strerror or str(error))
    lines = [f"{FILES_WRITTEN}{', '.join(kept)}]", _NOT_SEEN] if kept else []
    if reasons:
        lines.append(f"[Images not kept: {'; '.join(reasons)}]")
    return "\n".join(lines)


def _keep(data: bytes, folder: Path) -> tuple[str, str]:
    """Write an image unless it is there; return the name of its file, or why there is none."""
    suffix = image_suffix(data)
    if not suffix:
        return "", "no PNG, JPEG, GIF or WebP"
    if len(data) > MAX_IMAGE_BYTES:
        return "", f"larger than {MAX_IMAGE_BYTES >> 20} MiB"
    path = folder / f"{_PREFIX}{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
    with os.scandir(folder) as entries:
        sizes = {e.name: e.stat(follow_symlinks=False).st_size for e in entries if e.name.startswith(_PREFIX)}
    if path.name not in sizes:
        if len(sizes) >= MAX_CHAT_IMAGES or sum(sizes.values()) + len(data) > MAX_CHAT_IMAGE_BYTES:
            return "", "this chat has too many already"
        _write_new(path, data)
    return path.name, ""


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that only the user can read; code of a model may have put a link in its place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
