"""How the models of a repository fit a machine, from the header of one and the sizes of all."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.catalog import FamilyModel, Shape, other_model
from qwen3_chat.fit import Machine, assess
from qwen3_chat.gguf import GgufHeader
from qwen3_chat.hub import Hub, Patience, WantedModel
from qwen3_chat.hub.remote_header import remote_header
from qwen3_chat.shelf.rows import Offer


async def look_into(wanted: WantedModel, hubs: Sequence[Hub], patience: Patience) -> FamilyModel | None:
    """Read what model a file holds before it is fetched; None where it is no Qwen3.

    Raises:
        HubError: no source delivers the header.
        ModelError: it has none.
    """
    return model_of(await remote_header(wanted.files[0], hubs, patience), wanted)


def model_of(header: GgufHeader, wanted: WantedModel) -> FamilyModel | None:
    """Describe the model of a header."""
    parameters = header.parameters if len(wanted.files) == 1 else None
    shape = Shape.from_header(header.architecture, header.number, parameters)
    return other_model(wanted.model, shape, header.n_ctx_train) if shape else None


def offers_of(
    model: FamilyModel, found: Sequence[WantedModel], machine: Machine, n_ctx: int | None
) -> tuple[Offer, ...]:
    """Assess a model in each quant there is, by rising size."""
    by_size = sorted(found, key=lambda wanted: wanted.size_bytes)
    return tuple(
        Offer(assess(model, one.quant, machine, n_ctx, one.size_bytes), one.size_bytes) for one in by_size
    )
