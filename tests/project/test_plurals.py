from __future__ import annotations

import re
import string

import pytest

from qwen3_chat.texts import Language, fill_text, load_catalogue

COUNTS = {"count", "layers", "n_cores", "value"}
# Numbers that are never one: sizes of contexts, prompts and results, the app's own limits, times.
NEVER_ONE = {
    *("n_ctx", "wanted", "prompt", "reserve", "tokens", "depth", "characters", "words", "limit", "total"),
    *("least", "most", "milliseconds", "parameters", "number", "rows", "columns", "seconds"),
}
NO_COUNTS = {"host", "name", "ratio", "server", "speed"}
"""Names and speeds before a word that could be a thing, as in `{host} answers`."""
TEXTS_OF_MANY = {
    "mcp.many_tools": "the notice comes where there are more than eight",
    "ui.queue.full": "the count is the limit of the queue",
    "wording.messages": "one message has a text of its own",
    "wording.lines": "one line has a text of its own",
}
THINGS = (
    "answer|bit|byte|case|cell|character|chat|check|comparison|core|entrie|file|hour|layer|letter|line|message|"
    "minute|model|month|page|part|piece|place|question|quant|request|row|second|server|space|step|thread|time|"
    "token|tool|version|word|year"
)
ONE_OF_MANY = re.compile(rf"\b1 (?:[a-z]+ ){{0,2}}?(?:{THINGS})s\b|\b1 (?:\w+ )?(?:are|were|have)\b")
COUNTED = re.compile(rf"\{{(\w+)[:,]*\}} (?:[a-z]+ ){{0,1}}?(?:{THINGS})s\b")
WITHOUT_MEASURE = re.compile(r"1 ?(?:消息|文件|对话|回答|工具|模型|字符|服务器|附件|版本|问题|任务)")


def filled_with_one(text: str) -> str:
    """Fill a text with 1 for each count, and with a word for the rest."""
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    values = {name: 1 if name in COUNTS else 12 if name in NEVER_ONE else "X" for name in names}
    return fill_text(re.sub(r":,\}", "}", text), values)


def test_a_number_before_a_thing_is_known_as_a_count() -> None:
    # The places of one text may be numbers that nobody thought of: they must be told from names and sizes.
    found = {
        match[1]
        for text in load_catalogue(Language.EN).values()
        for match in COUNTED.finditer(text)
        if match[1] not in COUNTS | NEVER_ONE and not match[1].startswith("key_")
    }
    assert found == NO_COUNTS


def test_no_english_text_says_1_messages() -> None:
    filled = {
        key: filled_with_one(text)
        for key, text in load_catalogue(Language.EN).items()
        if key not in TEXTS_OF_MANY
    }
    assert len(filled) > 1000
    assert {key: text for key, text in filled.items() if ONE_OF_MANY.search(text)} == {}


def test_no_chinese_text_lacks_the_measure_word() -> None:
    filled = {key: filled_with_one(text) for key, text in load_catalogue(Language.ZH).items()}
    assert {key: text for key, text in filled.items() if WITHOUT_MEASURE.search(text)} == {}


def test_a_text_that_needs_no_singular_is_still_there_and_still_needs_none() -> None:
    english = load_catalogue(Language.EN)
    assert {key for key in TEXTS_OF_MANY if not ONE_OF_MANY.search(filled_with_one(english[key]))} == set()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 files"), (1, "a file"), (1234, "1,234 files"), ("1", "a file"), ("2", "2 files")],
)
def test_a_text_has_words_for_one_and_for_other_numbers(count: object, text: str) -> None:
    assert fill_text("{name}: {count:a file|# files}", {"name": "x|y", "count": count}) == f"x|y: {text}"
