"""The type, range and allowed values of each setting, derived from the table."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, inspect

from qwen3_chat.config.settings import Settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import t

_WITH_UNITS = ("thinking_budget", "snapshots_gib", "warm_minutes")


class SettingType(StrEnum):
    """The type of a setting's value; each has its sentence `config.allowed.TYPE`."""

    SWITCH = "switch"
    CHOICE = "choice"
    WHOLE = "whole"
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"
    TABLE = "table"


class Setting(Struct, frozen=True):
    """One setting: its type, its range, its default; None is allowed where the default is None."""

    name: str
    type: SettingType
    default: object
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def label(self) -> str:
        """The short label for lists."""
        return t(f"setting.{self.name}")

    @property
    def about(self) -> str:
        """The purpose of the setting, in a sentence or two."""
        return t(f"setting.{self.name}.about")

    @property
    def allowed(self) -> str:
        """The allowed values as a phrase: `one of auto, open, closed`."""
        if self.minimum is not None and self.maximum is not None:
            return t(
                f"config.allowed.{self.type}_between", least=f"{self.minimum:,}", most=f"{self.maximum:,}"
            )
        return t(f"config.allowed.{self.type}", choices=", ".join(self.choices))

    def parse(self, typed: str) -> object:
        """Return a typed value; nothing typed is the default, a list has a line for each text.

        Raises:
            ConfigError: the value does not fit.
        """
        typed = typed.strip()
        if not typed:
            return self.default
        value: object = typed
        match self.type:
            case SettingType.WHOLE | SettingType.NUMBER:
                value = _number(typed)
            case SettingType.TEXTS:
                value = [line.strip() for line in typed.splitlines() if line.strip()]
            case _:
                pass
        try:
            converted: object = getattr(msgspec.convert({self.name: value}, Settings), self.name)
        except msgspec.ValidationError as error:
            raise ConfigError(ErrorCode.SETTING_NOT_ALLOWED, allowed=self.allowed) from error
        return converted

    def format_for_display(self, value: object) -> str:
        """Return a value in the reader's words, a number with its unit."""
        if value is None:
            return ""
        if self.type is SettingType.CHOICE:
            return t(f"setting.{self.name}.{value}")
        if self.name in _WITH_UNITS:
            return t(
                f"setting.{self.name}.value", value=f"{value:,}" if isinstance(value, int) else f"{value:g}"
            )
        return self.format_for_input(value)

    @staticmethod
    def format_for_input(value: object) -> str:
        """Return a value as it is typed."""
        match value:
            case None | dict():
                return ""
            case tuple() | list():
                return "\n".join(str(item) for item in value)
            case float():
                return f"{value:g}"
            case _:
                return str(value)


def _number(typed: str) -> object:
    """Return a number, whole where it can be; the text itself where it is no number."""
    for number in (int, float):
        try:
            return number(typed)
        except ValueError:
            continue
    return typed


@cache
def known_settings() -> dict[str, Setting]:
    """Return all settings by name, in the order of their declaration."""
    info = inspect.type_info(Settings)
    assert isinstance(info, inspect.StructType)
    return {field.name: _setting(field) for field in info.fields}


def _setting(field: inspect.Field) -> Setting:
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    value_type = field.type
    if isinstance(value_type, inspect.UnionType):
        (value_type,) = (member for member in value_type.types if not isinstance(member, inspect.NoneType))
    match value_type:
        case inspect.BoolType():
            return Setting(field.name, SettingType.SWITCH, default, ("true", "false"))
        case inspect.LiteralType():
            return Setting(field.name, SettingType.CHOICE, default, _choices_in_order(field.name))
        case inspect.EnumType(cls=cls):
            return Setting(
                field.name, SettingType.CHOICE, default, tuple(str(member.value) for member in cls)
            )
        case inspect.IntType(ge=minimum, le=maximum):
            return Setting(field.name, SettingType.WHOLE, default, minimum=minimum, maximum=maximum)
        case inspect.FloatType(ge=minimum, le=maximum):
            return Setting(field.name, SettingType.NUMBER, default, minimum=minimum, maximum=maximum)
        case inspect.StrType():
            return Setting(field.name, SettingType.TEXT, default)
        case inspect.VarTupleType() | inspect.ListType():
            return Setting(field.name, SettingType.TEXTS, default)
        case _:
            return Setting(field.name, SettingType.TABLE, default)


def _choices_in_order(name: str) -> tuple[str, ...]:
    """Return the choices in the order of the source, as msgspec sorts them."""
    hint = get_type_hints(Settings)[name]
    literals = [hint] if get_origin(hint) is Literal else get_args(hint)  # beside None
    return tuple(str(choice) for literal in literals for choice in get_args(literal))
