"""The servers that are known, and what each of them offers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.request import Capabilities
from qwen3_chat.servers import ServerKind


class Switch(StrEnum):
    """How a request says whether to think, beside the tags in the messages."""

    TEMPLATE = "chat_template_kwargs"
    THINK = "think"
    ENABLE_THINKING = "enable_thinking"
    TAG = "/think, /no_think"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind of server offers.

    `budget_field` carries the most tokens of thinking, `sampling_fields` are those beyond OpenAI's own that
    are understood. `ends_thinking`: a running reply can be told to answer now; `counts`: it tokenises;
    `takes_reasoning`: thinking within a sequence of tool calls may be sent back; `continues`: it goes on with
    a reply that was stopped, in its thinking as well.
    """

    label: str
    switch: Switch
    budget_field: str | None = None
    sampling_fields: frozenset[str] = frozenset({"top_k", "min_p"})
    ends_thinking: bool = False
    counts: bool = False
    takes_reasoning: bool = False
    continues: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """The same as every engine tells it."""
        return Capabilities(
            soft_switch=True,
            hard_switch=self.switch is not Switch.TAG,
            thinking_budget=self.budget_field is not None,
            tools=True,
            exact_counts=self.counts,
            continues_prefix=self.continues,
        )


TRAITS = {
    ServerKind.VLLM: Traits("vLLM", Switch.TEMPLATE, counts=True, takes_reasoning=True),
    ServerKind.SGLANG: Traits("SGLang", Switch.TEMPLATE, takes_reasoning=True),
    ServerKind.LLAMA_SERVER: Traits(
        "llama-server",
        Switch.TEMPLATE,
        budget_field="reasoning_budget_tokens",
        ends_thinking=True,
        counts=True,
        takes_reasoning=True,
        continues=True,
    ),
    ServerKind.LLAMA_CPP_PYTHON: Traits("llama-cpp-python", Switch.TAG),
    ServerKind.OLLAMA: Traits("Ollama", Switch.THINK, takes_reasoning=True),
    ServerKind.LM_STUDIO: Traits("LM Studio", Switch.TAG),
    ServerKind.DASHSCOPE: Traits(
        "DashScope",
        Switch.ENABLE_THINKING,
        budget_field="thinking_budget",
        sampling_fields=frozenset({"top_k"}),
    ),
    ServerKind.OPENAI: Traits("OpenAI-compatible", Switch.TAG, sampling_fields=frozenset()),
}
"""Sources are named in docs/serving, where the same facts are a table."""
