"""ik_llama.cpp by way of ik-llama-cpp-python: faster on processors, for a few kinds of model, optional.

Its header is an older one of llama.cpp. What differs in behaviour is made equal here: an evaluation that was
stopped is reported, cells that are free but scattered are moved together, an empty sequence has no position.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from ik_llama_cpp import _ctypes_api as C  # noqa: N812 - short, as there is a call in every other line

from qwen3_chat.engine.cpu_cores import default_prompt_threads, default_threads, processor_name
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.native_libraries import IK_DISTRIBUTION, IK_NAME, IK_VERSION
from qwen3_chat.engine.wire import Device, DeviceKind, MeasuredDevice
from qwen3_chat.engine.worker.abort_flag import AbortFlag, abort_callback
from qwen3_chat.engine.worker.native_library import (
    STATUS_ABORTED,
    STATUS_NO_ROOM,
    NativeVocab,
    TokenBatch,
    TokenDataArray,
    call_token_to_piece,
    call_tokenize,
)
from qwen3_chat.engine.worker.numpy_sampler import NumpySampler
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import KvType
from qwen3_chat.sampling import SamplingParams

_P, _I, _U, _N, _B = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_size_t, ctypes.c_bool
_TEXT, _IDS, _BYTES = ctypes.c_char_p, ctypes.POINTER(C.llama_token), ctypes.POINTER(ctypes.c_uint8)
_LOG_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

_MODEL_PARAMS_BYTES, _CONTEXT_PARAMS_BYTES, _BATCH_BYTES = 168, 216, 72
_DEFAULT_N_CTX, _DEFAULT_N_BATCH = 512, 2048
_CONTROL, _USER_DEFINED = 1 << 3, 1 << 4  # llama_token_attr
_Q8_0 = 8  # ggml_type
_GRAMMAR_N_CTX = 32
_LAYOUT_FIELDS = ("type_k", "type_v", "flash_attn", "k_cache_hadamard", "v_cache_hadamard", "rope_freq_base")


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of the library that its package does not bind, or binds with less."""
    prototype = ctypes.CFUNCTYPE(result, *arguments)
    return prototype((name, C._lib))


_llama_log_set = _function("llama_log_set", None, _LOG_CALLBACK, _P)
_llama_n_ctx = _function("llama_n_ctx", _U, _P)
_llama_model_size = _function("llama_model_size", ctypes.c_uint64, _P)
_llama_model_n_params = _function("llama_model_n_params", ctypes.c_uint64, _P)
_llama_model_is_recurrent = _function("llama_model_is_recurrent", _B, _P)
_llama_model_is_hybrid = _function("llama_model_is_hybrid", _B, _P)
_llama_token_get_attr = _function("llama_token_get_attr", ctypes.c_int, _P, _I)
_llama_vocab_get_text = _function("llama_vocab_get_text", _TEXT, _P, _I)
_llama_vocab_bos = _function("llama_vocab_bos", _I, _P)
_llama_vocab_eos = _function("llama_vocab_eos", _I, _P)
_llama_vocab_is_eog = _function("llama_vocab_is_eog", _B, _P, _I)
_llama_set_n_threads = _function("llama_set_n_threads", None, _P, _U, _U)
_llama_set_abort_callback = _function("llama_set_abort_callback", None, _P, C.ggml_abort_callback, _P)
_llama_synchronize = _function("llama_synchronize", None, _P)
_llama_kv_cache_seq_rm = _function("llama_kv_cache_seq_rm", _B, _P, _I, _I, _I)
_llama_kv_cache_seq_cp = _function("llama_kv_cache_seq_cp", None, _P, _I, _I, _I, _I)
_llama_kv_cache_seq_pos_max = _function("llama_kv_cache_seq_pos_max", _I, _P, _I)
_llama_kv_cache_seq_pos_min = _function("llama_kv_cache_seq_pos_min", _I, _P, _I)
_llama_kv_cache_defrag = _function("llama_kv_cache_defrag", None, _P)
_llama_get_kv_cache_used_cells = _function("llama_get_kv_cache_used_cells", _I, _P)
_llama_state_seq_get_size = _function("llama_state_seq_get_size", _N, _P, _I, _U)
_llama_state_seq_get_data = _function("llama_state_seq_get_data", _N, _P, _BYTES, _N, _I, _U)
_llama_state_seq_set_data = _function("llama_state_seq_set_data", _N, _P, _BYTES, _N, _I, _U)
_llama_state_seq_save_file = _function("llama_state_seq_save_file", _N, _P, _TEXT, _I, _IDS, _N)
_llama_state_seq_load_file = _function(
    "llama_state_seq_load_file", _N, _P, _TEXT, _I, _IDS, _N, ctypes.POINTER(_N)
)
_llama_sampler_init_grammar = _function("llama_sampler_init_grammar", _P, _P, _TEXT, _TEXT)
_llama_grammar_sample = _function("llama_grammar_sample", None, _P, _P, ctypes.POINTER(TokenDataArray))
_llama_grammar_accept_token = _function("llama_grammar_accept_token", None, _P, _P, _I)
_llama_grammar_free = _function("llama_grammar_free", None, _P)


def check_ik_bindings() -> None:
    """Check that the structs, and the fields that hold the defaults, are what this code was written for.

    Raises:
        EngineError: another version of ik-llama-cpp-python is installed.
    """
    installed = version(IK_DISTRIBUTION)
    sizes = tuple(
        ctypes.sizeof(struct) for struct in (C.llama_model_params, C.llama_context_params, C.llama_batch)
    )
    model, context = C.llama_model_default_params(), C.llama_context_default_params()
    fits = (
        installed == IK_VERSION
        and sizes == (_MODEL_PARAMS_BYTES, _CONTEXT_PARAMS_BYTES, _BATCH_BYTES)
        and (context.n_ctx, context.n_batch) == (_DEFAULT_N_CTX, _DEFAULT_N_BATCH)
        and context.offload_kqv
        and not context.embeddings
        and not context.abort_callback
        and model.use_mmap
        and not model.vocab_only
        and not model.dry_run
    )
    if not fits:
        raise EngineError(ErrorCode.FAST_CPU_VERSION_UNSUPPORTED, version=installed, needed=IK_VERSION)


class IkLibrary:
    """The installed ik-llama-cpp-python; processors only."""

    name = IK_NAME
    version = IK_VERSION

    def __init__(self) -> None:
        status = Path(C._lib._name).stat()  # compiled for this processor, it differs from the wheel's
        self.build = f"{IK_NAME} {IK_VERSION} {status.st_size} {status.st_mtime_ns}"
        self._callbacks: list[object] = []  # have to live as long as the process

    def start(self, on_log: Callable[[int, bytes], None], on_abort: Callable[[str], None]) -> None:
        """Check the bindings, then get the library ready; it can't tell why it ends a process."""
        check_ik_bindings()
        log_callback = _LOG_CALLBACK(lambda level, data, _: on_log(level, data or b""))
        _llama_log_set(log_callback, None)
        self._callbacks.append(log_callback)
        C.llama_backend_init()

    def list_devices(self) -> tuple[Device, ...]:
        """Return the processor."""
        memory = psutil.virtual_memory()
        return (Device("CPU", processor_name(), "CPU", DeviceKind.CPU, memory.available, memory.total),)

    def measure_devices(self) -> tuple[MeasuredDevice, ...]:
        """Return nothing: llama-cpp-python measures the kernels, and models are compared as a whole."""
        return ()

    def load_model(
        self, path: Path, plan: LoadPlan, architecture: str, progress: Callable[[float], bool]
    ) -> IkModel | None:
        """Load a model into memory; return None where that failed."""
        params = C.llama_model_default_params()
        callback = C.llama_progress_callback(lambda fraction, _: progress(fraction))
        params.progress_callback = callback
        params.n_gpu_layers = 0
        params.repack_tensors, params.use_mmap = plan.repacks_weights, not plan.repacks_weights
        pointer = C.llama_model_load_from_file(str(path).encode(errors="surrogateescape"), params)
        return IkModel(pointer) if pointer else None


class IkModel:
    """A model that ik_llama.cpp has loaded."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self._grammar_context: IkContext | None = None
        self.vocab: NativeVocab = _Vocab(self, pointer)
        self.size_bytes = int(_llama_model_size(pointer))
        self.n_parameters = int(_llama_model_n_params(pointer))
        self.keeps_states = bool(_llama_model_is_recurrent(pointer) or _llama_model_is_hybrid(pointer))

    def add_adapter(self, path: Path, scale: float, fingerprint: str) -> bool:
        """Return False: models with adapters run on llama-cpp-python."""
        return False

    def make_context(self, plan: LoadPlan, n_sequences: int, n_outputs: int) -> IkContext | None:
        """Make a context as planned; return None where that failed."""
        params = C.llama_context_default_params()
        params.n_ctx = plan.n_ctx
        params.n_batch = params.n_ubatch = plan.n_ubatch
        params.n_seq_max = n_sequences
        params.n_threads = plan.n_threads or default_threads()
        params.n_threads_batch = plan.n_prompt_threads or default_prompt_threads()
        params.flash_attn = plan.flash_attention is not False
        if plan.kv_type is KvType.Q8_0:
            params.type_k = params.type_v = _Q8_0
        pointer = C.llama_init_from_model(self._pointer, params)
        if not pointer:
            return None
        return IkContext(pointer, ",".join(f"{name}={getattr(params, name)}" for name in _LAYOUT_FIELDS))

    @property
    def grammar_context(self) -> IkContext:
        """The context by which grammars find the vocabulary, a tiny one."""
        if self._grammar_context is None:
            plan = LoadPlan(n_layers=0, n_ctx=_GRAMMAR_N_CTX, n_ubatch=1)
            self._grammar_context = self.make_context(plan, 1, 1)
        if self._grammar_context is None:
            raise EngineError(ErrorCode.CONTEXT_NOT_CREATED, n_ctx=_GRAMMAR_N_CTX, reason="")
        return self._grammar_context

    def free(self) -> None:
        """Free the memory."""
        if self._grammar_context is not None:
            self._grammar_context.free()
        C.llama_free_model(self._pointer)


class IkContext:
    """A context of ik_llama.cpp; `pointer` is its own.

    Flash attention of the ready-made library leaves out the tokens behind a gap of some cells; what
    scripts/fast_library.py compiles is repaired, and has a function that tells so.
    """

    needs_cells_in_a_row = not hasattr(C._lib, "qwen3_chat_scattered_cells")

    def __init__(self, pointer: Any, kv_layout: str) -> None:
        self.pointer = pointer
        self.kv_layout = kv_layout
        self.n_ctx = int(_llama_n_ctx(pointer))
        self._abort = AbortFlag()
        self._abort_callback = abort_callback(C.ggml_abort_callback)

    def new_batch(self, max_tokens: int) -> TokenBatch:
        """Return a batch for that many tokens at most."""
        return TokenBatch(C.llama_batch_init(max_tokens, 0, 1), C.llama_batch_free)

    def decode(self, batch: TokenBatch) -> int:
        """Evaluate a batch; the library itself would report success for one that the flag has stopped."""
        struct = batch.struct
        status: int = C.llama_decode(self.pointer, struct)
        if status == STATUS_NO_ROOM and self._free_cells >= struct.n_tokens:
            _llama_kv_cache_defrag(self.pointer)  # a batch needs cells in a row; done by the next call
            status = C.llama_decode(self.pointer, struct)
        _llama_synchronize(self.pointer)
        if self._abort.is_set():
            self.remove(struct.seq_id[0][0], struct.pos[0])
            return STATUS_ABORTED
        return status

    @property
    def _free_cells(self) -> int:
        return self.n_ctx - int(_llama_get_kv_cache_used_cells(self.pointer))

    def logits(self, output_index: int) -> Any:
        """Return the logits of an output of the last batch, by token; -1 is the last output."""
        return C.llama_get_logits_ith(self.pointer, output_index)

    def synchronise(self) -> None:
        """Do nothing: `decode` waits."""

    def remove(self, sequence: int, start: int = -1) -> bool:
        """Remove the tokens of a sequence from a position on; return False where only all can be removed."""
        return bool(_llama_kv_cache_seq_rm(self.pointer, sequence, start, -1))

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Add the tokens of a sequence before the position `end` to another one, in the same cells."""
        _llama_kv_cache_seq_cp(self.pointer, source, target, 0, end)

    def last_position(self, sequence: int) -> int:
        """Return the position of the last token of a sequence, -1 where it is empty."""
        if _llama_kv_cache_seq_pos_min(self.pointer, sequence) < 0:
            return -1
        return int(_llama_kv_cache_seq_pos_max(self.pointer, sequence))

    def set_threads(self, n_threads: int, n_prompt_threads: int) -> None:
        """Set the numbers of threads for decoding and for evaluating prompts."""
        _llama_set_n_threads(self.pointer, n_threads, n_prompt_threads)

    def set_abort_flag(self, abort: AbortFlag) -> None:
        """Make this flag the one that stops evaluations from now on."""
        self._abort = abort
        _llama_set_abort_callback(self.pointer, self._abort_callback, abort.pointer)

    def state_bytes(self, sequence: int) -> int:
        """Return the size of a sequence's saved state."""
        return int(_llama_state_seq_get_size(self.pointer, sequence, 0))

    def read_state(self, sequence: int) -> ctypes.Array[ctypes.c_uint8]:
        """Return the state of a sequence."""
        size = self.state_bytes(sequence)
        state = (ctypes.c_uint8 * size)()
        _llama_state_seq_get_data(self.pointer, state, size, sequence, 0)
        return state

    def write_state(self, state: ctypes.Array[ctypes.c_uint8], sequence: int) -> bool:
        """Make a state that of a sequence; return False where there is no room."""
        return bool(_llama_state_seq_set_data(self.pointer, state, len(state), sequence, 0))

    def save_sequence(self, path: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """Save a sequence, whose tokens these are, to a file; return True on success."""
        ids = (C.llama_token * len(tokens))(*tokens)
        return bool(_llama_state_seq_save_file(self.pointer, os.fsencode(path), sequence, ids, len(tokens)))

    def load_sequence(self, path: Path, sequence: int, max_tokens: int) -> list[int] | None:
        """Load a file of `save_sequence` as a sequence; return its tokens, None where that failed."""
        ids, count = (C.llama_token * max_tokens)(), _N()
        is_loaded = _llama_state_seq_load_file(
            self.pointer, os.fsencode(path), sequence, ids, max_tokens, ctypes.byref(count)
        )
        return list(ids[: count.value]) if is_loaded else None

    def free(self) -> None:
        """Free the memory."""
        C.llama_free(self.pointer)


class _Vocab:
    def __init__(self, model: IkModel, pointer: Any) -> None:
        self._model = model
        self._model_pointer = pointer
        self._pointer = C.llama_model_get_vocab(pointer)
        self.n_tokens = int(C.llama_vocab_n_tokens(self._pointer))

    def special_ids(self) -> list[int]:
        special = _CONTROL | _USER_DEFINED
        return [id for id in range(self.n_tokens) if _llama_token_get_attr(self._model_pointer, id) & special]

    def spelling(self, token: int) -> str:
        text: bytes = _llama_vocab_get_text(self._pointer, token)
        return text.decode(errors="replace")

    def begin_and_end(self) -> tuple[int, int]:
        return _llama_vocab_bos(self._pointer), _llama_vocab_eos(self._pointer)

    def ends_reply(self, token: int) -> bool:
        return bool(_llama_vocab_is_eog(self._pointer, token))

    def tokenise(self, data: bytes) -> tuple[int, ...]:
        return call_tokenize(C.llama_tokenize, self._model_pointer, data)

    def piece(self, token: int) -> bytes:
        return call_token_to_piece(C.llama_token_to_piece, self._model_pointer, token)

    def new_grammar(self, source: str, root: str) -> _Grammar | None:
        pointer = _llama_sampler_init_grammar(self._pointer, source.encode(), root.encode())
        return _Grammar(pointer, self._model.grammar_context) if pointer else None

    def new_sampler(self, params: SamplingParams, seed: int) -> NumpySampler:
        return NumpySampler(params, seed, self.n_tokens)


class _Grammar:
    def __init__(self, pointer: Any, context: IkContext) -> None:
        self._pointer = pointer
        self._context = context

    def apply(self, candidates: TokenDataArray) -> None:
        _llama_grammar_sample(self._pointer, self._context.pointer, ctypes.byref(candidates))

    def accept(self, token: int) -> None:
        _llama_grammar_accept_token(self._pointer, self._context.pointer, token)

    def free(self) -> None:
        _llama_grammar_free(self._pointer)
