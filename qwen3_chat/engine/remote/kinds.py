"""The servers that are known, and what each of them offers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.request import Capabilities
from qwen3_chat.servers import ServerKind
from qwen3_chat.texts import t


class Switch(StrEnum):
    """How a request says whether to think, beside the tags in the messages."""

    TEMPLATE = "chat_template_kwargs"
    THINK = "think"
    ENABLE_THINKING = "enable_thinking"
    TAG = "/think, /no_think"


class Lack(StrEnum):
    """What a server may not offer; each has its sentence `remote.lack.LACK`."""

    CONTEXT = "context"
    COUNTS = "counts"
    SWITCH = "switch"
    BUDGET = "budget"
    ANSWER_NOW = "answer_now"
    GOING_ON = "going_on"
    USAGE = "usage"
    REUSED = "reused"
    PROGRESS = "progress"
    TOO_LONG = "too_long"

    @property
    def sentence(self) -> str:
        """Say what that means for the user."""
        return t(f"remote.lack.{self}")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a kind of server offers.

    `budget_field` carries the most tokens of thinking, `sampling_fields` are those beyond OpenAI's own that
    are understood. `ends_thinking`: a running reply can be told to answer now; `counts`: it tokenises;
    `takes_reasoning`: thinking within a sequence of tool calls may be sent back; `continues`: it goes on with
    a reply that was stopped, in its thinking as well; `untold`: what it says nothing of.
    """

    label: str
    switch: Switch
    budget_field: str | None = None
    sampling_fields: frozenset[str] = frozenset({"top_k", "min_p"})
    ends_thinking: bool = False
    counts: bool = False
    takes_reasoning: bool = False
    continues: bool = False
    untold: frozenset[Lack] = frozenset({Lack.REUSED, Lack.PROGRESS})

    @property
    def capabilities(self) -> Capabilities:
        """The same as every engine tells it."""
        return Capabilities(
            soft_switch=True,
            hard_switch=self.switch is not Switch.TAG,
            thinking_budget=self.budget_field is not None,
            ends_thinking=self.ends_thinking,
            tools=True,
            exact_counts=self.counts,
            continues_prefix=self.continues,
        )

    @property
    def lacks(self) -> tuple[Lack, ...]:
        """All that it does not offer."""
        offers = {
            Lack.COUNTS: self.counts,
            Lack.SWITCH: self.switch is not Switch.TAG,
            Lack.BUDGET: self.budget_field is not None,
            Lack.ANSWER_NOW: self.ends_thinking,
            Lack.GOING_ON: self.continues,
        }
        return tuple(lack for lack in Lack if lack in self.untold or not offers.get(lack, True))


TRAITS = {
    ServerKind.VLLM: Traits(
        "vLLM", Switch.TEMPLATE, counts=True, takes_reasoning=True, untold=frozenset({Lack.PROGRESS})
    ),
    ServerKind.SGLANG: Traits(
        "SGLang", Switch.TEMPLATE, takes_reasoning=True, untold=frozenset({Lack.PROGRESS})
    ),
    ServerKind.LLAMA_SERVER: Traits(
        "llama-server",
        Switch.TEMPLATE,
        budget_field="reasoning_budget_tokens",
        ends_thinking=True,
        counts=True,
        takes_reasoning=True,
        continues=True,
        untold=frozenset(),
    ),
    ServerKind.LLAMA_CPP_PYTHON: Traits(
        "llama-cpp-python",
        Switch.TAG,
        untold=frozenset({Lack.CONTEXT, Lack.USAGE, Lack.REUSED, Lack.PROGRESS, Lack.TOO_LONG}),
    ),
    ServerKind.OLLAMA: Traits("Ollama", Switch.THINK, takes_reasoning=True),
    ServerKind.LM_STUDIO: Traits("LM Studio", Switch.TAG),
    ServerKind.DASHSCOPE: Traits(
        "DashScope",
        Switch.ENABLE_THINKING,
        budget_field="thinking_budget",
        sampling_fields=frozenset({"top_k"}),
        untold=frozenset({Lack.CONTEXT, Lack.PROGRESS}),
    ),
    ServerKind.OPENAI: Traits(
        "OpenAI-compatible",
        Switch.TAG,
        sampling_fields=frozenset(),
        untold=frozenset({Lack.CONTEXT, Lack.USAGE, Lack.REUSED, Lack.PROGRESS}),
    ),
}
"""Sources are named in docs/serving, where the same facts are a table."""
