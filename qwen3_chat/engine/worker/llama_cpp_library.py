"""llama.cpp by way of llama-cpp-python, the library that runs everything, on GPUs, too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import llama_cpp as L  # noqa: N812 - short, as there is a call in every other line

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import Device, MeasuredDevice
from qwen3_chat.engine.worker.abort_flag import AbortFlag, abort_callback
from qwen3_chat.engine.worker.llama_bindings import (
    check_bindings,
    list_ggml_devices,
    set_abort_listener,
)
from qwen3_chat.engine.worker.llama_params import ModelParams, context_params
from qwen3_chat.engine.worker.native_library import (
    NativeContext,
    NativeVocab,
    TokenBatch,
    TokenDataArray,
    call_token_to_piece,
    call_tokenize,
)
from qwen3_chat.request import LLAMA_CPP_NAME
from qwen3_chat.sampling import SamplingParams

_PENALISED_TOKENS = 4096
_RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: llama.cpp draws a seed of its own
_KV_LAYOUT_FIELDS = (
    "type_k",
    "type_v",
    "flash_attn_type",
    "rope_scaling_type",
    "rope_freq_base",
    "rope_freq_scale",
    "yarn_ext_factor",
    "yarn_attn_factor",
    "yarn_beta_fast",
    "yarn_beta_slow",
    "yarn_orig_ctx",
)


class LlamaCppLibrary:
    """The installed llama-cpp-python, or the build of it that was imported before this module."""

    name = LLAMA_CPP_NAME
    version: str = llama_cpp.__version__
    build: str = llama_cpp.__version__

    def __init__(self) -> None:
        self._callbacks: list[object] = []  # have to live as long as the process

    def start(self, on_log: Callable[[int, bytes], None], on_abort: Callable[[str], None]) -> None:
        """Check the bindings, then get the library ready; raise `EngineError` for another version."""
        check_bindings()
        log_callback = L.llama_log_callback(lambda level, data, _: on_log(level, data))
        L.llama_log_set(log_callback, None)
        self._callbacks += [log_callback, set_abort_listener(on_abort)]
        L.llama_backend_init()

    def list_devices(self) -> tuple[Device, ...]:
        """Return the devices that this build can compute on, with the memory that is free now."""
        return list_ggml_devices()

    def measure_devices(self) -> tuple[MeasuredDevice, ...]:
        """Measure the devices that this build can compute on; in a process without a model."""
        from qwen3_chat.engine.worker.kernel_meter import measure_devices  # here: once a machine

        return measure_devices()

    def load_model(
        self, path: Path, plan: LoadPlan, architecture: str, progress: Callable[[float], bool]
    ) -> LlamaCppModel | None:
        """Load a model as planned; return None where that failed."""
        params = ModelParams(plan, architecture, progress)
        pointer = L.llama_model_load_from_file(str(path).encode(errors="surrogateescape"), params.struct)
        return LlamaCppModel(pointer) if pointer else None


class LlamaCppModel:
    """A model that llama.cpp has loaded."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.vocab: NativeVocab = LlamaCppVocab(L.llama_model_get_vocab(pointer))
        self.size_bytes = int(L.llama_model_size(pointer))
        self.n_parameters = int(L.llama_model_n_params(pointer))
        self.keeps_states = bool(L.llama_model_is_recurrent(pointer) or L.llama_model_is_hybrid(pointer))
        self._adapters: list[Any] = []  # freed with the model
        self._adapter_scales: list[float] = []
        self._adapter_layout = ""

    def add_adapter(self, path: Path, scale: float, fingerprint: str) -> bool:
        """Add a LoRA adapter to all contexts made from now on; return False where it does not fit."""
        adapter = L.llama_adapter_lora_init(self._pointer, os.fsencode(path))
        if not adapter:
            return False
        self._adapters.append(adapter)
        self._adapter_scales.append(scale)
        self._adapter_layout += f",lora={fingerprint}"
        return True

    def make_context(self, plan: LoadPlan, n_sequences: int, n_outputs: int) -> LlamaCppContext | None:
        """Make a context as planned; return None where that failed."""
        params = context_params(plan, n_sequences, n_outputs)
        pointer = L.llama_init_from_model(self._pointer, params)
        if not pointer:
            return None
        if self._adapters:
            count = len(self._adapters)
            adapters = (L.llama_adapter_lora_p_ctypes * count)(*self._adapters)
            scales = (ctypes.c_float * count)(*self._adapter_scales)
            L.llama_set_adapters_lora(pointer, adapters, count, scales)
        layout = ",".join(f"{name}={getattr(params, name)}" for name in _KV_LAYOUT_FIELDS)
        return LlamaCppContext(pointer, layout + self._adapter_layout)

    def free(self) -> None:
        """Free the memory."""
        L.llama_model_free(self._pointer)


class LlamaCppContext:
    """A context of llama.cpp; `pointer` is its own."""

    needs_cells_in_a_row = False

    def __init__(self, pointer: Any, kv_layout: str) -> None:
        self.pointer = pointer
        self.kv_layout = kv_layout
        self.n_ctx = int(L.llama_n_ctx(pointer))
        self._memory = L.llama_get_memory(pointer)
        self._abort_callback = abort_callback(L.ggml_abort_callback)

    def new_batch(self, max_tokens: int) -> TokenBatch:
        """Return a batch for that many tokens at most."""
        return TokenBatch(L.llama_batch_init(max_tokens, 0, 1), L.llama_batch_free)

    def decode(self, batch: TokenBatch) -> int:
        """Evaluate a batch; return the status of `llama_decode`."""
        status: int = L.llama_decode(self.pointer, batch.struct)
        return status

    def logits(self, output_index: int) -> Any:
        """Return the logits of an output of the last batch, by token; -1 is the last output."""
        return L.llama_get_logits_ith(self.pointer, output_index)

    def synchronise(self) -> None:
        """Wait until everything is computed, by a GPU too."""
        L.llama_synchronize(self.pointer)

    def remove(self, sequence: int, start: int = -1) -> bool:
        """Remove the tokens of a sequence from a position on; return False where only all can be removed."""
        return bool(L.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Add the tokens of a sequence before the position `end` to another one, in the same cells."""
        L.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def last_position(self, sequence: int) -> int:
        """Return the position of the last token of a sequence, -1 where it is empty."""
        return int(L.llama_memory_seq_pos_max(self._memory, sequence))

    def set_threads(self, n_threads: int, n_prompt_threads: int) -> None:
        """Set the numbers of threads for decoding and for evaluating prompts."""
        L.llama_set_n_threads(self.pointer, n_threads, n_prompt_threads)

    def set_abort_flag(self, abort: AbortFlag) -> None:
        """Make this flag the one that stops evaluations from now on."""
        L.llama_set_abort_callback(self.pointer, self._abort_callback, abort.pointer)

    def state_bytes(self, sequence: int) -> int:
        """Return the size of a sequence's saved state."""
        return int(L.llama_state_seq_get_size(self.pointer, sequence))

    def read_state(self, sequence: int) -> ctypes.Array[ctypes.c_uint8]:
        """Return the state of a sequence."""
        size = self.state_bytes(sequence)
        state = (ctypes.c_uint8 * size)()
        L.llama_state_seq_get_data(self.pointer, state, size, sequence)
        return state

    def write_state(self, state: ctypes.Array[ctypes.c_uint8], sequence: int) -> bool:
        """Make a state that of a sequence; return False where there is no room."""
        return bool(L.llama_state_seq_set_data(self.pointer, state, len(state), sequence))

    def save_sequence(self, path: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """Save a sequence, whose tokens these are, to a file; return True on success."""
        ids = (L.llama_token * len(tokens))(*tokens)
        return bool(L.llama_state_seq_save_file(self.pointer, os.fsencode(path), sequence, ids, len(tokens)))

    def load_sequence(self, path: Path, sequence: int, max_tokens: int) -> list[int] | None:
        """Load a file of `save_sequence` as a sequence; return its tokens, None where that failed."""
        ids, count = (L.llama_token * max_tokens)(), ctypes.c_size_t()
        is_loaded = L.llama_state_seq_load_file(
            self.pointer, os.fsencode(path), sequence, ids, max_tokens, ctypes.byref(count)
        )
        return list(ids[: count.value]) if is_loaded else None

    def free(self) -> None:
        """Free the memory."""
        L.llama_free(self.pointer)


class LlamaCppVocab:
    """The vocabulary of a model of llama.cpp."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.n_tokens = int(L.llama_vocab_n_tokens(pointer))

    def special_ids(self) -> list[int]:
        """Return the ids of the control and user-defined tokens."""
        special = L.LLAMA_TOKEN_ATTR_CONTROL | L.LLAMA_TOKEN_ATTR_USER_DEFINED
        return [id for id in range(self.n_tokens) if L.llama_vocab_get_attr(self._pointer, id) & special]

    def spelling(self, token: int) -> str:
        """Return the text of a token as the vocabulary lists it."""
        text: bytes = L.llama_vocab_get_text(self._pointer, token)
        return text.decode(errors="replace")

    def begin_and_end(self) -> tuple[int, int]:
        """Return the ids of the tokens that begin and end a text, negative where there is none."""
        return int(L.llama_vocab_bos(self._pointer)), int(L.llama_vocab_eos(self._pointer))

    def ends_reply(self, token: int) -> bool:
        """Return whether a token ends a reply."""
        return bool(L.llama_vocab_is_eog(self._pointer, token))

    def tokenise(self, data: bytes) -> tuple[int, ...]:
        """Tokenise UTF-8; no token is added, and control tokens are not read from it."""
        return call_tokenize(L.llama_tokenize, self._pointer, data)

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; special ones are spelled out."""
        return call_token_to_piece(L.llama_token_to_piece, self._pointer, token)

    def new_grammar(self, source: str, root: str) -> _Grammar | None:
        """Parse a grammar in GBNF; return None where llama.cpp can't read it."""
        pointer = L.llama_sampler_init_grammar(self._pointer, source.encode(), root.encode())
        return _Grammar(pointer) if pointer else None

    def new_sampler(self, params: SamplingParams, seed: int) -> _Sampler:
        """Return the samplers of a reply, a chain in C code."""
        chain = L.llama_sampler_chain_init(L.llama_sampler_chain_default_params())
        for sampler in _samplers(params, seed, self.n_tokens):
            L.llama_sampler_chain_add(chain, sampler)
        return _Sampler(chain)


class _Applicable:
    """A sampler or a chain of them, as llama.cpp applies it to candidates."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer

    def apply(self, candidates: TokenDataArray) -> None:
        reference = ctypes.cast(ctypes.byref(candidates), L.llama_token_data_array_p)
        L.llama_sampler_apply(self._pointer, reference)

    def accept(self, token: int) -> None:
        L.llama_sampler_accept(self._pointer, token)

    def free(self) -> None:
        L.llama_sampler_free(self._pointer)


class _Grammar(_Applicable):
    pass


class _Sampler(_Applicable):
    def sample(self, context: NativeContext, output_index: int) -> int:
        assert isinstance(context, LlamaCppContext)
        token: int = L.llama_sampler_sample(self._pointer, context.pointer, output_index)
        return token


def _samplers(params: SamplingParams, seed: int, n_vocab: int) -> list[Any]:
    chain = []
    if params.presence_penalty:
        chain.append(
            L.llama_sampler_init_penalties(n_vocab, _PENALISED_TOKENS, 1.0, 0.0, params.presence_penalty)
        )
    if params.temperature <= 0:
        return [*chain, L.llama_sampler_init_greedy()]
    if params.top_k > 0:
        chain.append(L.llama_sampler_init_top_k(params.top_k))
    chain.append(L.llama_sampler_init_temp(params.temperature))
    if params.top_p < 1:
        chain.append(L.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        chain.append(L.llama_sampler_init_min_p(params.min_p, 1))
    return [*chain, L.llama_sampler_init_dist(seed % _RANDOM_SEED)]
