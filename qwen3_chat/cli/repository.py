"""`qwen3-chat models OWNER/REPOSITORY`: what of it fits this machine or another one."""

from __future__ import annotations

import asyncio
import os

from qwen3_chat.errors import ModelError
from qwen3_chat.fit import Machine
from qwen3_chat.hub import find_all, hubs_from
from qwen3_chat.hub.patience import USUAL_PATIENCE
from qwen3_chat.plain import plain
from qwen3_chat.shelf import Offer
from qwen3_chat.shelf.repository import look_into, offers_of
from qwen3_chat.sizes import write_size
from qwen3_chat.texts import t


def offers_in(repository: str, machine: Machine, n_ctx: int | None) -> tuple[Offer, ...]:
    """List a repository and assess all that is in it, after a look into its smallest file.

    Raises:
        Qwen3ChatError: there is no such repository, no model in it, or no source could be asked.
    """
    return asyncio.run(_offers_in(repository, machine, n_ctx))


async def _offers_in(repository: str, machine: Machine, n_ctx: int | None) -> tuple[Offer, ...]:
    hubs = hubs_from(os.environ)
    found = await find_all(repository, hubs, USUAL_PATIENCE)
    if not found:
        raise ModelError("models.none_in", repository=repository)
    smallest = min(found, key=lambda wanted: wanted.size_bytes)
    model = await look_into(smallest, hubs, USUAL_PATIENCE)
    if model is None:
        raise ModelError("models.no_qwen3", repository=repository)
    return offers_of(model, found, machine, n_ctx)


def offer_line(offer: Offer, mark: str) -> str:
    """Write one quant with its size and the reason."""
    quant, size = offer.assessment.quant, write_size(offer.size_bytes)
    return plain(f"{mark} {quant:12}{size:>9}  {offer.assessment.reason}")


def print_offers(repository: str, offers: tuple[Offer, ...], marks: dict[str, str]) -> None:
    """Print every quant, and how to get one."""
    for offer in offers:
        print(offer_line(offer, marks[offer.assessment.fit]))
    usable = [offer for offer in offers if offer.assessment.is_usable] or list(offers[:1])
    command = f"qwen3-chat pull {repository}:{usable[-1].assessment.quant}"
    print(t("models.get", command=plain(command)))
