"""The variants of a repository's model, assessed from one file's header and the sizes of all."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.models.catalog import FamilyModel, Shape, derived_model
from qwen3_chat.models.fit import Machine, assess
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.hub import Hub, PullTarget, RetryPolicy
from qwen3_chat.models.hub.remote_header import fetch_header
from qwen3_chat.models.picker.model_table import ModelVariant


async def fetch_metadata(
    target: PullTarget, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> FamilyModel | None:
    """Read what model a file holds before it is fetched; None where it is no Qwen3.

    Raises:
        HubError: no source delivers the header.
        ModelError: it has none.
    """
    return model_from_header(await fetch_header(target.files[0], hubs, retry_policy), target)


def model_from_header(header: GgufHeader, target: PullTarget) -> FamilyModel | None:
    """Describe the model of a header."""
    parameters = header.parameters if len(target.files) == 1 else None
    shape = Shape.from_header(header.architecture, header.number, parameters)
    return derived_model(target.model, shape, header.n_ctx_train) if shape else None


def assess_variants(
    model: FamilyModel, targets: Sequence[PullTarget], machine: Machine, n_ctx: int | None
) -> tuple[ModelVariant, ...]:
    """Assess a model in each quant there is, by rising size."""
    by_size = sorted(targets, key=lambda wanted: wanted.size_bytes)
    return tuple(
        ModelVariant(assess(model, one.quant, machine, n_ctx, one.size_bytes), one.size_bytes)
        for one in by_size
    )
