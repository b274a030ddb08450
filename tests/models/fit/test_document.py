from __future__ import annotations

from qwen3_chat.models.fit import Machine, Recommendation, recommend
from qwen3_chat.models.fit.assessment import format_context
from qwen3_chat.texts.formatting import format_size, speed_figure
from tests.conftest import REPOSITORY
from tests.models.fit.machines import MACHINES

DOCUMENT = REPOSITORY / "docs" / "model-fit.md"
PLACES = {
    "gpu": "all on the GPU",
    "experts_in_ram": "experts of {moe} layers in RAM",
    "partial": "{layers} layers on the GPU",
    "cpu": "processor",
}


def row(name: str, machine: Machine, found: Recommendation) -> str:
    """Return the line of a machine in the table of the document."""
    pick = found.pick
    assert pick
    plan = pick.plan
    gpu = (
        f"{format_size(plan.gpu_bytes)} of {format_size(machine.usable_gpu_bytes)}" if plan.gpu_bytes else "–"
    )
    place = PLACES[plan.placement].format(moe=plan.n_cpu_moe, layers=plan.n_gpu_layers)
    better = found.rejected[-1] if found.rejected else None
    cells = [
        name,
        f"**{pick.model.name}** {pick.quant}",
        place,
        format_context(plan.context),
        gpu,
        f"{format_size(plan.ram_bytes)} of {format_size(machine.usable_ram_bytes)}",
        speed_figure(plan.tokens_per_s),
        f"{found.fast.model.name} {found.fast.quant}" if found.fast else "–",
        f"{better.model.name}: {better.reason}" if better else "–",
    ]
    return f"| {' | '.join(cells)} |"


def test_the_document_shows_what_is_recommended_now() -> None:
    document = DOCUMENT.read_text("utf-8")
    rows = [row(name, machine, recommend(machine)) for name, machine in MACHINES.items()]
    missing = [line for line in rows if line not in document]
    assert "\n".join(missing) == ""
