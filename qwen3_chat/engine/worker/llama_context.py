"""The context of a model: the evaluated tokens of its sequences, which stay from one reply to the next."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import psutil

from qwen3_chat.engine.load_plan import SPARE_MEMORY_BYTES
from qwen3_chat.engine.worker.abort_flag import AbortedError, AbortFlag
from qwen3_chat.engine.worker.native_library import (
    STATUS_ABORTED,
    STATUS_NO_ROOM,
    NativeContext,
    TokenBatch,
)
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import N_SEQUENCES

MAX_OUTPUTS = 8
"""The maximum number of tokens in a batch with an output; llama.cpp needs at least one for each sequence."""

_LIVE, _PREFETCHED, _PREVIOUS, _SPARE = range(N_SEQUENCES)
"""The ids of the sequences; the spare one holds a copy while a method needs it."""
_TIMED_TOKENS = 5


@dataclass(frozen=True, slots=True)
class _ChatAside:
    """A chat whose cells another one has taken: its tokens, and its state."""

    tokens: list[int]
    state: ctypes.Array[ctypes.c_uint8]


class Context:
    """The context of a model: the tokens of the live sequence in its KV cache, and those of two others.

    The live sequence is the latest prompt with its reply. The prefetched sequence, the probable beginning of
    the next prompt, exists only between two replies. The sequence of the previous chat, which the user was in
    before, stays as long as there is room. The tokens that sequences share from their start on are in the
    same cells.

    With `keeps_states`, layers of the model keep a state of the whole sequence instead of cells (Qwen3-Next,
    Qwen3.5): nothing can be cut off a sequence, nor can a part of it be copied. Then a sequence is used only
    as a whole, drafts are never evaluated, and the previous sequence holds the beginning that the live one
    was continued from.

    Where the library needs the cells of a sequence in a row, only the live sequence has cells: idle time cuts
    it back and continues it. The state of the previous chat is set aside in memory, if there is room.
    """

    def __init__(self, native: NativeContext, chunk_tokens: int, *, keeps_states: bool = False) -> None:
        self.native = native
        """The context in the library."""
        self.keeps_states = keeps_states
        """True if a sequence can't be cut."""
        self.may_discard_chat = False
        """True if the chat may lose its cells once another begins: each cell in use slows down all tokens."""
        self.adjust_threads: Callable[[float], int | None] | None = None
        """The function called with the time of each token; it returns a new number of threads, or None."""
        self.n_ctx: int = native.n_ctx
        self._sequences: list[list[int]] = [[] for _ in range(N_SEQUENCES)]
        self._chunk_tokens = chunk_tokens
        self._abort = AbortFlag()
        self._single_token_batch = native.new_batch(1)
        self._batch = native.new_batch(chunk_tokens)
        self._aside: _ChatAside | None = None

    @property
    def tokens(self) -> list[int]:
        """The evaluated tokens of the live sequence, in order."""
        return self._sequences[_LIVE]

    @property
    def prefetched(self) -> list[int]:
        """The evaluated tokens of the next prompt."""
        return self._sequences[_PREFETCHED]

    @property
    def previous_chat(self) -> list[int]:
        """The evaluated tokens of the previous chat."""
        return self._aside.tokens if self._aside else self._sequences[_PREVIOUS]

    @property
    def free_tokens(self) -> int:
        """The number of tokens that still fit after the live ones, without the other sequences."""
        return self.n_ctx - len(self.tokens)

    def set_abort_flag(self, abort: AbortFlag) -> None:
        """Make this flag the one that stops evaluations from now on."""
        self._abort = abort
        self.native.set_abort_flag(abort)

    def keep_prefix(self, prompt: Sequence[int]) -> int:
        """Make the longest evaluated prefix of `prompt` the live sequence; return its length.

        The last token is never part of it: it has to be evaluated for its output. The chat evaluated before
        becomes the previous one if `prompt` begins with less than half of it, unless it may be discarded.
        """
        if self.keeps_states:
            return self._keep_whole_sequence(prompt)
        if self.native.needs_cells_in_a_row:
            return self._keep_prefix_in_a_row(prompt)
        common = [common_length(sequence, prompt) for sequence in self._sequences]
        best = max((_LIVE, _PREFETCHED, _PREVIOUS), key=common.__getitem__)
        current = _PREFETCHED if self.prefetched else _LIVE
        is_another_chat = common[current] < len(self._sequences[current]) // 2
        if is_another_chat and not self.may_discard_chat:
            self._copy(current, _SPARE)
        if best != _LIVE:
            self._copy(best, _LIVE)
        self._truncate(_PREFETCHED, 0)
        if is_another_chat:
            self._copy(_SPARE, _PREVIOUS)  # an empty sequence where the chat may be discarded
            self._truncate(_SPARE, 0)
        self.may_discard_chat = False
        return self._truncate(_LIVE, min(common[best], len(prompt) - 1))

    def clear(self) -> None:
        """Empty the KV cache."""
        for sequence in range(len(self._sequences)):
            self._truncate(sequence, 0)
        self._aside = None

    def prefetch(self, prefix: Sequence[int], may_cut_back: bool) -> Iterator[int]:
        """Evaluate the beginning of the next prompt; yield and raise as `evaluate` does.

        Where there is room for both, the live sequence stays as it is. Otherwise, with `may_cut_back`, it is
        cut to the tokens that both begin with, and continued with the remaining tokens of the prefix.
        """
        self._truncate(_PREFETCHED, 0)
        if self.keeps_states:
            yield from self._prefetch_after_whole_sequence(prefix, may_cut_back)
            return
        n_common = common_length(self.tokens, prefix)
        remaining = prefix[n_common:]
        if len(remaining) <= self.free_tokens and not self.native.needs_cells_in_a_row:
            self._copy(_LIVE, _PREFETCHED, n_common)
            yield from self._evaluate(remaining, _PREFETCHED)
        elif may_cut_back and len(prefix) < self.n_ctx:
            self._truncate(_LIVE, n_common)
            yield from self._evaluate(remaining, _LIVE)

    def _whole_prefix_length(self, sequence: int, prompt: Sequence[int]) -> int:
        """Return the length of a sequence if `prompt` begins with all of it and goes on, else 0."""
        evaluated = self._sequences[sequence]
        is_prefix = len(evaluated) < len(prompt) and common_length(evaluated, prompt) == len(evaluated)
        return len(evaluated) if is_prefix else 0

    def _keep_prefix_in_a_row(self, prompt: Sequence[int]) -> int:
        """Keep a prefix of the live sequence, of the chat aside, or of one that was read into empty cells."""
        if self._sequences[_PREVIOUS]:
            self._copy(_PREVIOUS, _LIVE)
            self._truncate(_PREVIOUS, 0)
        aside, n_common = self._aside, common_length(self.tokens, prompt)
        if n_common < len(self.tokens) // 2 and not self.may_discard_chat:
            self._aside = self._set_aside()
        if aside and common_length(aside.tokens, prompt) > n_common:
            self._truncate(_LIVE, 0)
            if self.native.write_state(aside.state, _LIVE):
                self._sequences[_LIVE] = list(aside.tokens)
            self._aside = None if self._aside is aside else self._aside
        self.may_discard_chat = False
        return self._truncate(_LIVE, min(common_length(self.tokens, prompt), len(prompt) - 1))

    def _set_aside(self) -> _ChatAside | None:
        """Return the live chat with its state; None if too little memory is free."""
        n_bytes = self.native.state_bytes(_LIVE)
        if not self.tokens or n_bytes + SPARE_MEMORY_BYTES > psutil.virtual_memory().available:
            return None
        return _ChatAside(list(self.tokens), self.native.read_state(_LIVE))

    def _keep_whole_sequence(self, prompt: Sequence[int]) -> int:
        lengths = {
            sequence: self._whole_prefix_length(sequence, prompt)
            for sequence in (_LIVE, _PREFETCHED, _PREVIOUS)
        }
        best = max(lengths, key=lengths.__getitem__)
        self.may_discard_chat = False
        if not lengths[best]:
            self.clear()
            return 0
        for sequence in (_PREVIOUS, _LIVE):
            if sequence != best:
                self._copy(best, sequence)
        self._truncate(_PREFETCHED, 0)
        return lengths[best]

    def _prefetch_after_whole_sequence(self, prefix: Sequence[int], may_cut_back: bool) -> Iterator[int]:
        lengths = {sequence: self._whole_prefix_length(sequence, prefix) for sequence in (_LIVE, _PREVIOUS)}
        best = max(lengths, key=lengths.__getitem__)
        remaining = prefix[lengths[best] :]
        if len(remaining) <= self.free_tokens:
            if lengths[best]:
                self._copy(best, _PREFETCHED)
            yield from self._evaluate(remaining, _PREFETCHED)
        elif may_cut_back and len(prefix) < self.n_ctx:
            if best != _LIVE and lengths[best]:
                self._copy(best, _LIVE)
            elif not lengths[best]:
                self.clear()
            yield from self._evaluate(remaining, _LIVE)

    def evaluate(self, tokens: Sequence[int]) -> Iterator[int]:
        """Append tokens to the live sequence, chunk by chunk; yield the number evaluated after each chunk.

        The last token has an output.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp could not evaluate them.
        """
        return self._evaluate(tokens, _LIVE)

    def common_length(self, prompt: Sequence[int]) -> int:
        """Return the length of the longest prefix of a prompt that any sequence has."""
        return max(common_length(sequence, prompt) for sequence in (*self._sequences, self.previous_chat))

    def set_threads(self, n_threads: int, n_prompt_threads: int) -> None:
        """Set the numbers of threads for decoding and for evaluating prompts."""
        self.native.set_threads(n_threads, n_prompt_threads)

    def time_token_s(self, limit_s: float = inf) -> float | None:
        """Decode a few tokens in a copy of the live sequence; return the median time, None without room.

        No further token is decoded once they took `limit_s` together.

        Raises:
            AbortedError: the flag was set.
            EngineError: llama.cpp could not decode them.
        """
        n_evaluated = sum(map(len, self._sequences))
        if not self.tokens or n_evaluated + _TIMED_TOKENS > self.n_ctx:
            return None
        times_s: list[float] = []
        try:
            self._copy(_LIVE, _SPARE)
            while len(times_s) < _TIMED_TOKENS and sum(times_s) < limit_s:
                started_s = time.perf_counter()
                list(self._evaluate(self.tokens[-1:], _SPARE))
                times_s.append(time.perf_counter() - started_s)
        finally:
            self._truncate(_SPARE, 0)
        return median_after_first(times_s)

    @property
    def max_saved_bytes(self) -> int:
        """The largest size of a saved sequence, in bytes."""
        return max(self.native.state_bytes(sequence) for sequence in (_LIVE, _PREFETCHED))

    def save(self, path: Path, tokens: Sequence[int]) -> bool:
        """Save the cells of `tokens`, the beginning of some sequence, to a file; return True on success."""
        if self._aside and common_length(self._aside.tokens, tokens) == len(tokens):
            self._keep_prefix_in_a_row([*tokens, -1])
        sources = (
            sequence
            for sequence, evaluated in enumerate(self._sequences)
            if common_length(evaluated, tokens) == len(tokens)
            and not (self.keeps_states and len(evaluated) > len(tokens))
        )
        source = next(sources, None)
        if source is None or not tokens:
            return False
        self._copy(source, _SPARE, len(tokens))
        try:
            return self.native.save_sequence(path, _SPARE, tokens)
        finally:
            self._truncate(_SPARE, 0)

    def load(self, path: Path, n_tokens: int) -> bool:
        """Load a file that `save` wrote, as the previous chat; return True on success.

        `keep_prefix` makes it the live sequence if it has more of the prompt than the others.
        """
        self._truncate(_PREVIOUS, 0)
        if self.native.needs_cells_in_a_row or sum(map(len, self._sequences)) + n_tokens > self.n_ctx:
            self.clear()
        tokens = self.native.load_sequence(path, _PREVIOUS, n_tokens)
        if tokens is None:
            self.native.remove(_PREVIOUS)  # the part that was read
            return False
        self._sequences[_PREVIOUS] = tokens
        return True

    def append(self, token: int) -> None:
        """Evaluate one token, whose output becomes the last one; raise as `evaluate` does."""
        started_s = time.perf_counter()
        self._single_token_batch.fill([token], len(self.tokens), _LIVE, n_outputs=1)
        status = self.native.decode(self._single_token_batch)
        if status == STATUS_NO_ROOM:
            status = self._decode_without_previous_chat(self._single_token_batch)
        self._sequences[_LIVE].append(token)
        if status:
            self._raise_for_status(status, _LIVE)
        if self.adjust_threads and (n_threads := self.adjust_threads(time.perf_counter() - started_s)):
            self.set_threads(n_threads, n_threads)

    def append_with_draft(self, token: int, draft: Sequence[int]) -> None:
        """Evaluate a token and a draft of the next ones, as one batch with an output for each.

        Only `token` counts as evaluated. The drafted tokens are then accepted one by one, in order; before
        anything else is evaluated, `drop_draft` has to remove the others. Raises as `evaluate` does.
        """
        live = self._sequences[_LIVE]
        self._batch.fill([token, *draft], len(live), _LIVE, n_outputs=1 + len(draft))
        status = self.native.decode(self._batch)
        live.append(token)
        self._raise_for_status(status, _LIVE)

    def accept_draft_token(self, token: int) -> None:
        """Count the next drafted token as evaluated."""
        self._sequences[_LIVE].append(token)

    def drop_draft(self) -> None:
        """Remove the drafted tokens that were not accepted."""
        self.native.remove(_LIVE, len(self.tokens))

    def has_room_for_draft(self, length: int) -> bool:
        """Return True if a token and a draft of that length fit without another sequence being removed."""
        return (
            not self.keeps_states
            and length < min(MAX_OUTPUTS, self._chunk_tokens)
            and sum(map(len, self._sequences)) + length < self.n_ctx
        )

    def _evaluate(self, tokens: Sequence[int], sequence: int) -> Iterator[int]:
        evaluated = self._sequences[sequence]
        done = 0
        while done < len(tokens):
            if self._abort.is_set():  # most GPUs don't check the flag
                raise AbortedError
            # A chunk ends where llama.cpp's blocks of cells do: attention is computed over whole blocks.
            max_tokens = self._chunk_tokens - len(evaluated) % self._chunk_tokens
            chunk = tokens[done : done + max_tokens]
            done += len(chunk)
            self._batch.fill(chunk, len(evaluated), sequence, n_outputs=int(done == len(tokens)))
            status = self.native.decode(self._batch)
            if status == STATUS_NO_ROOM:
                status = self._decode_without_previous_chat(self._batch)
            evaluated.extend(chunk)
            self._raise_for_status(status, sequence)
            yield done

    def _decode_without_previous_chat(self, batch: TokenBatch) -> int:
        """Free the cells of the previous chat, then decode a batch again that found no room."""
        self._truncate(_PREVIOUS, 0)
        return self.native.decode(batch)

    def _copy(self, source: int, target: int, length: int = -1) -> None:
        """Replace a sequence by the first `length` tokens of another, in the same cells; -1 for all."""
        self._truncate(target, 0)
        self.native.copy(source, target, length)
        self._sequences[target] = self._sequences[source][: None if length < 0 else length]

    def _truncate(self, sequence: int, start: int) -> int:
        """Remove the tokens of a sequence from a position on; return the number that stays."""
        tokens = self._sequences[sequence]
        if start < len(tokens):
            if not self.native.remove(sequence, start):
                start = 0  # some kinds of memory can only be removed as a whole
                self.native.remove(sequence, start)
            del tokens[start:]
        return start

    def _raise_for_status(self, status: int, sequence: int) -> None:
        if status == 0:
            return
        if self.keeps_states:  # a part of the batch may be in the states
            self._truncate(sequence, 0)
            self.native.remove(sequence)
        # Earlier parts of a batch that failed may have been evaluated: llama.cpp knows the last position.
        del self._sequences[sequence][self.native.last_position(sequence) + 1 :]
        if status == STATUS_ABORTED:
            raise AbortedError
        if status == STATUS_NO_ROOM:
            raise EngineError(ErrorCode.CONTEXT_FULL, n_ctx=self.n_ctx)
        raise EngineError(ErrorCode.EVALUATION_FAILED, status=status)


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common prefix of two sequences."""
    end = min(len(first), len(second))
    return next((i for i in range(end) if first[i] != second[i]), end)


def median_after_first(times_s: Sequence[float]) -> float:
    """Return the median of all times but the first, in which the threads wake up; a single time as it is."""
    return statistics.median(times_s[1:] or times_s)
