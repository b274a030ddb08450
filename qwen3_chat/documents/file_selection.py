"""The files that paths, patterns and folders name."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts.terminal_safe import label_of_name

MAX_QUESTION_FILES: Final = 200
"""The most files of one question."""
_MAX_SEEN: Final = 20_000
"""The most files that are looked at in folders."""
_NOT_TEXT: Final = {
    *(ErrorCode.FILE_IS_PICTURE, ErrorCode.FILE_NOT_TEXT, ErrorCode.FILE_EMPTY, ErrorCode.FILE_WITHOUT_TEXT),
    *(ErrorCode.FILE_LOCKED, ErrorCode.FILE_DAMAGED),
}


def read_files(names: Sequence[Path]) -> tuple[list[Attachment], int]:
    """Read the files that are named, those that match a pattern, and those below folders, in order.

    Return them with the number of those that patterns and folders found but that are no text; hidden files
    and folders are not looked at. A file that is named itself has to be readable.

    Raises:
        UsageError: one can't be read, a pattern matches nothing, or there are too many.
    """
    attachments, n_left_out = list[Attachment](), 0
    for name in names:
        if not _is_several(name):
            attachments.append(read_attachment(name))
        else:
            for path, label in _found(name):
                try:
                    attachments.append(Attachment(label_of_name(label), read_attachment(path).text))
                except UsageError as error:
                    if error.code not in _NOT_TEXT:
                        raise
                    n_left_out += 1
                if len(attachments) > MAX_QUESTION_FILES:
                    raise UsageError(ErrorCode.FILES_TOO_MANY, file=name, limit=MAX_QUESTION_FILES)
    return attachments, n_left_out


def _is_several(name: Path) -> bool:
    try:
        return name.is_dir() or (glob.has_magic(str(name)) and not name.exists())
    except (OSError, ValueError):
        return False  # reading it says what is wrong


def _found(name: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder or a pattern with the names that the model reads, in order."""
    if name.is_dir():
        found = _files_below(name)
    else:
        matches = glob.iglob(str(name), recursive=True)  # noqa: PTH207 - of absolute patterns too
        paths = map(Path, sorted(islice(matches, _MAX_SEEN)))
        found = ((path, str(path)) for path in paths if path.is_file())
    has_file = False
    for number, item in enumerate(found):
        if number >= _MAX_SEEN:
            raise UsageError(ErrorCode.FILES_TOO_MANY, file=name, limit=MAX_QUESTION_FILES)
        has_file = True
        yield item
    if not has_file:
        raise UsageError(ErrorCode.FILES_NOT_FOUND, file=name)


def _files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path, str(path.relative_to(folder.parent))
