"""`qwen3-chat rm`: deletes a downloaded model, after asking where there is someone to ask."""

from __future__ import annotations

import sys

from qwen3_chat.cli.places import model_places
from qwen3_chat.config import paths_from
from qwen3_chat.library import models_elsewhere, plan_removal, remove
from qwen3_chat.plain import plain
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t

YES = ("y", "yes", "是", "好")


def remove_model(wanted: str) -> int:
    """Remove a model; return the exit status.

    Raises:
        Qwen3ChatError: it is not installed, not the app's, or can't be removed.
    """
    folder = paths_from().models
    removal = plan_removal(folder, wanted, models_elsewhere(model_places()))
    names = plain(", ".join(path.name for path in removal.paths))
    size = write_size(removal.freed_bytes)
    if sys.stdin.isatty() and input(t("rm.sure", names=names, size=size)).strip().lower() not in YES:
        print(t("rm.kept_all"), file=sys.stderr)
        return 1
    remove(removal, folder)
    print(t("rm.done", names=names, size=size))
    for path in removal.kept:
        print(plain(t("rm.stays", path=path)))
    return 0
