"""A small context beside the one in use, in which other settings are timed at some depth."""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf
from threading import Event, Lock, Thread

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.llama_context import median_after_first
from qwen3_chat.engine.worker.native_library import STATUS_ABORTED, NativeContext, NativeModel
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import KvType

TIMED_TOKENS = 5
_EVALUATED_TOKENS = 16  # all others are copies of them
_N_SEQUENCES = 2
_LIVE, _COPY = range(_N_SEQUENCES)
_N_OUTPUTS = 2
_MAX_BLOCK_CELLS = 128  # of a copy that is pasted at once
_NUMBER = struct.Struct("<i")
_MAX_HEADER_BYTES = 64  # before the cells in a saved state
_CELL_BYTES = (8, 12, 16)  # position, number of sequences, in some builds their ids
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """The settings of a trial context, and the depth in tokens at which it is timed."""

    flash_attention: bool
    kv_type: KvType
    n_ubatch: int
    depth: int

    @property
    def n_ctx(self) -> int:
        """The size of the context: the depth, and a chunk after it, of a prompt or of decoded tokens."""
        return self.depth + max(self.n_ubatch, _EVALUATED_TOKENS)


class TrialContext:
    """A context of its own, whose work ends once the abort flag is set.

    To reach a depth quickly, the KV cache is filled with copies of a few tokens at later positions: the time
    of attention depends on the number of cells, not on their content.
    """

    def __init__(self, model: NativeModel, plan: TrialPlan, n_threads: int, abort: AbortFlag) -> None:
        """Make the context.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp found no memory for it.
        """
        self._depth = plan.depth
        self._abort = abort
        self._n_batch = max(plan.n_ubatch, _EVALUATED_TOKENS)
        load_plan = LoadPlan(
            n_layers=0,  # has no influence on a context
            n_ctx=plan.n_ctx,
            kv_type=plan.kv_type,
            n_ubatch=self._n_batch,
            flash_attention=plan.flash_attention,
            n_threads=n_threads,
            n_prompt_threads=n_threads,
        )
        native = _make_context(model, load_plan, abort)
        if native is None:
            raise EngineError(ErrorCode.CONTEXT_NOT_CREATED, n_ctx=plan.n_ctx, reason="")
        self._native = native
        self._batch = native.new_batch(self._n_batch)
        native.set_abort_flag(abort)

    @property
    def n_tokens(self) -> int:
        """The number of tokens in the context now."""
        return self._native.last_position(_LIVE) + 1

    def close(self) -> None:
        """Free the memory of the context."""
        self._batch.free()
        self._native.free()

    def fill(self) -> None:
        """Fill the cache up to the depth, in steps of some milliseconds.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp could not evaluate or copy the tokens.
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
        """Return a copy of all cells; None where the positions are not found in it."""
        return _CellBlock.from_state(self._native.read_state(_LIVE), n_cells)

    def _paste(self, block: _CellBlock) -> None:
        """Append the cells of a block to the live sequence."""
        if not self._native.write_state(block.state, _COPY):
            raise EngineError(ErrorCode.CONTEXT_FULL, n_ctx=self._depth)
        self._native.copy(_COPY, _LIVE)
        self._native.remove(_COPY)

    def time_token_s(self, n_threads: int, limit_s: float = inf, uses_cpu_time: bool = False) -> float:
        """Decode a few tokens at the depth; return the median time.

        No further token is decoded once they took `limit_s` together. With `uses_cpu_time`, the time is that
        of the processor divided by the number of threads: other work on the machine does not count.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp could not decode them.
        """
        self._native.set_threads(n_threads, n_threads)
        times_s: list[float] = []
        while len(times_s) < TIMED_TOKENS and sum(times_s) < limit_s:
            times_s.append(self._time_s([0], n_threads if uses_cpu_time else None))
        self._cut_back()
        return median_after_first(times_s)

    def time_prompt_token_s(self, n_threads: int, n_tokens: int, uses_cpu_time: bool = False) -> float:
        """Evaluate a chunk of a prompt at the depth; return the time per token; raise as `time_token_s`."""
        self._native.set_threads(n_threads, n_threads)
        elapsed_s = self._time_s(range(n_tokens), n_threads if uses_cpu_time else None)
        self._cut_back()
        return elapsed_s / n_tokens

    def _cut_back(self) -> None:
        self._native.remove(_LIVE, self._depth)

    def _time_s(self, tokens: Sequence[int], n_sharing_threads: int | None = None) -> float:
        """Evaluate tokens; return the elapsed time, or the processor time of each of the sharing threads."""
        self._batch.fill(tokens, self.n_tokens, _LIVE, n_outputs=1)
        clock = time.perf_counter if n_sharing_threads is None else time.process_time
        started_s = clock()
        status = self._native.decode(self._batch)
        self._native.synchronise()  # a GPU may still compute
        if status == STATUS_ABORTED:
            raise AbortedError
        if status:
            raise EngineError(ErrorCode.EVALUATION_FAILED, status=status)
        return (clock() - started_s) / (n_sharing_threads or 1)


@dataclass(frozen=True, slots=True)
class _CellBlock:
    """The saved state of a few cells, whose positions are stored at `offsets`.

    llama.cpp can move cells by itself, but rotates all keys for that, which some types of cache don't allow.
    """

    state: ctypes.Array[ctypes.c_uint8]
    offsets: range

    @classmethod
    def from_state(cls, state: ctypes.Array[ctypes.c_uint8], n_cells: int) -> _CellBlock | None:
        """Find the positions, at even distances after the number of cells; return None without them."""
        data = memoryview(state).cast("B")
        for start, stride in product(range(_NUMBER.size, _MAX_HEADER_BYTES, _NUMBER.size), _CELL_BYTES):
            offsets = range(start, start + n_cells * stride, stride)
            if (
                offsets.stop <= len(data)
                and _NUMBER.unpack_from(data, start - _NUMBER.size)[0] == n_cells
                and all(_NUMBER.unpack_from(data, offset)[0] == i for i, offset in enumerate(offsets))
            ):
                return cls(state, offsets)
        return None

    @property
    def n_cells(self) -> int:
        """The number of cells."""
        return len(self.offsets)

    def move_to(self, position: int) -> None:
        """Move the first cell to a position, the others to those after it."""
        data = memoryview(self.state).cast("B")
        for index, offset in enumerate(self.offsets):
            _NUMBER.pack_into(data, offset, position + index)


def _make_context(model: NativeModel, plan: LoadPlan, abort: AbortFlag) -> NativeContext | None:
    """Make a context in a thread of its own, as nothing can interrupt that.

    If the flag is set meanwhile, the context is freed as soon as it is made.

    Raises:
        AbortedError: the flag was set.
    """
    contexts: list[NativeContext | None] = []
    lock, is_abandoned = Lock(), Event()

    def make() -> None:
        context = model.make_context(plan, _N_SEQUENCES, _N_OUTPUTS)
        with lock:
            contexts.append(context)
            if is_abandoned.is_set() and context:
                context.free()

    maker = Thread(target=make, name="trial", daemon=True)
    maker.start()
    while maker.is_alive():
        maker.join(_POLL_S)
        with lock:
            if abort.is_set() and not contexts:
                is_abandoned.set()
                raise AbortedError
    return contexts[0]
