"""`qwen3-chat rm`: the removal of a downloaded model, after a question where there is a terminal.

It stands alone because each command is imported by itself, and this one needs neither downloads nor engines.
"""

from __future__ import annotations

import sys

from qwen3_chat.cli.engine_composition import configured_model_dirs
from qwen3_chat.config import find_paths
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.library import apply_removal, list_external_models, plan_removal
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.texts.terminal_safe import terminal_safe

YES_ANSWERS = ("y", "yes", "是", "好")


def remove_model(name: str) -> int:
    """Remove a model and return the exit status.

    Raises:
        Qwen3ChatError: it is not installed, not the app's, or can't be removed.
    """
    folder = find_paths().models
    removal = plan_removal(folder, ModelReference.parse(name), list_external_models(configured_model_dirs()))
    names = terminal_safe(", ".join(path.name for path in removal.paths))
    size = format_size(removal.freed_bytes)
    if sys.stdin.isatty() and input(t("rm.sure", names=names, size=size)).strip().lower() not in YES_ANSWERS:
        print(t("rm.kept_all"), file=sys.stderr)
        return 1
    apply_removal(removal, folder)
    print(t("rm.done", names=names, size=size))
    for path in removal.external_paths:
        print(terminal_safe(t("rm.stays", path=path)))
    return 0
