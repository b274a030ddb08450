"""The kinds of servers that are known, and what each of them offers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.request import Capabilities
from qwen3_chat.servers import ServerKind
from qwen3_chat.texts import t


class ThinkingSwitch(StrEnum):
    """How a request says whether to think, beside the tags in the messages."""

    TEMPLATE = "chat_template_kwargs"
    THINK = "think"
    ENABLE_THINKING = "enable_thinking"
    TAG = "/think, /no_think"


class MissingFeature(StrEnum):
    """What a server may not offer; each has its sentence `remote.lack.LACK`."""

    CONTEXT = "context"
    COUNTS = "counts"
    SWITCH = "switch"
    BUDGET = "budget"
    ANSWER_NOW = "answer_now"
    CONTINUATION = "going_on"
    USAGE = "usage"
    REUSED = "reused"
    PROGRESS = "progress"
    TOO_LONG = "too_long"

    @property
    def sentence(self) -> str:
        """Say what that means for the user."""
        return t(f"remote.lack.{self}")


@dataclass(frozen=True, slots=True)
class ServerFeatures:
    """What a kind of server offers.

    `budget_field` carries the most tokens of thinking, `sampling_fields` are those beyond OpenAI's own that
    are understood. `ends_thinking`: a running reply can be told to answer now; `counts_tokens`: it tokenises;
    `accepts_reasoning`: thinking within a sequence of tool calls may be sent back; `continues_replies`: it goes on with
    a reply that was stopped, in its thinking as well; `unreported`: what it says nothing of.
    """

    label: str
    switch: ThinkingSwitch
    budget_field: str | None = None
    sampling_fields: frozenset[str] = frozenset({"top_k", "min_p"})
    ends_thinking: bool = False
    counts_tokens: bool = False
    accepts_reasoning: bool = False
    continues_replies: bool = False
    unreported: frozenset[MissingFeature] = frozenset({MissingFeature.REUSED, MissingFeature.PROGRESS})

    @property
    def capabilities(self) -> Capabilities:
        """The same as every engine tells it."""
        return Capabilities(
            soft_switch=True,
            hard_switch=self.switch is not ThinkingSwitch.TAG,
            thinking_budget=self.budget_field is not None,
            ends_thinking=self.ends_thinking,
            tools=True,
            exact_counts=self.counts_tokens,
            continues_prefix=self.continues_replies,
        )

    @property
    def missing_features(self) -> tuple[MissingFeature, ...]:
        """All that it does not offer."""
        offers = {
            MissingFeature.COUNTS: self.counts_tokens,
            MissingFeature.SWITCH: self.switch is not ThinkingSwitch.TAG,
            MissingFeature.BUDGET: self.budget_field is not None,
            MissingFeature.ANSWER_NOW: self.ends_thinking,
            MissingFeature.CONTINUATION: self.continues_replies,
        }
        return tuple(lack for lack in MissingFeature if lack in self.unreported or not offers.get(lack, True))


SERVER_FEATURES = {
    ServerKind.VLLM: ServerFeatures(
        "vLLM",
        ThinkingSwitch.TEMPLATE,
        counts_tokens=True,
        accepts_reasoning=True,
        unreported=frozenset({MissingFeature.PROGRESS}),
    ),
    ServerKind.SGLANG: ServerFeatures(
        "SGLang",
        ThinkingSwitch.TEMPLATE,
        accepts_reasoning=True,
        unreported=frozenset({MissingFeature.PROGRESS}),
    ),
    ServerKind.LLAMA_SERVER: ServerFeatures(
        "llama-server",
        ThinkingSwitch.TEMPLATE,
        budget_field="reasoning_budget_tokens",
        ends_thinking=True,
        counts_tokens=True,
        accepts_reasoning=True,
        continues_replies=True,
        unreported=frozenset(),
    ),
    ServerKind.LLAMA_CPP_PYTHON: ServerFeatures(
        "llama-cpp-python",
        ThinkingSwitch.TAG,
        unreported=frozenset(
            {
                MissingFeature.CONTEXT,
                MissingFeature.USAGE,
                MissingFeature.REUSED,
                MissingFeature.PROGRESS,
                MissingFeature.TOO_LONG,
            }
        ),
    ),
    ServerKind.OLLAMA: ServerFeatures("Ollama", ThinkingSwitch.THINK, accepts_reasoning=True),
    ServerKind.LM_STUDIO: ServerFeatures("LM Studio", ThinkingSwitch.TAG),
    ServerKind.DASHSCOPE: ServerFeatures(
        "DashScope",
        ThinkingSwitch.ENABLE_THINKING,
        budget_field="thinking_budget",
        sampling_fields=frozenset({"top_k"}),
        unreported=frozenset({MissingFeature.CONTEXT, MissingFeature.PROGRESS}),
    ),
    ServerKind.OPENAI: ServerFeatures(
        "OpenAI-compatible",
        ThinkingSwitch.TAG,
        sampling_fields=frozenset(),
        unreported=frozenset(
            {MissingFeature.CONTEXT, MissingFeature.USAGE, MissingFeature.REUSED, MissingFeature.PROGRESS}
        ),
    ),
}
"""Sources are named in docs/serving, where the same facts are a table."""
