"""The vocabulary of an engine: requests, token counts, capabilities, load settings, loaded models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from qwen3_chat.chat import ChatMessage, ThinkingMode, ThinkingSupport
from qwen3_chat.sampling import SamplingParams

MIN_USER_N_CTX, MAX_USER_N_CTX = 256, 1 << 24
"""The smallest and the largest context that a user may ask for, in tokens."""

MAX_THREADS = 512
"""The most threads that llama.cpp computes with."""

MAX_USER_LAYERS = 100_000
"""The largest number of layers that a user may ask for, more than any model has: it stands for all."""

MAX_WARM_MINUTES = 1440
"""The longest time that an engine may wait for the next question: a day."""

LOCAL_ENGINE_NAME = "llama.cpp"
"""The engine of this machine, as replies and loaded models name it."""

LLAMA_CPP_NAME = "llama-cpp-python"
"""The library of this machine's engine that runs everything, as `ask --json` names it."""

DEFAULT_CPU_UBATCH, DEFAULT_GPU_UBATCH = 256, 512
"""The tokens that are evaluated at once where memory is plentiful."""

MAX_ADAPTERS, MAX_ADAPTER_SCALE = 16, 100.0
"""The most adapters at a time, and the largest scale of one, added or taken away."""

MAX_ADAPTER_LABEL_CHARS = 40
"""The longest name of an adapter that is shown."""

NO_DRAFT_MODEL, AUTO_DRAFT_MODEL = "none", "auto"
"""The values for the draft model by which none drafts, and by which one is chosen that suits, if any."""


def read_draft_value(text: str | None) -> str:
    """Return the value for the draft model that a text means: nothing is none, case does not matter."""
    value = (text or "").strip()
    is_word = value.lower() in (NO_DRAFT_MODEL, AUTO_DRAFT_MODEL)
    return value.lower() if is_word else value or NO_DRAFT_MODEL


MAX_DRAFT_N_CTX = 16_384
"""The longest context of a draft model: in longer chats it would take more memory than it is worth."""

N_SEQUENCES = 4
"""The sequences that share a context of llama.cpp: a recurrent layer keeps a state for each of them."""


class ToolSpec(Struct, frozen=True):
    """A function that the model may call, described by a JSON object as text.

    `schema` has the form `{"type": "function", "function": {…}}`.
    """

    schema: str


class ChatRequest(Struct, frozen=True):
    """A request for one reply to a conversation.

    `hard_switch` puts the empty think block into the prompt where the mode is `no_think`; the soft switch,
    a tag in the messages, is there either way. `seed` is drawn by the caller, so that it can be recorded.
    `prefix` is a reply that was stopped and is to be continued: the events then carry the whole reply, its
    beginning included, so that no seam can show. `chat_id` is the id of the stored chat, if there is one.
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
    """True if tokens may be guessed and verified together where that is quicker; the reply is the same."""
    chat_id: int | None = None
    must_call: bool = False
    """True if the reply has to go on with the call of a tool."""
    answer_schema: str = ""
    """The JSON schema that the answer fits, as JSON; empty for any text."""


class TokenCounts(Struct, frozen=True):
    """Token counts of a request: what each message adds to the prompt, and the total; exact or estimated."""

    per_message: tuple[int, ...]
    total: int
    exact: bool


class Capabilities(Struct, frozen=True):
    """The capabilities of an engine.

    With `ends_thinking`, a running reply can be made to answer now. With `requires_calls`, a reply can be
    made to call a tool; with `continues_with_call`, that may be a reply that has ended already.
    `context_option` is the option with which a server itself is started with a larger context; empty where
    `--ctx` does that.
    """

    soft_switch: bool
    hard_switch: bool
    thinking_budget: bool
    ends_thinking: bool
    tools: bool
    exact_counts: bool
    continues_prefix: bool
    requires_calls: bool = False
    continues_with_call: bool = False
    context_option: str = ""


class KvType(StrEnum):
    """The type of the KV cache; a quantised value cache needs flash attention."""

    F16 = "f16"
    Q8_0 = "q8_0"


class PersistenceOptions(Struct, frozen=True):
    """Options for what outlives the engine, in `folder`: snapshots of chats, and the calibration.

    All snapshots together take `snapshots_bytes` at most; a chat is saved if evaluating its new tokens again
    would take longer than `worth_s`. With `calibrates`, the fastest settings of a model are measured, and
    how it really runs is remembered.
    """

    folder: str
    snapshots_bytes: int
    worth_s: float = 3.0
    calibrates: bool = False


class Adapter(Struct, frozen=True):
    """A LoRA adapter: a file of changes to a model's weights, which are added `scale` times."""

    path: str
    scale: float = 1.0

    @property
    def label(self) -> str:
        """The name of the file, with the scale where it is another than 1."""
        name = Path(self.path).stem
        name = name if len(name) <= MAX_ADAPTER_LABEL_CHARS else f"{name[: MAX_ADAPTER_LABEL_CHARS - 1]}…"
        return name if self.scale == 1 else f"{name} × {self.scale:g}"


class LoadSettings(Struct, frozen=True):
    """The user's settings for a load; None leaves the choice to the engine.

    `n_cpu_moe` is the number of layers, from the first on, whose experts stay in RAM.
    """

    path: str
    n_ctx: int | None = None
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None
    kv_type: KvType | None = None
    adapters: tuple[Adapter, ...] = ()
    draft: str = ""
    """The file of the model that drafts tokens for this one; empty for none."""
    drafts_on_gpu_only: bool = False
    """True if the draft model was not named by the user, who wants one where it helps: on a GPU mostly."""
    missing_draft: str = ""
    """The name of a draft model that is not installed, so that the load says that it goes on without it."""


class LoadedModel(Struct, frozen=True):
    """A model that is ready, as its file and llama.cpp, or the server named in `engine`, describe it.

    `thinking` is what its chat template tells, None where that is not known; without a soft switch, tags in
    messages change nothing.
    """

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
    engine: str = LOCAL_ENGINE_NAME
    n_cpu_moe: int = 0
    kv_type: str = KvType.F16
    thinking: ThinkingSupport | None = None
    has_soft_switch: bool = True
    library: str = ""
    """The native library that runs the model; empty where it is a server's."""
    adapters: tuple[str, ...] = ()
    """The labels of the adapters in use."""
    draft: str = ""
    """The name of the model that drafts for this one; empty where none does."""
    draft_parameters: int = 0
    """The number of parameters of that one."""

    @property
    def title(self) -> str:
        """The name with the quant and the adapters, where there are any."""
        return " + ".join((self.file_title, *self.adapters))

    @property
    def file_title(self) -> str:
        """The name with the quant, where there is one, without adapters."""
        return " ".join(filter(None, (self.name, self.quant)))
