"""Makes the engine that a chat is switched to."""

from __future__ import annotations

from qwen3_chat.cli.build import make_engine
from qwen3_chat.cli.options import ModelChoice
from qwen3_chat.config import Paths, Settings
from qwen3_chat.engine import Engine
from qwen3_chat.session import EngineChoice, LocalModel, ServedModel


def engine_for(choice: EngineChoice, started: ModelChoice, settings: Settings, paths: Paths) -> Engine:
    """Make the engine of a choice; of what the app was started with, only the threads apply to any model.

    Raises:
        Qwen3ChatError: the choice makes no sense.
    """
    match choice:
        case LocalModel(path=path, n_ctx=n_ctx):
            return make_engine(ModelChoice(gguf=path, ctx=n_ctx, threads=started.threads), settings, paths)
        case ServedModel(url=url, model=model, kind=kind, n_ctx=n_ctx):
            served = ModelChoice(endpoint=url, model=model, server=kind, ctx=n_ctx)
            return make_engine(served, settings, paths)
