"""A program that asks llama.cpp for the memory of contexts, which stdin lists.

`python -m tests.models.fit.account FILE account|load`

`account` allocates nothing and prints the bytes that llama.cpp would; `load` really loads, evaluates a chunk
and prints the growth of the process.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from typing import Any

import llama_cpp
import psutil
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as in the worker

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.llama_context import MAX_OUTPUTS
from qwen3_chat.engine.worker.llama_params import context_params
from qwen3_chat.request import N_SEQUENCES, KvType

_COMPUTE = re.compile(r"compute buffer size =\s+([\d.]+) MiB")
_REPACKED = re.compile(r"CPU_REPACK model buffer size =\s+([\d.]+) MiB")
_STATES = re.compile(r"llama_memory_recurrent: size =\s+([\d.]+) MiB")
_KV = re.compile(r"llama_kv_cache: size =\s+([\d.]+) MiB")


def main(file: str, what: str) -> None:
    """Print the memory of each context that stdin lists."""
    lines: list[str] = []

    @L.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, data: Any) -> None:
        lines.append(text.decode(errors="replace"))

    L.llama_log_set(listen, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    asked = json.load(sys.stdin)
    before_bytes = psutil.Process().memory_info().rss
    params = L.llama_model_default_params()
    params.n_gpu_layers = 0
    if what == "account":
        params.no_alloc, params.load_mode = True, 0
    model = L.llama_model_load_from_file(file.encode(), params)
    repacked_mib = sum(map(float, _REPACKED.findall("".join(lines))))
    answers = []
    for context in asked:
        lines.clear()
        pointer = _context(model, context)
        log = "".join(lines)
        answer = {
            "weights_bytes": L.llama_model_size(model),
            "kv_mib": float(_KV.findall(log)[-1]),
            "state_mib": sum(map(float, _STATES.findall(log))),
            "compute_mib": float(_COMPUTE.findall(log)[-1]),
        }
        if what == "load":
            tokens = (L.llama_token * context["n_ubatch"])(*range(context["n_ubatch"]))
            assert L.llama_decode(pointer, L.llama_batch_get_one(tokens, len(tokens))) == 0
            answer["repacked_mib"] = repacked_mib
            answer["grown_bytes"] = psutil.Process().memory_info().rss - before_bytes
        answers.append(answer)
        L.llama_free(pointer)
    print(json.dumps(answers))


def _context(model: Any, asked: dict[str, Any]) -> Any:
    """Make a context with the worker's parameters."""
    plan = LoadPlan(
        n_layers=0,  # has no influence on a context
        n_ctx=asked["n_ctx"],
        kv_type=KvType(asked["kv_type"]),
        n_ubatch=asked["n_ubatch"],
        flash_attention=asked["flash_attention"],
        n_threads=1,
        n_prompt_threads=1,
    )
    params = context_params(plan, N_SEQUENCES, MAX_OUTPUTS)
    if not plan.flash_attention:
        params.type_v = L.GGML_TYPE_F16  # without flash attention, only the keys can be quantised
    return L.llama_init_from_model(model, params)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
