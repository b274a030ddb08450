"""Numbers that somebody chose or a file holds: NaN, infinity and absurd sizes are none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.config.setting_types import Setting, SettingType, known_settings
from qwen3_chat.config.settings_file import read_settings
from qwen3_chat.engine.tuning import TUNING_FILE_NAME, TuningFile
from qwen3_chat.errors import ConfigError, UsageError
from qwen3_chat.number_range import NumberRange
from qwen3_chat.sampling import SAMPLING_PARAMETERS
from qwen3_chat.session.turn_options import OPTION_FIELDS, OptionField, TurnOptions
from qwen3_chat.store.records import ChatOptions

NAN, INFINITY = float("nan"), float("inf")
ABSURD = ["nan", "-nan", "inf", "-inf", "1e999", "9" * 30, "9" * 5000, "-" + "9" * 30, "1e30", "true"]
NUMERIC_SETTINGS = [
    setting
    for setting in known_settings().values()
    if setting.type in (SettingType.WHOLE, SettingType.NUMBER)
]


def test_a_range_holds_its_ends_and_no_more() -> None:
    whole, real = NumberRange(1, 9, is_whole=True), NumberRange(1, 9)
    assert [value for value in (0, 1, 9, 10, 1.5, True, "1", None, NAN) if value in whole] == [1, 9]
    assert [value for value in (0.9, 1, 1.5, 9.0, 9.1, INFINITY, NAN) if value in real] == [1, 1.5, 9.0]


@given(st.text(max_size=50) | st.floats().map(str) | st.integers().map(str))
def test_a_text_gives_a_number_of_the_range_or_none(text: str) -> None:
    for number_range in (NumberRange(0, 2), NumberRange(-5, 10**6, is_whole=True)):
        value = number_range.parse(text)
        assert value is None or value in number_range


@pytest.mark.parametrize("field", OPTION_FIELDS, ids=lambda field: field.name)
@pytest.mark.parametrize("text", ABSURD)
def test_the_options_of_a_chat_refuse_a_number_that_is_none(field: OptionField, text: str) -> None:
    with pytest.raises(UsageError, match=f"number from {field.minimum:,} to {field.maximum:,}"):
        field.parse(text)


@pytest.mark.parametrize("setting", NUMERIC_SETTINGS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("text", ABSURD)
def test_a_setting_refuses_a_number_that_is_none(setting: Setting, text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="number from"):
        setting.parse(text)
    path = tmp_path / "config.toml"
    path.write_text(f"{setting.name} = {text[:4000]}\n")
    loaded = read_settings(path)
    assert getattr(loaded.settings, setting.name) == setting.default
    assert len(loaded.problems) == 1


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY, 10**400, -(10**9), 2**63])
def test_a_stored_option_that_nobody_can_choose_leaves_the_preset(value: float) -> None:
    names = [*(parameter.name for parameter in SAMPLING_PARAMETERS), "max_tokens", "thinking_budget"]
    damaged = ChatOptions(**dict.fromkeys(names, value))  # type: ignore[arg-type]
    assert TurnOptions(temperature=0.5).overridden_by(damaged) == TurnOptions(temperature=0.5)
    good = ChatOptions(temperature=2, top_k=0, max_tokens=1)
    assert TurnOptions().overridden_by(good) == TurnOptions(temperature=2, top_k=0, max_tokens=1)


@pytest.mark.parametrize("name", ["n_threads", "n_ubatch", "n_prompt_threads", "reply_tokens_per_s"])
@pytest.mark.parametrize("value", [-1, 10**9 + 1, 2**70])
def test_a_calibration_with_a_number_that_is_none_is_measured_again(
    tmp_path: Path, name: str, value: int
) -> None:
    entry: dict[str, object] = {
        "flash_attention": False,
        "kv_type": "f16",
        "n_ubatch": 128,
        "n_threads": 2,
        "n_prompt_threads": 2,
        "reply_tokens_per_s": 9.0,
        "prompt_tokens_per_s": 9.0,
        "depth": 512,
        "trials": [],
    }
    path = tmp_path / TUNING_FILE_NAME
    path.write_bytes(msgspec.json.encode({"key": entry}))
    assert TuningFile(path).find("key") is not None
    path.write_bytes(msgspec.json.encode({"key": entry | {name: value}}))
    assert TuningFile(path).find("key") is None
    path.write_bytes(b'{"\xff": 1}')
    assert TuningFile(path).find("key") is None
