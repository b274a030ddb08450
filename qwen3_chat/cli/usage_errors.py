"""Arguments that make no sense: the check that Typer lacks, and its errors as sentences of this program."""

from __future__ import annotations

from math import isnan
from typing import Any

from typer._click.core import Parameter
from typer._click.exceptions import BadParameter, ClickException, MissingParameter, NoSuchOption
from typer._click.types import FloatRange, IntRange

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Qwen3ChatError, UsageError


class FiniteRange(FloatRange):
    """A range of numbers without NaN, which no comparison finds out of range."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number of a typed text."""
        number = super().convert(value, param, ctx)
        if isnan(number):
            self.fail("not a number", param, ctx)
        return number


def _bad_value_error(error: BadParameter) -> UsageError:
    """Return the error for a value that does not fit; of a number it tells the range."""
    name = "/".join(error.param.opts) if error.param else ""
    match error.param:
        case Parameter(type=IntRange(min=low, max=high)):
            code = ErrorCode.WHOLE_NUMBER_ARGUMENT_INVALID
        case Parameter(type=FloatRange(min=low, max=high)):
            code = ErrorCode.NUMBER_ARGUMENT_INVALID
        case _:
            return UsageError(ErrorCode.ARGUMENT_INVALID, name=name)
    return UsageError(code, name=name, low=f"{low:,}", high=f"{high:,}")


def usage_error_from(error: ClickException) -> Qwen3ChatError:
    """Return the error for arguments that Typer refuses, in the language in use."""
    match error:
        case NoSuchOption():
            return UsageError(ErrorCode.OPTION_UNKNOWN, option=error.option_name)
        case MissingParameter():
            return UsageError(
                ErrorCode.ARGUMENT_MISSING,
                name=str(error.param.metavar or error.param.name) if error.param else "",
            )
        case BadParameter():
            return _bad_value_error(error)
        case _:
            return UsageError(ErrorCode.USAGE_WRONG)
