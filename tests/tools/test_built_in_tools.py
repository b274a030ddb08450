"""The clock and the calculator."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest

from qwen3_chat.tools import clock
from qwen3_chat.tools.calculator import MAX_EXPRESSION_CHARS, calculate, calculator_tool
from qwen3_chat.tools.clock import clock_tool, zone_of
from qwen3_chat.tools.tool import ToolError
from tests.conftest import REPOSITORY

NOON = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("place", "facts"),
    [
        ("Paris", ("13:00", "2026-11-29", "Sunday", "Europe/Paris", "+01:00")),
        ("paris, France", ("13:00", "2026-11-29", "Sunday", "Europe/Paris", "+01:00")),
        ("北京", ("20:00", "2026-11-29", "Sunday", "Asia/Shanghai", "+08:00")),
        ("杭州市", ("20:00", "2026-11-29", "Sunday", "Asia/Shanghai", "+08:00")),
        ("New York", ("07:00", "2026-11-29", "Sunday", "America/New_York", "-05:00")),
        ("San Francisco", ("04:00", "2026-11-29", "Sunday", "America/Los_Angeles", "-08:00")),
        ("asia/tokyo", ("21:00", "2026-11-29", "Sunday", "Asia/Tokyo", "+09:00")),
        ("UTC", ("12:00", "2026-11-29", "Sunday", "UTC", "+00:00")),
        ("Asia/Shanghai", ("20:00", "2026-11-29", "Sunday", "Asia/Shanghai", "+08:00")),
        ("Asia/Kathmandu", ("17:45", "2026-11-29", "Sunday", "Asia/Kathmandu", "+05:45")),
        ("Pacific/Auckland", ("01:00", "2026-11-30", "Monday", "Pacific/Auckland", "+13:00")),
    ],
)
async def test_the_clock_knows_places_and_time_zones(place: str, facts: tuple[str, ...]) -> None:
    assert tuple(json.loads(await clock_tool(lambda: NOON).run({"location": place})).values()) == facts


@pytest.mark.parametrize(
    ("places", "zone"),
    [
        (("Doha", "多哈", "Qatar", "卡塔尔"), "Asia/Qatar"),
        (("Quito", "基多", "ecuador"), "America/Guayaquil"),
        (("Panama City", "巴拿马城", "巴拿马"), "America/Panama"),
        (("Addis Ababa", "亚的斯亚贝巴", "埃塞俄比亚"), "Africa/Addis_Ababa"),
        (("São Paulo", "Sao Paulo", "sao paulo", "圣保罗市"), "America/Sao_Paulo"),
        (("Düsseldorf", "dusseldorf", "杜塞尔多夫"), "Europe/Berlin"),
        (("Zürich", "Switzerland", "伯尔尼", "Geneva"), "Europe/Zurich"),
        (("Cote d'Ivoire", "Côte d’Ivoire", "科特迪瓦"), "Africa/Abidjan"),
        (("贝鲁特", "Lebanon"), "Asia/Beirut"),
        (("海参崴",), "Asia/Vladivostok"),
        (("乌兰巴托", "Ulaanbaatar"), "Asia/Ulaanbaatar"),
        (("郑州", "Lhasa", "Foshan, China"), "Asia/Shanghai"),
    ],
)
def test_capitals_and_countries_are_known_in_both_languages(places: tuple[str, ...], zone: str) -> None:
    assert {zone_of(place) for place in places} == {zone}


def test_a_zone_that_this_machine_lacks_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "available_timezones", lambda: {"Europe/Paris"})
    clock._zones_by_name.cache_clear()
    try:
        assert zone_of("Lyon") == "Europe/Paris"
        with pytest.raises(ToolError):
            zone_of("Osaka")
    finally:
        clock._zones_by_name.cache_clear()


def test_every_zone_of_the_table_of_cities_exists() -> None:
    table = tomllib.loads((REPOSITORY / "qwen3_chat" / "tools" / "cities.toml").read_text("utf-8"))
    assert table.keys() <= available_timezones()
    places = [place.casefold() for names in table.values() for place in names]
    assert sorted(places) == sorted(set(places))


async def test_the_clock_has_the_time_zone_of_the_machine() -> None:
    facts = json.loads(await clock_tool(lambda: NOON).run({}))
    assert (facts["time"], facts["date"]) == (f"{NOON.astimezone():%H:%M}", f"{NOON.astimezone():%Y-%m-%d}")


@pytest.mark.parametrize(
    "place", ["Mars", "../../etc/passwd", "/etc/localtime", "Europe", "a\x00b", ".", ","]
)
async def test_an_unknown_place_is_told(place: str) -> None:
    with pytest.raises(ToolError, match="No time zone"):
        await clock_tool(lambda: NOON).run({"location": place})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1", "2"),
        ("0.1 + 0.2", "0.3"),
        ("1/3 * 3", "1"),
        ("1/3", "1/3 ≈ 0.3333333333333333333333333333333333"),
        ("2^10", "1024"),
        ("100 * 1.05 ** 10", "162.889462677744140625"),
        ("12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"),
        ("sqrt(16/9)", "4/3 ≈ 1.333333333333333333333333333333333"),
        ("sqrt(2)", "≈ 1.414213562373095048801688724209698"),
        ("round(2.5) + round(-2.5)", "0"),
        ("round(10/3, 2)", "3.33"),
        ("17 % 5", "2"),
        ("-7 // 2", "-4"),
        ("1 < 2 < 3", "true"),
        ("（1+2）×3÷4", "2.25"),
        ("factorial(20)", "2432902008176640000"),
        ("log(1000, 10)", "≈ 3"),
        ("sin(pi/2)", "≈ 1"),
        ("2**16000", "≈ 3.01946933723922757953e+4816"),
        ("0**0", "1"),
    ],
)
def test_the_calculator_is_exact_as_long_as_it_can_be(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("9**9**9", "too large"),
        ("1e999999", "too large"),
        ("exp(1000000)", "too large"),
        ("factorial(1000) * factorial(1000) ** 9", "too large"),
        ("factorial(1000000)", "from 0 to 1000"),
        ("1/0", "division by zero"),
        ("(-8) ** (1/3)", "no real result"),
        ("__import__('os').system('id')", "computed"),
        ("(1).__class__", "Attribute"),
        ("[0] * 10", "List"),
        ("'a' * 10", "only numbers"),
        ("True + 1", "only numbers"),
        ("lambda: 1", "Lambda"),
        ("x", "not defined"),
        ("5 km", "no arithmetic expression"),
        ("", "no arithmetic expression"),
        ("(" * 400 + "1" + ")" * 400, "computed"),
        ("-" * 900 + "1", "nested too deeply"),
        ("1+" * MAX_EXPRESSION_CHARS + "1", "longer than"),
    ],
)
def test_what_cannot_be_computed_is_told(expression: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        calculate(expression)


async def test_the_calculator_is_a_tool() -> None:
    tool = calculator_tool()
    assert tool.checker.explain({"expression": "1"}) == ""
    assert await tool.run({"expression": "6 * 7"}) == "42"
