from __future__ import annotations

import re

from fit_machines import MACHINES
from model_fit_table import BEGIN, DOCUMENT, END, table_row, with_table
from qwen3_chat.models.fit import OfferKind, recommend


def test_the_table_of_machines_is_what_the_script_writes() -> None:
    document = DOCUMENT.read_text("utf-8")
    assert BEGIN in document
    assert END in document
    assert with_table(document) == document, "run: python3 scripts/model_fit_table.py"


def test_many_kinds_of_machines_are_in_the_table_once() -> None:
    names = [machine.name for machine in MACHINES]
    assert len(names) == len(set(names)) >= 40
    for kind in ("Raspberry", "Laptop", "Container", "2 ×", "MI300X", "GB10", "512 GB"):
        assert any(kind in name for name in names), kind


def test_each_machine_has_three_offers_explained_in_one_line() -> None:
    for machine in MACHINES:
        offers = recommend(machine.machine).offers
        assert [offer.kind for offer in offers] == list(OfferKind), machine.name
        row = table_row(machine)
        assert "\n" not in row
        assert len(re.findall(r"tok/s, ", row)) >= len(offers), row
