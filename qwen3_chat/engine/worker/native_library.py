"""The interface of a native library, as the worker needs it, whichever library this process runs.

A process has one library, chosen at its start (`open_library`), and never loads another. Pointers are the
business of the implementations alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.wire import Device, MeasuredDevice
from qwen3_chat.engine.worker.abort_flag import AbortFlag
from qwen3_chat.sampling import SamplingParams

_PIECE_BYTES = 32  # enough for most tokens; a longer one gets a buffer of its own
STATUS_NO_ROOM, STATUS_ABORTED = 1, 2
"""The results of `NativeContext.decode` besides 0 for success; any other number is a failure."""


class TokenData(ctypes.Structure):
    """`llama_token_data` of llama.h, the same in every version so far: a token with its logit."""

    _fields_ = (("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float))


class TokenDataArray(ctypes.Structure):
    """`llama_token_data_array` of llama.h: the tokens to choose from."""

    _fields_ = (
        ("data", ctypes.POINTER(TokenData)),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    )


class TokenBatch:
    """A chunk of tokens of one sequence, of which some at the end have an output.

    `struct` is a `llama_batch` of the library, whose first fields are the same everywhere, and `release`
    the function that frees it.
    """

    def __init__(self, struct: Any, release: Callable[[Any], object]) -> None:
        self.struct = struct
        self._release = release

    def free(self) -> None:
        """Free the memory; without that, it stays as long as the process."""
        self._release(self.struct)

    def fill(self, tokens: Sequence[int], start: int, sequence: int, n_outputs: int) -> None:
        """Fill the batch with tokens from position `start` on; the last `n_outputs` get an output."""
        first_output = len(tokens) - n_outputs
        struct = self.struct
        struct.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            struct.token[index] = token
            struct.pos[index] = start + index
            struct.n_seq_id[index] = 1
            struct.seq_id[index][0] = sequence
            struct.logits[index] = index >= first_output


def call_tokenize(function: Any, source: Any, data: bytes) -> tuple[int, ...]:
    """Call `llama_tokenize` of a library for UTF-8; no token is added, and control tokens are not read.

    `source` is what the library tokenises with: a vocabulary, or a model.
    """
    max_ids = len(data) + 1  # a token stands for a byte at least
    ids = (ctypes.c_int32 * max_ids)()
    count: int = function(source, data, len(data), ids, max_ids, False, False)
    if count < 0:
        max_ids = -count
        ids = (ctypes.c_int32 * max_ids)()
        count = function(source, data, len(data), ids, max_ids, False, False)
    return tuple(ids[:count])


def call_token_to_piece(function: Any, source: Any, token: int) -> bytes:
    """Call `llama_token_to_piece` of a library; special tokens are spelled out."""
    buffer = ctypes.create_string_buffer(_PIECE_BYTES)
    count: int = function(source, token, buffer, len(buffer), 0, True)
    if count < 0:
        buffer = ctypes.create_string_buffer(-count)
        count = function(source, token, buffer, len(buffer), 0, True)
    return buffer.raw[:count]


class NativeContext(Protocol):
    """A context: cells with the tokens of numbered sequences, which share those that they begin with."""

    n_ctx: int
    """The number of cells."""
    needs_cells_in_a_row: bool
    """True if replies are wrong where the cells of a sequence have gaps between them."""
    kv_layout: str
    """The parameters, as text, that a cell's content depends on besides the tokens."""

    def new_batch(self, max_tokens: int) -> TokenBatch:
        """Return a batch for that many tokens at most."""
        ...

    def decode(self, batch: TokenBatch) -> int:
        """Evaluate a batch; return 0, `STATUS_NO_ROOM`, `STATUS_ABORTED` or the number of a failure."""
        ...

    def logits(self, output_index: int) -> Any:
        """Return the logits of an output of the last batch, by token; -1 is the last output."""
        ...

    def synchronise(self) -> None:
        """Wait until everything is computed."""
        ...

    def remove(self, sequence: int, start: int = -1) -> bool:
        """Remove the tokens of a sequence from a position on; return False where only all can be removed."""
        ...

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Add the tokens of a sequence before the position `end` to another one, in the same cells."""
        ...

    def last_position(self, sequence: int) -> int:
        """Return the position of the last token of a sequence, -1 where it is empty."""
        ...

    def set_threads(self, n_threads: int, n_prompt_threads: int) -> None:
        """Set the numbers of threads for decoding and for evaluating prompts."""
        ...

    def set_abort_flag(self, abort: AbortFlag) -> None:
        """Make this flag the one that stops evaluations from now on."""
        ...

    def state_bytes(self, sequence: int) -> int:
        """Return the size of a sequence's saved state."""
        ...

    def read_state(self, sequence: int) -> ctypes.Array[ctypes.c_uint8]:
        """Return the state of a sequence."""
        ...

    def write_state(self, state: ctypes.Array[ctypes.c_uint8], sequence: int) -> bool:
        """Make a state that of a sequence; return False where there is no room."""
        ...

    def save_sequence(self, path: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """Save a sequence, whose tokens these are, to a file; return True on success."""
        ...

    def load_sequence(self, path: Path, sequence: int, max_tokens: int) -> list[int] | None:
        """Load a file of `save_sequence` as a sequence; return its tokens, None where that failed."""
        ...

    def free(self) -> None:
        """Free the memory."""
        ...


class NativeGrammar(Protocol):
    """A grammar at its place in a text."""

    def apply(self, candidates: TokenDataArray) -> None:
        """Give each token that may not come next a probability of 0."""
        ...

    def accept(self, token: int) -> None:
        """Go on past a token that may come next; any other one ends the process."""
        ...

    def free(self) -> None:
        """Free the memory."""
        ...


class NativeSampler(Protocol):
    """The samplers of one reply: penalties → top-k → temperature → top-p → min-p → dist.

    Top-k comes first because top-p over a vocabulary of 151,936 takes 10 ms, temperature before top-p because
    the recommended settings assume that order. With temperature 0 the most probable token is drawn.
    """

    def sample(self, context: NativeContext, output_index: int) -> int:
        """Draw a token from an output of the context's last batch; penalties count it."""
        ...

    def apply(self, candidates: TokenDataArray) -> None:
        """Select one of the candidates, in `candidates.selected`, without having the penalties count it."""
        ...

    def accept(self, token: int) -> None:
        """Have the penalties count a token."""
        ...

    def free(self) -> None:
        """Free the memory."""
        ...


class NativeVocab(Protocol):
    """The vocabulary of a model; the methods may be called from several threads."""

    n_tokens: int
    """The number of tokens."""

    def special_ids(self) -> list[int]:
        """Return the ids of the control and user-defined tokens."""
        ...

    def spelling(self, token: int) -> str:
        """Return the text of a token as the vocabulary lists it."""
        ...

    def begin_and_end(self) -> tuple[int, int]:
        """Return the ids of the tokens that begin and end a text, negative where there is none."""
        ...

    def ends_reply(self, token: int) -> bool:
        """Return whether a token ends a reply."""
        ...

    def tokenise(self, data: bytes) -> tuple[int, ...]:
        """Tokenise UTF-8; no token is added, and control tokens are not read from it."""
        ...

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; special ones are spelled out."""
        ...

    def new_grammar(self, source: str, root: str) -> NativeGrammar | None:
        """Parse a grammar in GBNF; return None where the library can't read it."""
        ...

    def new_sampler(self, params: SamplingParams, seed: int) -> NativeSampler:
        """Return the samplers of a reply."""
        ...


class NativeModel(Protocol):
    """A loaded model."""

    vocab: NativeVocab
    """The vocabulary, which lives as long as the model."""
    size_bytes: int
    """The size of the weights."""
    n_parameters: int
    """The number of weights."""
    keeps_states: bool
    """True if layers keep a state of a whole sequence instead of cells, so that nothing can be cut off."""

    def add_adapter(self, path: Path, scale: float, fingerprint: str) -> bool:
        """Add a LoRA adapter to all contexts made from now on; return False where it does not fit.

        The `fingerprint` of file and scale becomes part of the contexts' `kv_layout`.
        """
        ...

    def make_context(self, plan: LoadPlan, n_sequences: int, n_outputs: int) -> NativeContext | None:
        """Make a context as planned; return None where that failed, mostly for lack of memory.

        The sequences share its cells. A batch has at most `n_outputs` tokens with an output.
        """
        ...

    def free(self) -> None:
        """Free the memory."""
        ...


class NativeLibrary(Protocol):
    """A library that runs models, loaded in this process."""

    name: str
    """The name for people, as `LoadedModel.library`."""
    version: str
    """The version of its package."""
    build: str
    """The version and the file of the library, as text; nothing stored of one build is used by another."""

    def start(self, on_log: Callable[[int, bytes], None], on_abort: Callable[[str], None]) -> None:
        """Check that the library is the one that this code was written for, then get it ready.

        Its log goes to `on_log`, with the levels of ggml. `on_abort` is called with the reason just before
        the library ends the process, where it tells.

        Raises:
            EngineError: it is another version.
        """
        ...

    def list_devices(self) -> tuple[Device, ...]:
        """Return the devices that it can compute on, with the memory that is free now."""
        ...

    def measure_devices(self) -> tuple[MeasuredDevice, ...]:
        """Measure the devices that it can compute on; in a process without a model."""
        ...

    def load_model(
        self, path: Path, plan: LoadPlan, architecture: str, progress: Callable[[float], bool]
    ) -> NativeModel | None:
        """Load a model as planned; return None where that failed.

        `progress` gets fractions and returns False to stop the load.
        """
        ...
