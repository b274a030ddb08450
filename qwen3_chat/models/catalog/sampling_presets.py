"""The sampling presets that the makers of each model advise; Qwen's stand in `models.toml`."""

from __future__ import annotations

from msgspec import Struct

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.models.catalog.model_data import DEFAULT_PRESET_NAME, PresetData, load_model_data
from qwen3_chat.sampling import SamplingParams

REPETITION_PENALTY = 1.5
"""The presence penalty that Qwen advises for quantised models that repeat themselves."""

DEMO_SAMPLING = {
    ThinkingMode.THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
    ThinkingMode.NO_THINK: SamplingParams(temperature=0.3, top_p=0.9, top_k=5),
}
"""The presets of the demo model: it is small and knows few skills by heart, so little chance is best."""


class SamplingPreset(Struct, frozen=True):
    """The parameters that the makers of a family advise, with the page that says so."""

    name: str
    source: str
    think: SamplingParams
    no_think: SamplingParams

    def sampling(self, mode: ThinkingMode) -> SamplingParams:
        """Return the parameters for a mode."""
        return self.think if mode is ThinkingMode.THINK else self.no_think


def preset_for(architecture: str, name: str) -> SamplingPreset:
    """Return the preset of a model by its architecture and its name; Qwen3's where no family is named."""
    presets = load_model_data().presets
    default = next(preset for preset in presets if preset.name == DEFAULT_PRESET_NAME)
    return _preset(next((preset for preset in presets if _suits(preset, architecture, name)), default))


def _suits(preset: PresetData, architecture: str, name: str) -> bool:
    simple_name = name.lower().replace(" ", "-").replace("_", "-")
    return architecture in preset.architectures or any(part in simple_name for part in preset.names)


def _preset(data: PresetData) -> SamplingPreset:
    return SamplingPreset(data.name, data.source, data.think, data.no_think)


QWEN3_SAMPLING = {mode: preset_for("", "").sampling(mode) for mode in ThinkingMode}
"""The preset of Qwen3's model cards; never greedy while thinking, which repeats without end."""


def sampling_for(mode: ThinkingMode, is_demo: bool) -> SamplingParams:
    """Return the preset of Qwen3, or of the demo model, for a mode."""
    return (DEMO_SAMPLING if is_demo else QWEN3_SAMPLING)[mode]
