"""The refusal of a Python that is too old, as a sentence instead of a traceback.

This module must also run where the project itself cannot, so it parses and runs on Python 3.8.
"""

from __future__ import annotations

import os
import shutil
import sys

OLDEST = (3, 11)
_EN = "qwen3-chat needs Python {oldest} or newer, and this is Python {found}; {advice}."
_ZH = "qwen3-chat 需要 Python {oldest} 或更新的版本，而当前是 Python {found}；{advice}。"
_ADVICE = {
    "en": (
        "run the same command with {newer}",
        "please install a newer one from python.org or your system's packages",
    ),
    "zh": ("请改用 {newer} 运行同一条命令", "请从 python.org 或系统软件源安装新版本"),
}


def refuse_old_python() -> None:
    """Exit with one sentence where Python is older than `OLDEST`."""
    if sys.version_info[:2] >= OLDEST:
        return
    newer = next(
        (name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)), ""
    )
    sys.exit(sentence(sys.version_info[:2], newer, os.environ.get("LC_ALL") or os.environ.get("LANG") or ""))


def sentence(found: tuple[int, int], newer: str, locale: str) -> str:
    """Return the sentence on the Python that is needed, with the name of a newer one on the path."""
    language = "zh" if locale.lower().startswith("zh") else "en"
    advice = _ADVICE[language][0 if newer else 1].format(newer=newer)
    template = _ZH if language == "zh" else _EN
    return template.format(oldest=".".join(map(str, OLDEST)), found=".".join(map(str, found)), advice=advice)
