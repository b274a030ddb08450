"""The fit of models to a machine: placement of their parts, speed, recommendation; pure."""

from __future__ import annotations

from qwen3_chat.models.fit.assessment import Assessment, Fit, assess
from qwen3_chat.models.fit.machine import Gpu, Machine
from qwen3_chat.models.fit.offers import Offer, OfferKind
from qwen3_chat.models.fit.placement import Placement, PlacementPlan
from qwen3_chat.models.fit.recommendation import Recommendation, best_assessment, best_quant, recommend

__all__ = [
    "Assessment",
    "Fit",
    "Gpu",
    "Machine",
    "Offer",
    "OfferKind",
    "Placement",
    "PlacementPlan",
    "Recommendation",
    "assess",
    "best_assessment",
    "best_quant",
    "recommend",
]
