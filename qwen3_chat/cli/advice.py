"""What a newcomer with nothing but the demo model is advised to get."""

from __future__ import annotations

from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.fit.recommendation import recommend
from qwen3_chat.hardware import probe
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t


async def advise(engine: LocalEngine) -> str:
    """Name the model that suits this machine best, with its reason; empty where none does."""
    found = recommend((await probe(engine.devices)).machine)
    if found.pick is None:
        return ""
    size = write_size(found.pick.model.size_bytes(found.pick.quant))
    text = t("cli.advice", name=f"{found.pick.model.name}:{found.pick.quant}", size=size, reason=found.reason)
    if found.fast is None:
        return text
    faster = t("cli.advice.faster", name=f"{found.fast.model.name}:{found.fast.quant}")
    return f"{text} {faster}"
