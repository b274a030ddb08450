"""Which models fit a machine, where their parts go, how fast they will be; pure."""

from __future__ import annotations

from qwen3_chat.fit.assessment import Assessment, Fit, assess
from qwen3_chat.fit.machine import Gpu, Machine
from qwen3_chat.fit.placement import Placement, Plan
from qwen3_chat.fit.recommendation import Recommendation, best_quant, recommend

__all__ = [
    "Assessment",
    "Fit",
    "Gpu",
    "Machine",
    "Placement",
    "Plan",
    "Recommendation",
    "assess",
    "best_quant",
    "recommend",
]
