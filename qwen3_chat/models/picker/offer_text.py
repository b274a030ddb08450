"""The offers for a machine in words, as the command, the first screen and the model screen show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qwen3_chat.models.fit import Assessment, Offer, OfferKind, Recommendation
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import (
    SEPARATOR,
    format_rough_duration,
    format_size,
    join_sentences,
)


def grouped_offers(recommendation: Recommendation) -> Iterator[tuple[Offer, ...]]:
    """Yield the offers, those of one model in one quant together."""
    remaining = list(recommendation.offers)
    while remaining:
        first = remaining[0].assessment
        same = tuple(offer for offer in remaining if _is_same(offer.assessment, first))
        yield same
        remaining = [offer for offer in remaining if offer not in same]


def _is_same(one: Assessment, other: Assessment) -> bool:
    return one.model is other.model and one.quant == other.quant


def offer_kinds(offers: Sequence[Offer]) -> str:
    """Name the kinds of offers that one model is."""
    return SEPARATOR.join(t(f"fit.offer.{offer.kind.value}") for offer in offers)


def offer_times(offer: Offer, *, is_short: bool = False) -> str:
    """Write the time of a typical answer, with thinking and without."""
    seconds, thinking_seconds = offer.answer_s, offer.thinking_answer_s
    values = {
        name: format_rough_duration(value)
        for name, value in (("time", seconds), ("thinking_time", thinking_seconds))
        if value is not None
    }
    kind = "both" if len(values) == 2 else "never" if thinking_seconds is None else "always"
    return t(f"shelf.offer.{kind}" if is_short else f"fit.offer.time.{kind}", **values)


def offer_reason(offers: Sequence[Offer], recommendation: Recommendation) -> str:
    """Explain an offer in one line, and say what it needs where other programs take it at the moment."""
    offer = offers[0]
    if offer.kind is OfferKind.BEST:
        sentences = [str(recommendation.reason)]
    else:
        why = t(f"fit.offer.{offer.kind.value}.reason")
        sentences = [t("fit.offer.sentence", why=why, where=offer.assessment.reason)]
    if caution := _caution(offer):
        sentences.append(caution)
    return join_sentences(sentences)


def describe_offers(offers: Sequence[Offer], recommendation: Recommendation) -> str:
    """Say the kind of an offer, the time of a typical answer and the placement, for the model screen."""
    if recommendation.fast is None:
        return str(recommendation.reason)
    offer = offers[0]
    parts = (offer_kinds(offers), offer_times(offer), str(offer.assessment.reason), _caution(offer))
    return SEPARATOR.join(part for part in parts if part)


def _caution(offer: Offer) -> str:
    """Say that other programs take the memory of an offer at the moment; empty where they don't."""
    if not offer.is_postponed:
        return ""
    need = format_size(offer.assessment.plan.need_bytes)
    return t("fit.offer.later", need=need)
