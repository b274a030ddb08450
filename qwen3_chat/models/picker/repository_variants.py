"""The variants of a repository's model, assessed from one file's header and the sizes of all."""

from __future__ import annotations

from collections.abc import Sequence

from qwen3_chat.models.catalog import FamilyModel
from qwen3_chat.models.fit import Machine, assess
from qwen3_chat.models.hub import Hub, PullTarget, RetryPolicy
from qwen3_chat.models.hub.remote_header import fetch_header
from qwen3_chat.models.picker.model_table import ModelVariant, model_from_header


async def fetch_metadata(
    target: PullTarget, hubs: Sequence[Hub], retry_policy: RetryPolicy
) -> FamilyModel | None:
    """Return the model in a file before its download, by its header; None where it is no Qwen.

    Raises:
        HubError: no source delivers the header.
        ModelError: the file has none.
    """
    header = await fetch_header(target.files[0], hubs, retry_policy)
    return model_from_header(header, target.model)


def assess_variants(
    model: FamilyModel, targets: Sequence[PullTarget], machine: Machine, n_ctx: int | None
) -> tuple[ModelVariant, ...]:
    """Assess a model in each of its quants, by rising size."""
    by_size = sorted(targets, key=lambda target: target.size_bytes)
    return tuple(
        ModelVariant(assess(model, target.quant, machine, n_ctx, target.size_bytes), target.size_bytes)
        for target in by_size
    )
