"""The sampling presets that the makers of each model advise."""

from __future__ import annotations

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.sampling import SamplingParams

QWEN3_SAMPLING = {
    ThinkingMode.THINK: SamplingParams(temperature=0.6, top_p=0.95, top_k=20),
    ThinkingMode.NO_THINK: SamplingParams(temperature=0.7, top_p=0.8, top_k=20),
}
"""The presets of Qwen's model cards; never greedy while thinking, which repeats without end."""

REPETITION_PENALTY = 1.5
"""The presence penalty that Qwen advises for quantised models that repeat themselves."""

DEMO_SAMPLING = {
    ThinkingMode.THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
    ThinkingMode.NO_THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
}
"""The presets of the demo model: it is small and knows few skills by heart, so little chance is best."""


def sampling_for(mode: ThinkingMode, is_demo: bool) -> SamplingParams:
    """Return the preset for a mode."""
    return (DEMO_SAMPLING if is_demo else QWEN3_SAMPLING)[mode]
