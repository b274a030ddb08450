from __future__ import annotations

import os
import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest

from qwen3_chat.config import Settings, read_settings
from qwen3_chat.config.prompt_library import load_prompts
from qwen3_chat.config.settings_file import MAX_PROBLEMS, MAX_SHOWN_CHARACTERS, find_key_lines, set_in_toml
from qwen3_chat.config.toml_text import (
    MAX_TOML_BYTES,
    MAX_TOML_LEVELS,
    TomlError,
    parse_toml,
    split_statements,
)
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.texts import Language

HOSTILE = {
    "a number of 5,000 digits": ("thinking_budget = " + "1" * 5000, 2),
    "a number of 5,000 digits and underscores": ("thinking_budget = " + "1_" * 5000 + "1", 2),
    "arrays in arrays": ("model_folders = " + "[" * 5000, 2),
    "closed arrays in arrays": ("x = " + "[" * 3000 + "]" * 3000, 2),
    "inline tables in inline tables": ("keys = " + "{a = " * 5000, 2),
    "a dotted key": ("a" + ".a" * 20_000 + " = 1", 2),
    "a dotted table": ("[a" + " . a" * 20_000 + "]", 2),
    "one mistake in an array of 12,000 lines": (
        "model_folders = [\n" + '"a",\n' * 6000 + "oops\n" + '"a",\n' * 6000 + "]",
        6003,
    ),
    "a string that is never closed": ('theme = """' + '\\"""' * 20_000, 2),
    "a quote that is never closed": ("it's = 1", 2),
}


@pytest.mark.parametrize(("text", "line"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_settings_file_is_one_sentence_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"# mine\n{text}\n", encoding="utf-8")
    loaded = read_settings(file)
    (problem,) = loaded.problems
    assert (problem.code, problem.values["line"]) == (ErrorCode.SETTINGS_NOT_TOML, line)
    assert loaded.settings == Settings()


class Parses:
    """The characters that the parser of TOML has read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_characters = 0
        parse = tomllib.loads

        def counted(text: str) -> dict[str, object]:
            self.n_characters += len(text)
            return parse(text)

        monkeypatch.setattr(tomllib, "loads", counted)


MISTAKEN = {
    "an array of 12,000 lines": "model_folders = [\n" + '"a",\n' * 6000 + "7,\n" + '"a",\n' * 6000 + "]\n",
    "12,000 unknown settings": "".join(f"unknown_{n} = 1\n" for n in range(12_000)),
    "12,000 wrong keys": "[keys]\n" + "".join(f"k{n} = 1\n" for n in range(12_000)),
    "12,000 servers without an address": "".join(f"[servers.s{n}]\n" for n in range(12_000)),
}


@pytest.mark.parametrize("text", MISTAKEN.values(), ids=MISTAKEN)
def test_a_mistake_is_found_without_parsing_the_file_for_each_line(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses = Parses(monkeypatch)
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    loaded = read_settings(file)
    assert len(loaded.problems) <= MAX_PROBLEMS + 1
    loaded.make_error(ErrorCode.SETTING_UNKNOWN, ("model_folders",), near="")
    assert parses.n_characters <= 3 * len(text)


def test_more_mistakes_than_can_be_read_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("".join(f"unknown_{n} = 1\n" for n in range(MAX_PROBLEMS + 5)), encoding="utf-8")
    *_, last = problems = read_settings(file).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert "5 more entries" in str(last)


@pytest.mark.parametrize("text", ["x" * 50_000 + " = 1", 'enter_key = "' + "y" * 50_000 + '"'])
def test_a_sentence_stays_short_whatever_it_quotes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    (problem,) = read_settings(file).problems
    assert len(str(problem)) < len(str(file)) + 2 * MAX_SHOWN_CHARACTERS + 200


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-inf", "1e400", "10" * 200, "-1"])
@pytest.mark.parametrize("name", ["presence_penalty", "snapshots_gib", "thinking_budget"])
def test_a_number_that_is_none_leaves_the_default(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"{name} = {value}\n", encoding="utf-8")
    loaded = read_settings(file)
    assert loaded.settings == Settings() or (name, value) == ("presence_penalty", "-1")
    assert len(loaded.problems) == (loaded.settings == Settings())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    assert read_settings(tmp_path / "config.toml").settings == Settings()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# \n" * MAX_TOML_BYTES, encoding="utf-8")
    (problem,) = read_settings(file).problems
    assert problem.code is ErrorCode.CONFIG_FILE_TOO_LARGE
    assert load_prompts(file, Language.EN).problem is not None


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE)
def test_hostile_prompts_leave_the_shipped_ones(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prompts.toml"
    file.write_text(text, encoding="utf-8")
    library = load_prompts(file, Language.EN)
    assert library.problem is not None
    assert library.prompts == load_prompts(None, Language.EN).prompts


VALID = "\n".join(
    [
        "# a",
        "a = '''x",
        "]'''  # [",
        "",
        "b = [ # ]",
        r"""  "\"]", '"',""",
        "] # end",
        """"q.r" . 's' = {x = "#"}""",
        r'c = """a"\"""b"""""',
        "[t]",
        "d = 1979-05-27T07:32:00.5Z",
        "[[u.v]]",
        "e = ''",
        'f = ""',
    ]
)


def test_statements_end_where_the_parser_says_so() -> None:
    statements = list(split_statements(VALID))
    assert [(statement.line, sorted(statement.values)) for statement in statements] == [
        (2, ["a"]),
        (5, ["b"]),
        (8, ["q.r"]),
        (9, ["c"]),
        (10, ["t"]),
        (11, ["d"]),
        (12, ["u"]),
        (13, ["e"]),
        (14, ["f"]),
    ]
    assert parse_toml(VALID) == tomllib.loads(VALID)
    assert find_key_lines(VALID)[("q.r", "s", "x")] == 8


@pytest.mark.parametrize("depth", [MAX_TOML_LEVELS, MAX_TOML_LEVELS + 1])
def test_nesting_has_a_limit(depth: int) -> None:
    text = "a = " + "[" * depth + "]" * depth
    is_allowed = depth <= MAX_TOML_LEVELS
    with nullcontext() if is_allowed else pytest.raises(TomlError):
        assert parse_toml(text)


def test_a_change_parses_only_its_own_statement_and_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    import tomlkit

    n_characters = list[int]()
    parse = tomlkit.parse

    def counted(text: str) -> object:
        n_characters.append(len(text))
        return parse(text)

    monkeypatch.setattr(tomlkit, "parse", counted)
    text = 'theme = "a" # best\n' + "".join(f"# {n}\n" for n in range(5000))
    assert set_in_toml(text, "theme", "b") == text.replace('"a"', '"b"')
    assert set_in_toml(text, "theme", None) == text.partition("\n")[2]
    assert sum(n_characters) < 100
