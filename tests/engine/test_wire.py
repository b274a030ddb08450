"""The names on the wire, which stay when a class or a field is renamed."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.engine import wire
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.request import LoadSettings, PersistenceOptions, TokenCounts

COMMAND_TYPES = {
    *("Load", "Generate", "CountTokens", "ListDevices", "Rest", "KeepChat", "Calibrate", "ForgetChat"),
    *("EndThinking", "Cancel", "MeasureKernels"),
}
MESSAGE_TYPES = {
    *("Ready", "Happened", "Loaded", "Counted", "DevicesListed", "Rested", "KeepingChat", "ChatKept"),
    *("Tried", "Calibrated", "Noticed", "CommandFailed", "Aborting", "KernelsMeasured", "Ended"),
}


def types_of(union: object) -> set[str]:
    return {str(struct.__struct_config__.tag) for struct in get_args(union)}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b'{"type":"\xff","call_id":1}',
        b'{"type":"CommandFailed","call_id":1,"key":"\xed\xa0\x80"}',
        b'{"type":"CommandFailed","call_id":1,"key":"a","values":{"a":1e400}}',
        b'{"type":"RemoveSnapshot","call_id":1,"chat_id":1e400}',
        b'{"type":"ForgetChat","call_id":1,"chat_id":null}',
        b"[" * 100_000,
        b'{"type":' * 100_000,
    ],
)
def test_a_line_that_makes_no_sense_is_one_kind_of_error(line: bytes) -> None:
    for decode in (wire.decode_command, wire.decode_message):
        with pytest.raises(msgspec.MsgspecError):
            decode(line)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_are_a_message_or_that_error(noise: bytes, at: int) -> None:
    whole = b'{"type":"CommandFailed","call_id":1,"key":"engine.busy","values":{"a":1.5}}'
    for line in (noise, whole[:at] + noise + whole[at + len(noise) :]):
        with suppress(msgspec.MsgspecError):
            wire.decode_message(line)


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
