"""The install lines of both READMEs, written from one constant that says where the package can be had."""

from __future__ import annotations

from pathlib import Path

from settings_document import replace_part

REPOSITORY = Path(__file__).parent.parent
READMES = {"en": REPOSITORY / "README.md", "zh": REPOSITORY / "README.zh-CN.md"}

IS_PUBLISHED = False
"""True once the package index has the package; until then the lines install it from a checkout."""

_INTRODUCTIONS = {
    ("en", False): "To install the command `qwen3-chat` for yourself, run one of these in this folder:",
    ("en", True): "To install the command `qwen3-chat` for yourself, run one of these:",
    ("zh", False): "要安装 `qwen3-chat` 命令，请在本文件夹里运行其中一条：",
    ("zh", True): "要安装 `qwen3-chat` 命令，请运行其中一条：",
}
_PIP_REMARKS = {"en": "into a virtual environment of yours", "zh": "装进你自己的虚拟环境"}


def install_part(language: str, *, is_published: bool) -> str:
    """Return the part of a README that says how to install the package."""
    source = "qwen3-chat" if is_published else "."
    pip = f"pip install {source}"
    return "\n".join(
        [
            _INTRODUCTIONS[language, is_published],
            "",
            "```sh",
            f"uv tool install {source}",
            f"pipx install {source}",
            f"{pip:<24} # {_PIP_REMARKS[language]}",
            "```",
        ]
    )


def main() -> None:
    """Update both READMEs."""
    for language, file in READMES.items():
        part = install_part(language, is_published=IS_PUBLISHED)
        file.write_text(replace_part(file.read_text("utf-8"), "install", part), "utf-8")


if __name__ == "__main__":
    main()
