"""Files for code blocks, with an extension that follows from the language."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.transcript.code_extraction import CodeBlock

_EXTENSIONS: Final = {
    "bash": "sh",
    "c": "c",
    "c++": "cpp",
    "cpp": "cpp",
    "csharp": "cs",
    "cs": "cs",
    "css": "css",
    "csv": "csv",
    "diff": "diff",
    "go": "go",
    "html": "html",
    "ini": "ini",
    "java": "java",
    "javascript": "js",
    "js": "js",
    "json": "json",
    "jsx": "jsx",
    "kotlin": "kt",
    "latex": "tex",
    "lua": "lua",
    "makefile": "mk",
    "markdown": "md",
    "md": "md",
    "patch": "diff",
    "php": "php",
    "powershell": "ps1",
    "py": "py",
    "python": "py",
    "r": "r",
    "rb": "rb",
    "rs": "rs",
    "ruby": "rb",
    "rust": "rs",
    "sh": "sh",
    "shell": "sh",
    "sql": "sql",
    "svg": "svg",
    "swift": "swift",
    "tex": "tex",
    "toml": "toml",
    "ts": "ts",
    "tsx": "tsx",
    "typescript": "ts",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
    "zig": "zig",
    "zsh": "zsh",
}
_BROWSER_EXTENSIONS: Final = frozenset({"svg", "html"})


def file_extension(block: CodeBlock) -> str:
    """Return the extension for a block; a block that begins like an SVG picture is one."""
    start = block.text.lstrip()[:500].lower()
    if "<svg" in start and block.language in ("", "xml", "svg", "html") and "<html" not in start:
        return "svg"
    if start.startswith("<!doctype html"):
        return "html"
    return _EXTENSIONS.get(block.language, "txt")


def opens_in_browser(block: CodeBlock) -> bool:
    """Return True if a block is a page or a picture that a browser shows."""
    return file_extension(block) in _BROWSER_EXTENSIONS


def code_file_name(block: CodeBlock) -> str:
    """Return the name that a block is saved under unless another one is given."""
    return f"code.{file_extension(block)}"


def save_code(block: CodeBlock, target: Path) -> Path:
    """Write a block to a new file, or into a folder; the name is numbered if it is taken.

    Raises:
        ExportError: the file can't be written.
    """
    return write_new_file(target, block.text + "\n", code_file_name(block))
