"""The vocabulary of an engine: requests, token counts, capabilities, load settings, loaded models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.chat import ChatMessage, SamplingParams, ThinkingMode


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function on offer; `schema` is the JSON object `{"type": "function", "function": {…}}` as text."""

    schema: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One reply to be generated for a conversation.

    `hard_switch` puts the empty think block into the prompt where the mode is `no_think`; the soft switch,
    a tag in the messages, is there either way. `seed` is drawn by whoever asks, so that it can be recorded.
    `prefix` is a reply that was stopped and is to be continued: what comes back is the whole of it, its
    beginning included, so that no seam can show. `chat_id` is that of the stored chat which it belongs to.
    """

    messages: tuple[ChatMessage, ...]
    mode: ThinkingMode
    sampling: SamplingParams
    seed: int
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int | None = None
    thinking_budget: int | None = None
    hard_switch: bool = True
    prefix: ChatMessage | None = None
    guesses: bool = True
    """Whether tokens may be guessed and verified together where that is quicker; the reply is the same."""
    chat_id: int | None = None


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of a request: what each message adds to the prompt, and the whole; exact or an estimate."""

    per_message: tuple[int, ...]
    total: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine offers; `ends_thinking`: a running reply can be told to answer now."""

    soft_switch: bool
    hard_switch: bool
    thinking_budget: bool
    ends_thinking: bool
    tools: bool
    exact_counts: bool
    continues_prefix: bool


class KvType(StrEnum):
    """How the KV cache is stored; a quantised value cache needs flash attention."""

    F16 = "f16"
    Q8_0 = "q8_0"


@dataclass(frozen=True, slots=True)
class PersistenceOptions:
    """What an engine keeps in `folder` from one run to the next.

    Evaluated chats take `snapshots_bytes` at most; one is kept where evaluating what is new in it would take
    more than `worth_s` again. How a model runs fastest here is measured where it `calibrates`.
    """

    folder: str
    snapshots_bytes: int = 2 << 30
    worth_s: float = 3.0
    calibrates: bool = False


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How the user wants a model to be loaded; None leaves the choice to the engine.

    `n_cpu_moe` is the number of layers, from the first on, whose experts stay in RAM.
    """

    path: str
    n_ctx: int | None = None
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None
    kv_type: KvType | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready, as its file and llama.cpp describe it, or the server `engine` that offers it."""

    name: str
    quant: str
    path: str
    architecture: str
    parameters: int
    size_bytes: int
    n_ctx: int
    n_ctx_train: int
    n_layers: int
    n_gpu_layers: int
    device: str
    is_demo: bool
    engine: str = "llama.cpp"
    n_cpu_moe: int = 0
    kv_type: str = KvType.F16
