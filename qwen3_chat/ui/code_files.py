"""Saves code blocks to files named after their language."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qwen3_chat.transcript.code_blocks import CodeBlock

_ENDINGS: Final = {
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
_PAGES: Final = frozenset({"svg", "html"})


def code_ending(block: CodeBlock) -> str:
    """Return the file ending of a block's language; what begins like an SVG picture is one."""
    start = block.text.lstrip()[:500].lower()
    if "<svg" in start and block.language in ("", "xml", "svg", "html") and "<html" not in start:
        return "svg"
    if start.startswith("<!doctype html"):
        return "html"
    return _ENDINGS.get(block.language, "txt")


def opens_in_browser(block: CodeBlock) -> bool:
    """Tell whether a block is a page or a picture that a browser shows."""
    return code_ending(block) in _PAGES


def save_code(block: CodeBlock, folder: Path) -> Path:
    """Write a block to a new file in the folder; a name that is taken gets a number.

    Raises:
        ExportError: the file can't be written.
    """
    # Imported here: the exports bring a lot along that nobody needs to begin.
    from qwen3_chat.export.writer import write_transcript

    folder.mkdir(parents=True, exist_ok=True)
    return write_transcript(folder, block.text + "\n", f"code.{code_ending(block)}")
