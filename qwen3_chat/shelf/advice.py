"""What a newcomer is told of this machine: which model to get and why, and a GPU that lies idle."""

from __future__ import annotations

from qwen3_chat.fit import Assessment, Recommendation
from qwen3_chat.fit.reasons import write_speed
from qwen3_chat.hardware import Hardware, advise
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t
from qwen3_chat.wording import sentences


def newcomer_advice(machine: str, found: Recommendation) -> str:
    """Say in a few lines what the machine is, what suits it, what would be faster, how to get it."""
    lines = [t("shelf.machine", machine=machine)]
    if found.pick is None:
        return "\n\n".join((*lines, str(found.reason)))
    picks = [t("shelf.pick", name=_name(found.pick), size=_size(found.pick), reason=found.reason)]
    if found.fast is not None:
        speed = write_speed(found.fast.plan.tokens_per_s)
        picks.append(t("shelf.fast", name=_name(found.fast), size=_size(found.fast), speed=speed))
    return "\n\n".join((*lines, sentences(picks), t("shelf.get")))


def idle_gpu(hardware: Hardware) -> str:
    """Say which GPU this build of llama.cpp can't use, and what helps; empty where all is well."""
    found = advise(hardware)
    return "" if found is None else t("shelf.idle_gpu", name=found.gpu.name)


def _name(assessed: Assessment) -> str:
    return f"{assessed.model.title} {assessed.quant}"


def _size(assessed: Assessment) -> str:
    return write_size(assessed.model.size_bytes(assessed.quant))
