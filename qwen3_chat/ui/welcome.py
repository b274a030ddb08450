"""What an empty chat says: what this is, what runs, what to try, where real models come from."""

from __future__ import annotations

from pathlib import Path

from qwen3_chat.request import LoadedModel
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import Entry
from qwen3_chat.ui.entries import NOTICE
from qwen3_chat.ui.figures import parameters


def welcome(model: LoadedModel | None, models_folder: Path, advice: str = "") -> Entry:
    """Write the welcome for the model in use, or for one that is still loading, with advice on a real one."""
    lines = [t("ui.welcome.title"), ""]
    if model is not None and model.is_demo:
        lines += [t("ui.welcome.demo", parameters=parameters(model.parameters)), ""]
        lines += [t("ui.welcome.try"), "", advice or t("ui.welcome.real"), ""]
        lines.append(t("ui.welcome.own", folder=models_folder))
    elif model is not None:
        name = " ".join(filter(None, (model.name, model.quant)))
        lines += [t("ui.welcome.model", name=name, n_ctx=model.n_ctx), "", t("ui.welcome.try")]
    else:
        lines.append(t("ui.welcome.try"))
    return Entry(NOTICE, "\n".join(lines))
