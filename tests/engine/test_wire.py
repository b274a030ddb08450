"""The names on the wire, which stay when a class or a field is renamed."""

from __future__ import annotations

from typing import get_args

import msgspec

from qwen3_chat.engine import wire
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.request import LoadSettings, PersistenceOptions, TokenCounts

COMMAND_TYPES = {
    *("Load", "Generate", "CountTokens", "ListDevices", "Rest", "KeepChat", "Calibrate", "ForgetChat"),
    *("EndThinking", "Cancel"),
}
MESSAGE_TYPES = {
    *("Ready", "Happened", "Loaded", "Counted", "DevicesListed", "Rested", "KeepingChat", "ChatKept"),
    *("Tried", "Calibrated", "Noticed", "CommandFailed", "Aborting"),
}


def types_of(union: object) -> set[str]:
    return {str(struct.__struct_config__.tag) for struct in get_args(union)}


def test_every_command_and_message_has_its_type_on_the_wire() -> None:
    assert types_of(wire.AnyWorkerCommand) == COMMAND_TYPES
    assert types_of(wire.AnyWorkerMessage) == MESSAGE_TYPES


def test_renamed_fields_keep_their_names_on_the_wire() -> None:
    load = wire.Load(1, LoadSettings("a.gguf"), LoadPlan(1, 256), PersistenceOptions("data", 0))
    fields = msgspec.json.decode(wire.encode(load), type=dict[str, object])
    assert set(fields) == {"type", "call_id", "settings", "plan", "keeping"}
    counted = wire.TokensCounted(1, TokenCounts((1,), 1, exact=True))
    fields = msgspec.json.decode(wire.encode(counted), type=dict[str, object])
    assert set(fields) == {"type", "call_id", "measure"}
