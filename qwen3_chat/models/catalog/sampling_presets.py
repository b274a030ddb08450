"""The sampling presets that the makers of each model advise.

It stands alone so that its name leads to the presets; nothing else in the catalogue depends on it.
"""

from __future__ import annotations

from qwen3_chat.chat import SamplingParams, ThinkingMode

"""What `--demo` and the model list call the model that ships with the package."""

QWEN3_SAMPLING = {
    ThinkingMode.THINK: SamplingParams(temperature=0.6, top_p=0.95, top_k=20),
    ThinkingMode.NO_THINK: SamplingParams(temperature=0.7, top_p=0.8, top_k=20),
}
"""What Qwen's model cards recommend; never greedy while thinking, which repeats without end."""

REPETITION_PENALTY = 1.5
"""The presence penalty that Qwen advises for quantised models that repeat themselves."""

DEMO_SAMPLING = {
    ThinkingMode.THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
    ThinkingMode.NO_THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
}
"""The demo model is small and knows its few skills by heart: little chance serves it best."""


def sampling_for(mode: ThinkingMode, is_demo: bool) -> SamplingParams:
    """Return the preset for a mode."""
    return (DEMO_SAMPLING if is_demo else QWEN3_SAMPLING)[mode]
