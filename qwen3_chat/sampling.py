"""The sampling parameters: the settings of drawing the next token, each declared once with its range.

A new parameter is an entry in `SAMPLING_PARAMETERS`, a field in each of the two classes below it, and two
texts in each language, `ui.options.NAME` and `ui.options.NAME.about`. Chat options, stored records, the
command line and requests to servers follow. Only `engine/worker/sampler.py` knows its meaning for llama.cpp.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from qwen3_chat.number_range import NumberRange


class SamplingParameter(Struct, frozen=True):
    """A parameter under its name, with the range that a chat may choose from."""

    name: str
    """The name of its field, and its key in stored chats, in settings and in requests to servers."""
    minimum: float
    maximum: float
    is_whole: bool = False
    """True where only whole numbers are allowed."""
    command_line_maximum: float | None = None
    """The greatest value of the command line's option; None where there is no option."""
    is_openai: bool = True
    """True for a parameter of OpenAI's own protocol, which every server understands."""
    omitted_value: float | None = None
    """A value that an OpenAI-like server is not sent, because it would take it literally."""

    @property
    def range(self) -> NumberRange:
        """The numbers that a chat may choose from."""
        return NumberRange(self.minimum, self.maximum, self.is_whole)


SAMPLING_PARAMETERS: Final = (
    SamplingParameter("temperature", 0, 2, command_line_maximum=5),
    SamplingParameter("top_p", 0.01, 1),
    SamplingParameter("top_k", 0, 1000, is_whole=True, is_openai=False, omitted_value=0),
    SamplingParameter("min_p", 0, 1, is_openai=False),
    SamplingParameter("presence_penalty", -2, 2),
)

EXTENDED_PARAMETERS: Final = frozenset(
    parameter.name for parameter in SAMPLING_PARAMETERS if not parameter.is_openai
)
"""The parameters beyond OpenAI's own protocol, which some servers don't understand."""

MAX_TOKEN_LIMIT: Final = 1_000_000
"""The greatest value that a limit in tokens takes, of a reply or of its thinking."""

MAX_SEED: Final = 2**32 - 2
"""The greatest seed; llama.cpp draws one of its own for the number after it."""


class SamplingParams(Struct, frozen=True):
    """The parameters of a reply; 0 switches `top_k`, `min_p` and `presence_penalty` off."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float = 0.0
    presence_penalty: float = 0.0


class SamplingOverrides(Struct, frozen=True):
    """The parameters that differ from a preset; None leaves the preset's value."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None


def sampling_parameter(name: str) -> SamplingParameter:
    """Return the parameter of this name."""
    return next(parameter for parameter in SAMPLING_PARAMETERS if parameter.name == name)


def sampling_body(params: SamplingParams, understood: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the parameters for the body of a request.

    `understood` names the parameters beyond OpenAI's own that the server understands; with None these are all
    parameters in any value, as Ollama reads them.
    """
    body = {parameter.name: getattr(params, parameter.name) for parameter in SAMPLING_PARAMETERS}
    if understood is None:
        return body
    return {
        parameter.name: body[parameter.name]
        for parameter in SAMPLING_PARAMETERS
        if (parameter.is_openai or parameter.name in understood)
        and (parameter.omitted_value is None or body[parameter.name] != parameter.omitted_value)
    }
