"""A small context beside the one in use, in which another way to compute is timed at some depth."""

from __future__ import annotations

import ctypes
import statistics
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf
from threading import Event, Lock, Thread
from typing import Any

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as everywhere in the worker

from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag, abort_callback
from qwen3_chat.errors import EngineError
from qwen3_chat.request import KvType

_EVALUATED_TOKENS = 16  # evaluated; all others are copies of them
_TIMED_TOKENS = 4
_ABORTED = 2  # of llama_decode
_LIVE, _COPY = 0, 1
_MAX_BLOCK_CELLS = 128  # cells that are pasted at once
_NUMBER = struct.Struct("<i")
_MAX_HEADER_BYTES = 64  # before the cells in a saved state
_CELL_BYTES = (8, 12, 16)  # position, number of sequences, in some builds their ids
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """How a context is made that is tried out."""

    flash_attention: bool
    kv_type: KvType
    n_ubatch: int
    depth: int

    @property
    def n_ctx(self) -> int:
        """What has to fit: the depth with a chunk after it, of a prompt or of what is decoded."""
        return self.depth + max(self.n_ubatch, _EVALUATED_TOKENS)


class TrialContext:
    """A context of llama.cpp of its own; a flag that goes up ends whatever it is at.

    To get to a depth quickly, the KV cache is filled with copies of a few tokens at later positions: the
    time that attention takes depends on how much there is, not on what it is.
    """

    def __init__(self, model: Any, plan: TrialPlan, n_threads: int, abort: AbortFlag) -> None:
        """Make it.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp found no memory for it.
        """
        self._depth = plan.depth
        self._abort = abort
        params = L.llama_context_default_params()
        params.n_ctx = plan.n_ctx
        self._n_batch = params.n_batch = params.n_ubatch = max(plan.n_ubatch, _EVALUATED_TOKENS)
        params.n_seq_max, params.kv_unified, params.n_outputs_max = 2, True, 2
        params.n_threads = params.n_threads_batch = n_threads
        params.flash_attn_type = (
            L.LLAMA_FLASH_ATTN_TYPE_ENABLED if plan.flash_attention else L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        if plan.kv_type is KvType.Q8_0:
            params.type_k = params.type_v = L.GGML_TYPE_Q8_0
        self._pointer = _make_context(model, params, abort)
        if not self._pointer:
            raise EngineError("engine.context_refused", n_ctx=plan.n_ctx, reason="")
        self._memory = L.llama_get_memory(self._pointer)
        self._callback = abort_callback(L.ggml_abort_callback)
        L.llama_set_abort_callback(self._pointer, self._callback, abort.pointer)

    @property
    def n_tokens(self) -> int:
        """How deep it is now."""
        return int(L.llama_memory_seq_pos_max(self._memory, _LIVE)) + 1

    def close(self) -> None:
        """Give its memory back."""
        L.llama_free(self._pointer)

    def fill(self) -> None:
        """Get to the depth, in steps of some milliseconds.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp could not do it.
        """
        self._time_s(range(_EVALUATED_TOKENS))
        block: _CellBlock | None = None
        while (filled := self.n_tokens) < self._depth:
            if self._abort.is_set():
                raise AbortedError
            if block is None or block.n_cells < min(filled, _MAX_BLOCK_CELLS):
                block = self._block(filled)
            if block is None:  # no copies with this build of llama.cpp
                self._time_s(range(min(self._n_batch, self._depth - filled)))
            else:
                block.move_to(filled)
                self._paste(block)

    def _block(self, n_cells: int) -> _CellBlock | None:
        size = L.llama_state_seq_get_size(self._pointer, _LIVE)
        state = (ctypes.c_uint8 * size)()
        L.llama_state_seq_get_data(self._pointer, state, size, _LIVE)
        return _CellBlock.from_state(state, n_cells)

    def _paste(self, block: _CellBlock) -> None:
        if not L.llama_state_seq_set_data(self._pointer, block.state, len(block.state), _COPY):
            raise EngineError("engine.no_room", n_ctx=self._depth)
        L.llama_memory_seq_cp(self._memory, _COPY, _LIVE, -1, -1)
        L.llama_memory_seq_rm(self._memory, _COPY, -1, -1)

    def time_token_s(self, n_threads: int, limit_s: float = inf, uses_cpu_time: bool = False) -> float:
        """Decode a few tokens at the depth; no further one is begun once they took `limit_s` together.

        `uses_cpu_time` counts the time that the processor spent on them, a thread's share of it: whatever else
        the machine does is left out.

        Raises:
            AbortedError: the flag went up.
            EngineError: llama.cpp could not decode them.
        """
        L.llama_set_n_threads(self._pointer, n_threads, n_threads)
        times_s: list[float] = []
        while len(times_s) <= _TIMED_TOKENS and sum(times_s) < limit_s:
            times_s.append(self._time_s([0], n_threads if uses_cpu_time else None))
        self._cut_back()
        return statistics.median(times_s[1:] or times_s)  # the first one wakes the threads up

    def time_prompt_token_s(self, n_threads: int, n_tokens: int, uses_cpu_time: bool = False) -> float:
        """Evaluate a chunk of a prompt at the depth; return what a token of it takes; raises as above."""
        L.llama_set_n_threads(self._pointer, n_threads, n_threads)
        elapsed_s = self._time_s(range(n_tokens), n_threads if uses_cpu_time else None)
        self._cut_back()
        return elapsed_s / n_tokens

    def _cut_back(self) -> None:
        L.llama_memory_seq_rm(self._memory, _LIVE, self._depth, -1)

    def _time_s(self, tokens: Sequence[int], n_sharing_threads: int | None = None) -> float:
        ids = (L.llama_token * len(tokens))(*tokens)
        clock = time.perf_counter if n_sharing_threads is None else time.process_time
        begun_s = clock()
        status: int = L.llama_decode(self._pointer, L.llama_batch_get_one(ids, len(tokens)))
        L.llama_synchronize(self._pointer)  # a GPU is told what to do, and may not have done it yet
        if status == _ABORTED:
            raise AbortedError
        if status:
            raise EngineError("engine.evaluation_failed", status=status)
        return (clock() - begun_s) / (n_sharing_threads or 1)


@dataclass(frozen=True, slots=True)
class _CellBlock:
    """The saved state of a few cells, of which the positions are known to be at `offsets`.

    llama.cpp can move cells by itself, but turns all keys for it, which some kinds of cache don't survive.
    """

    state: ctypes.Array[ctypes.c_uint8]
    offsets: range

    @classmethod
    def from_state(cls, state: ctypes.Array[ctypes.c_uint8], n_cells: int) -> _CellBlock | None:
        """Find the positions, behind the number of cells at even distances; None where they are not there."""
        numbers = memoryview(state).cast("B")
        for start, stride in product(range(_NUMBER.size, _MAX_HEADER_BYTES, _NUMBER.size), _CELL_BYTES):
            places = range(start, start + n_cells * stride, stride)
            if (
                places.stop <= len(numbers)
                and _NUMBER.unpack_from(numbers, start - _NUMBER.size)[0] == n_cells
                and all(_NUMBER.unpack_from(numbers, place)[0] == i for i, place in enumerate(places))
            ):
                return cls(state, places)
        return None

    @property
    def n_cells(self) -> int:
        """How many cells it is of."""
        return len(self.offsets)

    def move_to(self, position: int) -> None:
        """Have the first cell be at a position, the others behind it."""
        numbers = memoryview(self.state).cast("B")
        for index, place in enumerate(self.offsets):
            _NUMBER.pack_into(numbers, place, position + index)


def _make_context(model: Any, params: Any, abort: AbortFlag) -> Any:
    """Make a context in a thread of its own, as nothing can interrupt that; given up, it is freed when made.

    Raises:
        AbortedError: the flag went up.
    """
    made: list[Any] = []
    lock, is_given_up = Lock(), Event()

    def make() -> None:
        pointer = L.llama_init_from_model(model, params)
        with lock:
            made.append(pointer)
            if is_given_up.is_set() and pointer:
                L.llama_free(pointer)

    maker = Thread(target=make, name="trial", daemon=True)
    maker.start()
    while maker.is_alive():
        maker.join(_POLL_S)
        with lock:
            if abort.is_set() and not made:
                is_given_up.set()
                raise AbortedError
    return made[0]
