"""Why a model was chosen or not, as keys of the text catalogue with their values."""

from __future__ import annotations

from dataclasses import dataclass, field

from qwen3_chat.fit.memory import ContextSpec
from qwen3_chat.fit.placement import Plan
from qwen3_chat.request import KvType
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t

Values = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence for people: a key of the text catalogue with its values."""

    key: str
    values: Values = field(default_factory=dict)

    def __str__(self) -> str:
        return t(self.key, **self.values)


def values_of(plan: Plan) -> Values:
    """Return the numbers of a plan as they are written in a sentence."""
    return {
        "context": write_context(plan.context),
        "need": write_size(plan.need_bytes),
        "gpu": write_size(plan.gpu_bytes),
        "ram": write_size(plan.ram_bytes),
        "speed": write_speed(plan.tokens_per_s),
        "layers": plan.n_gpu_layers,
    }


def write_context(context: ContextSpec) -> str:
    """Write a context: `16K`, `8K with q8_0 KV`, or all digits of its length."""
    n_ctx = context.n_ctx
    length = f"{n_ctx // 1024}K" if n_ctx % 1024 == 0 else str(n_ctx)
    if context.kv_type is KvType.F16:
        return length
    return t("fit.quantised_kv", length=length, kv=context.kv_type.value)


def write_speed(tokens_per_s: float) -> str:
    """Write a speed without pretending to know it: `1.4`, `12`, `140`."""
    return f"{tokens_per_s:.1f}" if tokens_per_s < 9.95 else f"{tokens_per_s:.0f}"
