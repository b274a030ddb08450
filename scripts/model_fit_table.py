"""Write the table of machines in docs/model-fit.md: `python3 scripts/model_fit_table.py`, or `--check` it."""

from __future__ import annotations

import sys
from pathlib import Path

from fit_machines import MACHINES, FitMachine
from qwen3_chat.models.fit import Offer, Placement, recommend
from qwen3_chat.models.fit.assessment import format_context
from qwen3_chat.texts.formatting import format_rough_duration, speed_figure

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "model-fit.md"
BEGIN, END = "<!-- the table: scripts/model_fit_table.py -->", "<!-- the end of the table -->"
HEADINGS = ("machine, idle", "best answers", "balanced", "quick", "in a line")
PLACES = {
    Placement.GPU: "all on the GPU",
    Placement.EXPERTS_IN_RAM: "experts of {moe} layers in RAM",
    Placement.PARTIAL: "{layers} layers on the GPU",
    Placement.CPU: "on the processor",
}


def offer_cell(offer: Offer) -> str:
    """Write an offer: model, quant, speed, the time of an answer, with thinking after the slash."""
    chosen = offer.assessment
    times = [
        format_rough_duration(seconds) for seconds in (offer.answer_s, offer.thinking_answer_s) if seconds
    ]
    speed = speed_figure(chosen.plan.tokens_per_s)
    return f"{chosen.model.name} {chosen.quant}, {speed} tok/s, {' / '.join(times)}"


def table_row(fit_machine: FitMachine) -> str:
    """Write the row of a machine, with a line on the best offer and on the next better model."""
    found = recommend(fit_machine.machine)
    if found.fast is None:
        return _row([fit_machine.name, "–", "–", "–", str(found.reason)])
    plan = found.offers[0].assessment.plan
    place = PLACES[plan.placement].format(moe=plan.n_cpu_moe, layers=plan.n_gpu_layers)
    line = [f"{place}, context {format_context(plan.context)}"]
    if fit_machine.note:
        line.append(fit_machine.note)
    elif found.rejected:
        rejected = found.rejected[-1]
        line.append(f"not {rejected.assessment.model.name}: {rejected.reason}")
    return _row([fit_machine.name, *map(offer_cell, found.offers), "; ".join(line)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def make_table() -> str:
    """Return the whole table."""
    rows = [_row(list(HEADINGS)), _row(["---"] * len(HEADINGS)), *map(table_row, MACHINES)]
    return "\n".join(rows)


def with_table(document: str) -> str:
    """Return the document with the table as it is now."""
    before, _, remainder = document.partition(BEGIN)
    _, _, after = remainder.partition(END)
    return f"{before}{BEGIN}\n\n{make_table()}\n\n{END}{after}"


def main() -> None:
    """Write the document, or end with status 1 if `--check` finds another table in it."""
    document = DOCUMENT.read_text("utf-8")
    if "--check" in sys.argv[1:]:
        sys.exit(int(with_table(document) != document))
    DOCUMENT.write_text(with_table(document), "utf-8")


if __name__ == "__main__":
    main()
