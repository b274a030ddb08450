"""The tool `now`: date and time in a place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Final
from unicodedata import combining, normalize
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolError

# Models know cities better than names of zones, and the demo model knows this description by heart.
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "location": {
            "type": "string",
            "maxLength": 64,
            "description": "The place: a city, or a time zone such as UTC or Asia/Shanghai; "
            "leave it out for the user's own time",
        }
    },
    "additionalProperties": False,
}


def clock_tool(read_clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Tool:
    """Return the tool; `read_clock` returns the present moment with its time zone."""

    async def run(arguments: Arguments) -> str:
        location = str(arguments.get("location", "")).strip()
        name = zone_of(location) if location else ""
        moment = read_clock().astimezone(_zone(name, location) if name else None)
        offset = f"{moment:%z}"
        facts = {
            "time": f"{moment:%H:%M}",
            "date": f"{moment:%Y-%m-%d}",
            "weekday": f"{moment:%A}",
            "zone": name or moment.tzname() or "local time",
            "utc_offset": f"{offset[:3]}:{offset[3:5]}",
        }
        return json.dumps(facts)

    return Tool("now", "Get the current time in a place.", _SCHEMA, run, Reach.NOTHING)


def zone_of(location: str) -> str:
    """Return the name of the time zone of a place: a zone, a city, or a country with one zone.

    Raises:
        ToolError: no time zone has such a name.
    """
    for name in (location, location.partition(",")[0], location.removesuffix("市")):
        if zone := _zones_by_name().get(_folded(name)):
            return zone
    raise ToolError(no_zone_of(location))


def no_zone_of(location: str) -> str:
    """Tell the model that no time zone has such a name."""
    return (
        f"No time zone of {location!r:.80} is known. Name a large city nearby, or a zone like Europe/Paris."
    )


def _zone(name: str, location: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolError(f"The time zone {name} of {location!r:.80} is missing on this machine.") from error


def _folded(name: str) -> str:
    """Return a name as it is compared: in lower case, without accents."""
    bare = "".join(it for it in normalize("NFKD", name.strip().casefold()) if not combining(it))
    return bare.replace("_", " ").replace("’", "'")


@cache
def _zones_by_name() -> Mapping[str, str]:
    """Return the zones by their names, by the cities in these, and by the places of `cities.toml`."""
    zones = dict[str, str]()
    for zone in sorted(available_timezones()):
        zones.setdefault(_folded(zone.rpartition("/")[2]), zone)
    zones |= {_folded(zone): zone for zone in available_timezones()}
    places = tomllib.loads(Path(__file__).with_name("cities.toml").read_text("utf-8"))
    existing = available_timezones()  # this machine's table may be older than the app's
    known = {zone: names for zone, names in places.items() if zone in existing}
    return zones | {_folded(name): zone for zone, names in known.items() for name in names}
