"""The tool `now`: date and time in a time zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolError

_SCHEMA = {
    "type": "object",
    "properties": {
        "timezone": {
            "type": "string",
            "maxLength": 64,
            "description": "IANA name, e.g. Asia/Shanghai or UTC; the user's own time zone if left out",
        }
    },
    "additionalProperties": False,
}


def clock_tool(read_clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Tool:
    """Return the tool; `read_clock` returns the present moment with its time zone."""

    async def run(arguments: Arguments) -> str:
        name = arguments.get("timezone")
        zone = _find_zone(str(name)) if name else None
        moment = read_clock().astimezone(zone)
        label = str(name) if name else (moment.tzname() or "local time")
        offset = f"{moment:%z}"
        return f"{moment:%Y-%m-%d %H:%M:%S}, {moment:%A}, {label} (UTC{offset[:3]}:{offset[3:5]})"

    return Tool(
        "now",
        "Tell the current date, weekday and time, in any time zone.",
        _SCHEMA,
        run,
        Reach.NOTHING,
    )


def _find_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder's name gives an OSError
        raise ToolError(
            f"There is no time zone {name!r}. Use an IANA name such as Europe/Paris, or UTC."
        ) from error
