from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from qwen3_chat.cli.language import choose_language
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.texts import Language, language_from_locale, load_catalogue, set_language, t


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    set_language(Language.EN)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LC_ALL": "zh_CN.UTF-8"}, Language.ZH),
        ({"LANG": "zh_TW.UTF-8"}, Language.ZH),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, Language.EN),
        ({"LC_MESSAGES": "zh_CN", "LANG": "de_DE"}, Language.ZH),
        ({"LANG": "C.UTF-8"}, Language.EN),
        ({"LANG": "fr_FR.UTF-8"}, Language.EN),
    ],
)
def test_the_language_follows_the_locale(environ: dict[str, str], expected: Language) -> None:
    assert language_from_locale(environ) is expected


@pytest.mark.parametrize("arguments", [["--lang", "zh"], ["ask", "--lang=zh", "Hi"]])
def test_the_option_wins_wherever_it_stands(arguments: list[str]) -> None:
    assert choose_language(arguments) is Language.ZH


@pytest.mark.parametrize("arguments", [["--lang"], ["--lang", "klingon"]])
def test_a_language_nobody_taught_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="There is no language"):
        choose_language(arguments)


def test_an_error_speaks_the_language_in_use() -> None:
    error = ModelError(ErrorCode.MODEL_NOT_INSTALLED, name="8B", folder="/m")
    assert "not installed" in str(error)
    set_language(Language.ZH)
    assert "尚未安装" in str(error)
    assert t("wording.role.user") == "你"


@pytest.mark.parametrize("language", Language)
def test_a_thing_has_one_name_in_each_language(language: Language) -> None:
    set_language(language)
    for name in ("system", "presence_penalty", "thinking_budget"):
        setting = {"system": "system_prompt"}.get(name, name)
        assert t(f"ui.options.{name}") == t(f"setting.{setting}")


@pytest.mark.parametrize("language", Language)
def test_no_space_stands_before_a_percent_sign(language: Language) -> None:
    texts = load_catalogue(language)
    assert {key: text for key, text in texts.items() if re.search(r"[\d}]\s+%", text)} == {}


def test_a_thing_has_one_name_in_chinese() -> None:
    others = re.compile(
        "这个对话|该对话|标头|始终允许|回车|读屏|显卡"
    )  # 本对话 请求头 总是允许 Enter 屏幕阅读器 GPU
    assert {key: text for key, text in load_catalogue(Language.ZH).items() if others.search(text)} == {}


@pytest.mark.parametrize("language", Language)
def test_apostrophes_and_ellipses_are_of_one_kind(language: Language) -> None:
    texts = load_catalogue(language).values()
    ending = "……" if language is Language.ZH else "…"
    assert [text for text in texts if "’" in text] == []
    assert [text for text in texts if text.endswith((" …", "...")) and "qwen3-chat" not in text] == []
    assert [text for text in texts if text.endswith("…") and not text.endswith((ending, "=…", " …"))] == []
