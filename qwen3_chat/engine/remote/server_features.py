"""The features of each known kind of server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.request import Capabilities
from qwen3_chat.sampling import EXTENDED_PARAMETERS
from qwen3_chat.servers import ServerKind
from qwen3_chat.texts import t


class ThinkingSwitch(StrEnum):
    """The switch of the thinking mode in a request, besides the tags in the messages."""

    TEMPLATE = "chat_template_kwargs"
    THINK = "think"
    ENABLE_THINKING = "enable_thinking"
    TAG = "/think, /no_think"


class MissingFeature(StrEnum):
    """A feature that a server may lack; each has its sentence `remote.lack.VALUE`."""

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
        """The consequence for the user, as a sentence."""
        return t(f"remote.lack.{self}")


@dataclass(frozen=True, slots=True)
class ServerFeatures:
    """The features of a kind of server.

    `budget_field` carries the most tokens of thinking, `sampling_fields` are those beyond OpenAI's own that
    are understood. `ends_thinking`: a running reply can be made to answer now; `counts_tokens`: it tokenises;
    `accepts_reasoning`: thinking within a sequence of tool calls may be sent back; `continues_replies`: it
    continues a reply that was stopped, even in its thinking; `requires_calls`: it knows the tool choice
    `required`; `unreported`: facts that it does not report; `call_parser`: the options with which it reads
    the calls of tools out of a reply; `budget_option`: the option without which it limits no thinking;
    `context_option`: that with which it has a larger context; `ends_replies_early`: without a limit in the
    request it ends a reply after some hundred tokens; `reads_on`: it reads a prompt to its end, though nobody
    waits for the reply.
    """

    label: str
    switch: ThinkingSwitch
    budget_field: str | None = None
    sampling_fields: frozenset[str] = EXTENDED_PARAMETERS
    ends_thinking: bool = False
    counts_tokens: bool = False
    accepts_reasoning: bool = False
    continues_replies: bool = False
    requires_calls: bool = False
    unreported: frozenset[MissingFeature] = frozenset({MissingFeature.REUSED, MissingFeature.PROGRESS})
    call_parser: str = ""
    budget_option: str = ""
    context_option: str = ""
    ends_replies_early: bool = False
    reads_on: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of an engine on such a server."""
        return Capabilities(
            soft_switch=True,
            hard_switch=self.switch is not ThinkingSwitch.TAG,
            thinking_budget=self.budget_field is not None,
            ends_thinking=self.ends_thinking,
            tools=True,
            exact_counts=self.counts_tokens,
            continues_prefix=self.continues_replies,
            requires_calls=self.requires_calls,
            context_option=self.context_option,
        )

    @property
    def missing_features(self) -> tuple[MissingFeature, ...]:
        """The features that such a server lacks."""
        offers = {
            MissingFeature.COUNTS: self.counts_tokens,
            MissingFeature.SWITCH: self.switch is not ThinkingSwitch.TAG,
            MissingFeature.BUDGET: self.budget_field is not None,
            MissingFeature.ANSWER_NOW: self.ends_thinking,
            MissingFeature.CONTINUATION: self.continues_replies,
        }
        return tuple(
            feature
            for feature in MissingFeature
            if feature in self.unreported or not offers.get(feature, True)
        )


SERVER_FEATURES = {
    ServerKind.VLLM: ServerFeatures(
        "vLLM",
        ThinkingSwitch.TEMPLATE,
        budget_field="thinking_token_budget",
        budget_option="--reasoning-parser qwen3",
        context_option="--max-model-len",
        counts_tokens=True,
        accepts_reasoning=True,
        requires_calls=True,
        unreported=frozenset({MissingFeature.PROGRESS}),
        call_parser="--enable-auto-tool-choice --tool-call-parser hermes",
    ),
    ServerKind.SGLANG: ServerFeatures(
        "SGLang",
        ThinkingSwitch.TEMPLATE,
        context_option="--context-length",
        accepts_reasoning=True,
        requires_calls=True,
        unreported=frozenset({MissingFeature.PROGRESS}),
        call_parser="--tool-call-parser qwen25",
    ),
    ServerKind.LLAMA_SERVER: ServerFeatures(
        "llama-server",
        ThinkingSwitch.TEMPLATE,
        budget_field="reasoning_budget_tokens",
        budget_option="--jinja",
        context_option="--ctx-size",
        ends_thinking=True,
        counts_tokens=True,
        accepts_reasoning=True,
        continues_replies=True,
        requires_calls=True,
        unreported=frozenset(),
        call_parser="--jinja",
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
    ServerKind.LM_STUDIO: ServerFeatures(
        "LM Studio", ThinkingSwitch.TAG, requires_calls=True, context_option="lms load --context-length"
    ),
    ServerKind.MLX_LM: ServerFeatures(
        "mlx-lm",
        ThinkingSwitch.TEMPLATE,
        accepts_reasoning=True,
        unreported=frozenset({MissingFeature.CONTEXT, MissingFeature.TOO_LONG}),
        ends_replies_early=True,
        reads_on=True,
    ),
    ServerKind.TRANSFORMERS: ServerFeatures(
        "transformers",
        ThinkingSwitch.TEMPLATE,
        sampling_fields=frozenset(),  # it refuses a request with a field that OpenAI's protocol lacks
        unreported=frozenset(
            {
                MissingFeature.CONTEXT,
                MissingFeature.REUSED,
                MissingFeature.PROGRESS,
                MissingFeature.TOO_LONG,
            }
        ),
        ends_replies_early=True,
    ),
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
        requires_calls=True,
        unreported=frozenset(
            {MissingFeature.CONTEXT, MissingFeature.USAGE, MissingFeature.REUSED, MissingFeature.PROGRESS}
        ),
    ),
}
"""The features by kind; docs/serving has the same facts as a table, with their sources."""
