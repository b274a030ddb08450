"""The pages that people see first: both READMEs with their pictures, and the guides in both languages."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from animated_svg import Frame, animate
from moving_pictures import THEMES, picture_file
from qwen3_chat.texts import Language, set_language, t
from readme_install import READMES
from tests.conftest import REPOSITORY
from tests.pictures.test_pictures import english_afterwards  # noqa: F401

MAX_BYTES = 1_000_000
CHINESE_GUIDES = sorted((REPOSITORY / "docs" / "zh").glob("*.md"))
OTHER_NAMES = {
    "serving.md": "serving/README.md",
    "scaling.md": "serving/scaling.md",
    "real-servers.md": "serving/real-servers.md",
}
PICTURES = [(language, shade) for language in Language for shade in THEMES]


def texts_of(picture: str) -> str:
    return "".join(ElementTree.fromstring(picture).itertext())


@pytest.mark.parametrize(("language", "shade"), PICTURES)
def test_a_readme_shows_its_moving_picture_in_the_dark_and_in_the_light(
    language: Language, shade: str
) -> None:
    file = picture_file(language, shade)
    assert file.stat().st_size <= MAX_BYTES
    name = file.relative_to(REPOSITORY).as_posix()
    picture = re.search(r"<picture>.*?</picture>", READMES[language.value].read_text("utf-8"), re.DOTALL)
    assert picture is not None
    place = (
        f'media="(prefers-color-scheme: dark)" srcset="{name}"' if shade == "dark" else f'<img src="{name}"'
    )
    assert place in picture[0]
    assert re.search(r'alt="[^"]{30,}"', picture[0])


@pytest.mark.parametrize(("language", "shade"), PICTURES)
@pytest.mark.usefixtures("english_afterwards")
def test_a_moving_picture_shows_the_app_as_it_is(language: Language, shade: str) -> None:
    picture = picture_file(language, shade).read_text("utf-8")
    set_language(language)
    words = [t("ui.key.new_chat"), t("ui.key.answer_now"), t("ui.welcome.title")]
    assert [word for word in words if word not in texts_of(picture)] == []


@pytest.mark.parametrize(("language", "shade"), PICTURES)
def test_a_moving_picture_needs_nothing_from_elsewhere(language: Language, shade: str) -> None:
    picture = picture_file(language, shade).read_text("utf-8")
    assert re.findall(r"https?://[^\"' ]+", picture) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|@import|url\(|\son\w+=", picture)
    assert "prefers-reduced-motion" in picture


def test_what_does_not_change_is_stored_once() -> None:
    snapshots = REPOSITORY / "tests" / "pictures" / "__snapshots__" / "test_pictures"
    before, after = (
        (snapshots / f"test_it_looks_as_pictured[{name}-80x24-en-qwen-dark].svg").read_text("utf-8")
        for name in ("welcome", "conversation")
    )
    moving = animate([Frame(before, 1), Frame(after, 2, "Now"), Frame(before, 1)], "A title")
    assert moving.count("Ctrl+J") == 1  # in a row that is the same in all three
    assert "0.000%{visibility:hidden}25.000%{visibility:visible}75.000%{visibility:hidden}" in moving
    assert "Now" in texts_of(moving)


@pytest.mark.parametrize("guide", CHINESE_GUIDES, ids=lambda path: path.name)
def test_a_guide_has_the_same_parts_in_both_languages(guide: Path) -> None:
    twin = REPOSITORY / "docs" / OTHER_NAMES.get(guide.name, guide.name)
    assert parts_of(guide) == parts_of(twin)


def parts_of(path: Path) -> Counter[str]:
    """Count the headings of each level, the rows of tables and the blocks of commands and settings."""
    text = path.read_text("utf-8")
    prose = re.sub(r"^```text.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return Counter(re.findall(r"^(#+ |\||```sh|```toml)", prose, re.MULTILINE))


def test_the_cookbook_has_the_same_lines_in_both_languages() -> None:
    english, chinese = (
        re.findall(r"^```sh\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for path in (REPOSITORY / "docs" / "cookbook.md", REPOSITORY / "docs" / "zh" / "cookbook.md")
    )
    assert english == chinese


@pytest.mark.parametrize(
    "path",
    [*READMES.values(), *(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "CHANGELOG.md"],
    ids=lambda p: p.stem,
)
def test_no_space_stands_before_a_percent_sign(path: Path) -> None:
    assert re.findall(r".*\d\s%.*", path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "path", [*CHINESE_GUIDES, REPOSITORY / "README.zh-CN.md"], ids=lambda path: path.name
)
def test_a_chinese_document_uses_the_names_of_the_app(path: Path) -> None:
    assert re.findall(r".*(?:标头|始终允许|回车|读屏).*", path.read_text("utf-8")) == []
