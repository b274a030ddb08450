from __future__ import annotations

import pytest

from qwen3_chat.record_copies import field_names
from qwen3_chat.sampling import (
    EXTENDED_PARAMETERS,
    SAMPLING_PARAMETERS,
    SamplingOverrides,
    SamplingParams,
    sampling_body,
)
from qwen3_chat.session.turn_options import OPTION_FIELDS, TurnOptions
from qwen3_chat.store.records import ChatOptions
from qwen3_chat.texts import Language, load_catalogue

NAMES = [parameter.name for parameter in SAMPLING_PARAMETERS]
PARAMS = SamplingParams(temperature=0.6, top_p=0.95, top_k=20, min_p=0.1, presence_penalty=1.5)


@pytest.mark.parametrize("declared", [SamplingParams, SamplingOverrides])
def test_the_classes_of_values_have_a_field_for_each_parameter(
    declared: type[SamplingParams | SamplingOverrides],
) -> None:
    assert list(field_names(declared)) == NAMES


@pytest.mark.parametrize("options", [ChatOptions, TurnOptions])
def test_options_begin_with_the_parameters(options: type[ChatOptions | TurnOptions]) -> None:
    assert list(field_names(options))[: len(NAMES)] == NAMES


def test_the_screen_of_options_offers_each_parameter_in_its_range() -> None:
    offered = [(field.name, field.minimum, field.maximum) for field in OPTION_FIELDS[: len(NAMES)]]
    assert offered == [
        (parameter.name, parameter.minimum, parameter.maximum) for parameter in SAMPLING_PARAMETERS
    ]


@pytest.mark.parametrize("language", Language)
def test_each_parameter_has_its_texts(language: Language) -> None:
    texts = load_catalogue(language)
    for name in NAMES:
        assert texts[f"ui.options.{name}"]
        assert texts[f"ui.options.{name}.about"]


def test_a_server_that_reads_everything_is_sent_everything() -> None:
    off = SamplingParams(temperature=0.6, top_p=0.95, top_k=0)
    assert list(sampling_body(off)) == NAMES


@pytest.mark.parametrize(
    ("understood", "sent"),
    [
        (frozenset(), {"temperature", "top_p", "presence_penalty"}),
        (frozenset({"top_k"}), {"temperature", "top_p", "presence_penalty", "top_k"}),
        (EXTENDED_PARAMETERS, set(NAMES)),
    ],
)
def test_a_server_is_sent_what_it_understands(understood: frozenset[str], sent: set[str]) -> None:
    assert set(sampling_body(PARAMS, understood)) == sent


def test_top_k_switched_off_is_left_out_and_not_sent_as_zero() -> None:
    off = SamplingParams(temperature=0.6, top_p=0.95, top_k=0)
    assert "top_k" not in sampling_body(off, EXTENDED_PARAMETERS)
    assert sampling_body(off, EXTENDED_PARAMETERS)["min_p"] == 0
