"""The LoRA adapters of a model: their files checked, then applied to the loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwen3_chat.engine.worker.fingerprint import model_fingerprint
from qwen3_chat.engine.worker.llama_log import LlamaLog
from qwen3_chat.engine.worker.native_library import NativeModel
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models.gguf import GgufHeader, read_file
from qwen3_chat.request import Adapter

_LORA = "lora"


def check_adapters(adapters: Sequence[Adapter], model: GgufHeader, model_name: str) -> None:
    """Check by their headers that files are adapters for a model, and that this is one, before it is loaded.

    Raises:
        ModelError: one is none, or is for another kind of model; the model is an adapter itself.
    """
    if model.is_adapter:
        raise ModelError(ErrorCode.MODEL_IS_ADAPTER, name=model_name, architecture=model.architecture or "?")
    for adapter in adapters:
        path = Path(adapter.path)
        header = read_file(path)
        if not header.is_adapter or header.text("adapter.type") != _LORA:
            raise ModelError(ErrorCode.ADAPTER_IS_NONE, name=path.name)
        if header.architecture != model.architecture:
            raise ModelError(
                ErrorCode.ADAPTER_OF_OTHER_MODEL,
                name=path.name,
                architecture=header.architecture or "?",
                model=model.architecture,
            )


def add_adapters(model: NativeModel, adapters: Sequence[Adapter], build: str, llama_log: LlamaLog) -> None:
    """Apply adapters to a loaded model.

    Raises:
        ModelError: one does not fit the model.
    """
    for adapter in adapters:
        path = Path(adapter.path)
        llama_log.clear_errors()
        fingerprint = model_fingerprint(path, build, f"{adapter.scale!r}")
        if not model.add_adapter(path, adapter.scale, fingerprint):
            raise ModelError(ErrorCode.ADAPTER_DOES_NOT_FIT, name=path.name, reason=llama_log.first_error())
