"""The tool `calculator`: arithmetic that is exact as long as it can be.

Decimals are read as they are written and fractions stay fractions, so 0.1 + 0.2 is 0.3 and 1/3*3 is 1. Roots,
logarithms and the like give 34 digits unless their result is rational. simpleeval walks the expression; of
its features only numbers, operators, comparisons and the functions below are left.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from decimal import Context, Decimal, DecimalException, Overflow, localcontext
from fractions import Fraction
from typing import Final

from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolError

Number = Fraction | Decimal

MAX_EXPRESSION_CHARS: Final = 1_000
"""The longest expression, in characters."""

MAX_BITS: Final = 50_000
"""The longest numerator or denominator of a result, in bits: some 15,000 digits."""

MAX_FACTORIAL: Final = 1_000
"""The largest number whose factorial is computed."""

MAX_EXACT_DIGITS: Final = 60
"""The most digits of a decimal or a fraction that is written out; an integer is written whole."""

_CONTEXT: Final = Context(prec=34, Emax=99_999, Emin=-99_999)
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "description": "e.g. (12.5 + 7/3) * 2**10, sqrt(2), round(10/3, 2), 17 % 5; angles in radians",
        }
    },
    "required": ["expression"],
    "additionalProperties": False,
}
_SPELLINGS: Final = str.maketrans(
    {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "（": "(", "）": ")", "，": ","}
)


def calculator_tool() -> Tool:
    """Return the tool."""

    async def run(arguments: Arguments) -> str:
        return calculate(str(arguments["expression"]))

    return Tool(
        "calculator",
        "Compute an arithmetic expression exactly.",
        _SCHEMA,
        run,
        Reach.NOTHING,
    )


def calculate(expression: str) -> str:
    """Return the value of an expression as text.

    Raises:
        ToolError: the expression is none, or its value is too large or does not exist.
    """
    from simpleeval import InvalidExpression, SimpleEval  # 30 ms to import

    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ToolError(f"The expression is longer than {MAX_EXPRESSION_CHARS} characters.")
    source = expression.translate(_SPELLINGS).replace("^", "**").strip()
    evaluator = SimpleEval(operators=dict(_OPERATORS), functions=dict(_FUNCTIONS), names=_names())
    allowed = (ast.Expr, ast.Name, ast.UnaryOp, ast.BinOp, ast.Compare, ast.Call)
    evaluator.nodes = {kind: evaluator.nodes[kind] for kind in allowed}
    evaluator.nodes[ast.Constant] = lambda node: _read_number(source, node)
    try:
        with localcontext(_CONTEXT):
            tree = ast.parse(source, mode="eval")
            return _written(evaluator.eval(source, previously_parsed=tree.body))
    except ToolError:
        raise
    except (SyntaxError, ValueError, TypeError, InvalidExpression, RecursionError, MemoryError) as error:
        raise ToolError(f"This can't be computed: {_reason(error)}") from error
    except ZeroDivisionError as error:
        raise ToolError("This can't be computed: division by zero.") from error
    except (DecimalException, OverflowError) as error:
        too_large = isinstance(error, (Overflow, OverflowError))
        reason = "the result is too large" if too_large else "there is no real result"
        raise ToolError(f"This can't be computed: {reason}.") from error


def _reason(error: BaseException) -> str:
    match error:
        case SyntaxError():
            return "it is no arithmetic expression."
        case RecursionError() | MemoryError():
            return "it is nested too deeply."
        case _:
            return f"{str(error).removesuffix('.')[:200]}."


def _read_number(source: str, node: ast.Constant) -> Number:
    """Return the number as it is written, not as the nearest float."""
    if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        raise ToolError("This can't be computed: only numbers may stand in an expression.")
    if isinstance(node.value, int):
        return _limited(Fraction(node.value))
    written = Decimal(ast.get_source_segment(source, node) or "")
    if abs(written.adjusted()) > MAX_BITS // 4:
        raise Overflow
    return Fraction(written)


def _limited(value: Number) -> Number:
    if isinstance(value, Fraction):
        size = max(value.numerator.bit_length(), value.denominator.bit_length())
        if size > MAX_BITS:
            raise Overflow
    return value


def _decimal(value: Number) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _binary(
    exact: Callable[[Fraction, Fraction], Number | int], rounded: Callable[[Decimal, Decimal], Decimal]
) -> Callable[[Number, Number], Number]:
    def apply(left: Number, right: Number) -> Number:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            result = exact(left, right)
            return _limited(result if isinstance(result, (Fraction, Decimal)) else Fraction(result))
        return rounded(_decimal(left), _decimal(right))

    return apply


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(base) != 1 and size * abs(exponent.numerator) > MAX_BITS:
                raise Overflow
            return Fraction(base**exponent.numerator)
        if exponent == Fraction(1, 2):
            return _root(base)
    return _CONTEXT.power(_decimal(base), _decimal(exponent))


def _root(value: Number) -> Number:
    if isinstance(value, Fraction) and value >= 0:
        roots = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if Fraction(roots[0] ** 2, roots[1] ** 2) == value:
            return Fraction(*roots)
    return _CONTEXT.sqrt(_decimal(value))


def _integer(value: Number) -> int:
    exact = Fraction(value)
    if exact.denominator != 1:
        raise ToolError("This can't be computed: this function takes integers.")
    return exact.numerator


def _factorial(value: Number) -> Fraction:
    if not 0 <= (number := _integer(value)) <= MAX_FACTORIAL:
        raise ToolError(f"This can't be computed: factorial takes integers from 0 to {MAX_FACTORIAL}.")
    return Fraction(math.factorial(number))


def _rounded(value: Number, digits: Number = Fraction(0)) -> Fraction:
    """Round as people do, halves away from zero."""
    places = _integer(digits)
    if abs(places) > 1_000:
        raise Overflow
    scaled = Fraction(value) * Fraction(10) ** places
    whole = math.floor(abs(scaled) + Fraction(1, 2))
    return Fraction(whole if scaled >= 0 else -whole) / Fraction(10) ** places


def _logarithm(value: Number, base: Number | None = None) -> Decimal:
    result = _CONTEXT.ln(_decimal(value))
    return result if base is None else _CONTEXT.divide(result, _CONTEXT.ln(_decimal(base)))


def _by_float(function: Callable[[float], float]) -> Callable[[Number], Decimal]:
    return lambda value: Decimal(repr(function(float(value))))


def _names() -> dict[str, Number]:
    return {"pi": Decimal("3.141592653589793238462643383279503"), "e": _CONTEXT.exp(Decimal(1))}


_OPERATORS: Final = {
    ast.Add: _binary(operator.add, operator.add),
    ast.Sub: _binary(operator.sub, operator.sub),
    ast.Mult: _binary(operator.mul, operator.mul),
    ast.Div: _binary(operator.truediv, operator.truediv),
    ast.FloorDiv: _binary(operator.floordiv, lambda left, right: Decimal(math.floor(left / right))),
    ast.Mod: _binary(operator.mod, lambda left, right: left - right * math.floor(left / right)),
    ast.Pow: _power,
    ast.UAdd: lambda value: value,
    ast.USub: operator.neg,
    ast.Eq: lambda left, right: Fraction(left) == Fraction(right),
    ast.NotEq: lambda left, right: Fraction(left) != Fraction(right),
    ast.Lt: lambda left, right: Fraction(left) < Fraction(right),
    ast.LtE: lambda left, right: Fraction(left) <= Fraction(right),
    ast.Gt: lambda left, right: Fraction(left) > Fraction(right),
    ast.GtE: lambda left, right: Fraction(left) >= Fraction(right),
}
_FUNCTIONS: Final[dict[str, Callable[..., Number]]] = {
    "abs": abs,
    "ceil": lambda value: Fraction(math.ceil(value)),
    "cos": _by_float(math.cos),
    "exp": lambda value: _CONTEXT.exp(_decimal(value)),
    "factorial": _factorial,
    "floor": lambda value: Fraction(math.floor(value)),
    "gcd": lambda *values: Fraction(math.gcd(*map(_integer, values))),
    "lcm": lambda *values: _limited(Fraction(math.lcm(*map(_integer, values)))),
    "ln": _logarithm,
    "log": _logarithm,
    "log10": lambda value: _CONTEXT.log10(_decimal(value)),
    "log2": lambda value: _logarithm(value, Fraction(2)),
    "max": max,
    "min": min,
    "round": _rounded,
    "sin": _by_float(math.sin),
    "sqrt": _root,
    "tan": _by_float(math.tan),
}


def _written(value: object) -> str:
    """Return a value as text: whole if it is short, else rounded, and said so."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"≈ {_plain(value)}"
    assert isinstance(value, Fraction)
    if value.denominator == 1:
        return str(value.numerator) if value.numerator.bit_length() < 13_000 else _huge(value)
    rounded = _decimal(value)
    if Fraction(rounded) == value:
        return _plain(rounded)
    fraction = (
        f"{value.numerator}/{value.denominator}" if len(str(value.denominator)) < MAX_EXACT_DIGITS else ""
    )
    return f"{fraction} ≈ {_plain(rounded)}".strip()


def _huge(value: Fraction) -> str:
    return f"≈ {_decimal(value):.20e}"  # more digits than Python writes


def _plain(value: Decimal) -> str:
    text = format(value.normalize(_CONTEXT), "f" if -20 < value.adjusted() < 40 else "e")
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
