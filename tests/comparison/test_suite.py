"""Suites: what is read, what is refused with a sentence, and that the shipped ones can be passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.comparison.code_check import can_check_code, check_by_code
from qwen3_chat.comparison.suite import SHIPPED_SUITES, load_suite
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError

CASE = '[[case]]\nid = "a"\nprompt = "Hi"\n'


def write(folder: Path, text: str) -> str:
    path = folder / "suite.toml"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[[case]", ErrorCode.SUITE_INVALID),
        ("", ErrorCode.SUITE_INVALID),
        ("case = []", ErrorCode.SUITE_INVALID),
        (f"{CASE}check.exact = 3", ErrorCode.SUITE_INVALID),
        (f'{CASE}check.exact = "a"\nextra = 1', ErrorCode.SUITE_INVALID),
        (f'{CASE}check.equals = "a"', ErrorCode.SUITE_INVALID),
        (f"{CASE}check = {{}}", ErrorCode.SUITE_WITHOUT_CHECK),
        (f"{CASE}check.tolerance = 1", ErrorCode.SUITE_WITHOUT_CHECK),
        (f'{CASE}check.exact = "a"\n{CASE}check.exact = "b"', ErrorCode.SUITE_ID_TWICE),
        (f'{CASE}check.regex = "("', ErrorCode.SUITE_CHECK_INVALID),
        (f'{CASE}check.python = "def"', ErrorCode.SUITE_CHECK_INVALID),
        (f'{CASE}check.json_schema = "missing.json"', ErrorCode.SUITE_CHECK_INVALID),
        (f'{CASE}check.json_schema = "../schema.json"', ErrorCode.SUITE_FILE_OUTSIDE),
        (f'{CASE}check.json_schema.type = "none"', ErrorCode.SUITE_CHECK_INVALID),
        (f'{CASE}check.exact = "a"\nfiles = ["/etc/passwd"]', ErrorCode.SUITE_FILE_OUTSIDE),
        (f'{CASE}check.exact = "a"\nfiles = ["missing.md"]', ErrorCode.FILE_UNREADABLE),
    ],
    ids=range(16),
)
def test_a_suite_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, code: ErrorCode) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(write(tmp_path, text))
    assert caught.value.code is code
    assert str(caught.value).count("\n") == 0


def test_a_file_that_is_missing_or_a_link_outside_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(str(tmp_path / "missing.toml"))
    assert caught.value.code is ErrorCode.SUITE_UNREADABLE
    (tmp_path / "suite").mkdir()
    (tmp_path / "secret.md").write_text("x", "utf-8")
    (tmp_path / "suite" / "link.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(UsageError) as caught:
        load_suite(write(tmp_path / "suite", f'{CASE}check.exact = "a"\nfiles = ["link.md"]'))
    assert caught.value.code is ErrorCode.SUITE_FILE_OUTSIDE


def test_files_are_below_the_question_and_the_digest_is_of_all_that_counts(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("A note.", "utf-8")
    text = f'{CASE}files = ["note.md"]\ncheck.exact = "a"'
    (case,) = load_suite(write(tmp_path, text)).cases
    assert case.text.startswith("Hi\n\nnote.md:")
    digests = {case.digest}
    others = (
        text.replace("Hi", "Ho"),
        text.replace('"a"\n', '"a"\nsystem = "Be brief."\n'),
        f"{text}\ncheck.number = 1",
    )
    for changed in others:
        digests.add(load_suite(write(tmp_path, changed)).cases[0].digest)
    (tmp_path / "note.md").write_text("Another note.", "utf-8")
    digests.add(load_suite(write(tmp_path, text)).cases[0].digest)
    assert len(digests) == 5
    (tmp_path / "note.md").write_text("A note.", "utf-8")
    assert load_suite(write(tmp_path, text)).cases[0].digest == case.digest


def test_the_shipped_suites_have_the_same_kinds_of_cases() -> None:
    english, chinese = (load_suite(name) for name in SHIPPED_SUITES)
    kinds = [[tuple(case.checks.names()) for case in suite.cases] for suite in (english, chinese)]
    assert kinds[0] == kinds[1]
    assert len(english.cases) == 16
    assert {case.language for case in chinese.cases} == {"zh"}


SQL = """```sql
select name, sum(amount) as total from customers join orders on customer_id = customers.id
group by customer_id having total > 100 order by total desc
```"""
RUNS = """```python
from itertools import groupby
def encode(text):
    return "".join(f"{c}{len(list(run))}" for c, run in groupby(text))
```"""
BRACKETS = """```python
def balanced(text):
    pairs, open_ = {")": "(", "]": "[", "}": "{"}, []
    for c in text:
        if c in "([{":
            open_.append(c)
        elif c in pairs and (not open_ or open_.pop() != pairs[c]):
            return False
    return not open_
```"""
ITEMS = '[{"name": "a", "count": 3, "price": 2.5}, {"name": "b", "count": 2, "price": 1.2}]'
ORDER = f'{{"items": {ITEMS}, "total": 8.91}}'
CIRCLE = '<circle cx="50" cy="50" r="9" fill="red"/>'
SHARED = {
    "letters-strawberry": "There are 3.",
    "larger-9.11-or-9.8": "9.8",
    "larger-2.999-or-2.12345": "2.999",
    "number-sequence": "42",
    "matrix": "9",
    "json-order": ORDER,
    "svg-circle": f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100">{CIRCLE}</svg>',
    "sql-sums": SQL,
    "document": "10:30–16:15",
    "code-rle": RUNS,
    "code-brackets": BRACKETS,
}
RIGHT = {
    "en": SHARED
    | {
        "letters-mississippi": "4",
        "letter-sequence": "N",
        "river-crossing": "goat\nnothing\nwolf\ngoat\ncabbage\nnothing\ngoat",
        "made-up-book": "No, there is none.",
        "instructions": "- Lion\n- Elephant\n- Giraffe",
    },
    "zh": SHARED
    | {
        "characters-grape": "4",
        "stem-sequence": "辛",
        "river-crossing": "羊\n无\n狼\n羊\n白菜\n无\n羊",
        "made-up-book": "否，没有。",
        "instructions": "- 狮子\n- 大象\n- 长颈鹿",
    },
}
WRONG = {
    "river-crossing": {"en": "wolf\nnothing\ngoat", "zh": "狼\n无\n羊"},
    "instructions": {"en": "- Zebra\n- Lion\n- Gnu", "zh": "狮子\n大象\n斑马"},
}


@pytest.mark.full
@pytest.mark.skipif(not can_check_code(), reason="needs a jail: Linux with Landlock, or macOS")
@pytest.mark.parametrize("name", RIGHT)
async def test_the_shipped_suites_can_be_passed_and_failed(name: str) -> None:
    for case in load_suite(name).cases:
        wrong = WRONG.get(case.id, {}).get(name, "Hm?")
        for answer, passes in ((RIGHT[name][case.id], True), (wrong, False)):
            outcomes = list(case.checks.outcomes(answer))
            if case.checks.python is not None:
                outcomes.append(await check_by_code(case.checks.python, answer))
            assert all(outcome.passed for outcome in outcomes) is passes, (case.id, outcomes)
