"""Which engine a chat goes on with, as a value that the interface can choose without building anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.engine import Engine


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A GGUF file for llama.cpp here; without `n_ctx` the context is what suits this machine."""

    path: Path
    n_ctx: int | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A server's model, the one it serves where none is named; `kind` is what `--server` takes."""

    url: str
    model: str | None = None
    kind: str | None = None
    n_ctx: int | None = None


EngineChoice = LocalModel | ServedModel

MakeEngine = Callable[[EngineChoice], Engine]
"""Makes the engine of a choice without loading anything; given by the composition root.

Raises:
    Qwen3ChatError: the choice makes no sense.
"""
