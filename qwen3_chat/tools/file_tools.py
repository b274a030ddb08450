"""The tools `read_file` and `list_files`: what is below the folders that the user allowed."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import datetime
from itertools import islice
from pathlib import PurePath
from typing import Final

from qwen3_chat.documents.file_text import HTML_SUFFIXES, read_document
from qwen3_chat.errors import UsageError
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.allowed_folders import ABSOLUTE_PATH, MAX_PATH_CHARS, AllowedFolders
from qwen3_chat.tools.tool import Arguments, Target, TargetKind, Tool, ToolError
from qwen3_chat.tools.tool_settings import ToolSettings

MAX_FOLDER_NAMES: Final = 500
"""The most names of a folder that are listed."""

_MAX_SORTED: Final = 20_000
_PATH: Final = {"type": "string", "maxLength": MAX_PATH_CHARS, "pattern": ABSOLUTE_PATH}


def read_file_tool(settings: ToolSettings) -> Tool:
    """Return the tool that reads a file: text, a PDF, a web page."""
    folders = AllowedFolders(settings.folders, settings.private_paths)

    async def run(arguments: Arguments) -> str:
        first, count = arguments.get("first_line", 1), arguments.get("line_count")
        text = await asyncio.to_thread(_read, folders, str(arguments["path"]))
        if first == 1 and count is None:
            return text
        lines = text.splitlines(keepends=True)
        start = int(str(first)) - 1
        if start >= len(lines):
            raise ToolError(f"The file has only {len(lines):,} lines.")
        end = len(lines) if count is None else start + int(str(count))
        return "".join(lines[start:end])

    schema = {
        "type": "object",
        "properties": {
            "path": {**_PATH, "description": "The whole path of the file"},
            "first_line": {"type": "integer", "minimum": 1, "description": "Where to begin; 1 if left out"},
            "line_count": {"type": "integer", "minimum": 1, "description": "How many lines; all if left out"},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    description = f"Read a text file, a PDF or a web page. Allowed folders: {folders.names}."
    return Tool("read_file", description, schema, run, target=Target("path", TargetKind.FILE))


def list_files_tool(settings: ToolSettings) -> Tool:
    """Return the tool that lists a folder."""
    folders = AllowedFolders(settings.folders, settings.private_paths)

    async def run(arguments: Arguments) -> str:
        return await asyncio.to_thread(_list, folders, str(arguments["path"]))

    schema = {
        "type": "object",
        "properties": {"path": {**_PATH, "description": "The whole path of the folder"}},
        "required": ["path"],
        "additionalProperties": False,
    }
    description = f"List the files in a folder with size and date. Allowed folders: {folders.names}."
    return Tool("list_files", description, schema, run, target=Target("path", TargetKind.FOLDER))


def _read(folders: AllowedFolders, path: str) -> str:
    with folders.open(path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as stream:
        name = PurePath(path)
        try:
            text = read_document(stream, name.name, is_page=name.suffix.lower() in HTML_SUFFIXES)
        except UsageError as error:  # too large, a picture, no text
            raise ToolError(str(error)) from error
        except OSError as error:
            raise ToolError(f"The file can't be read: {error.strerror or error}.") from error
    return text or "The file is empty."


def _list(folders: AllowedFolders, path: str) -> str:
    with folders.open(path, folder=True) as descriptor:
        try:
            with os.scandir(descriptor if os.scandir in os.supports_fd else path) as entries:
                listed = sorted(islice(entries, _MAX_SORTED), key=lambda entry: entry.name)
                lines = [_describe(entry) for entry in listed[:MAX_FOLDER_NAMES]]
        except OSError as error:
            raise ToolError(f"The folder can't be read: {error.strerror or error}.") from error
    if len(listed) > MAX_FOLDER_NAMES:
        lines.append(f"[{len(listed) - MAX_FOLDER_NAMES:,} more]")
    return "\n".join(lines) or "The folder is empty."


def _describe(entry: os.DirEntry[str]) -> str:
    name = label_of_name(entry.name)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return name
    if stat.S_ISLNK(status.st_mode):
        return f"{name} (a link)"
    if stat.S_ISDIR(status.st_mode):
        return f"{name}/"
    day = f"{datetime.fromtimestamp(status.st_mtime):%Y-%m-%d %H:%M}" if status.st_mtime > 0 else ""
    return f"{name}  {status.st_size:,} bytes  {day}".rstrip()
