from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from qwen3_chat.config import Settings, find_paths, read_settings, save_setting
from qwen3_chat.config.setting_types import known_settings
from qwen3_chat.config.settings_file import find_key_lines, set_in_toml
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import Language


def test_one_variable_moves_everything_under_one_folder(tmp_path: Path) -> None:
    paths = find_paths({"QWEN3_CHAT_HOME": str(tmp_path)})
    folders = (paths.config, paths.data, paths.models, paths.logs, paths.exports)
    assert all(folder.is_relative_to(tmp_path) for folder in folders)
    assert len(set(folders)) == len(folders)


def test_no_file_means_defaults_and_no_complaint(tmp_path: Path) -> None:
    loaded = read_settings(tmp_path / "config.toml")
    assert (loaded.settings, loaded.problems) == (Settings(), ())


def test_every_setting_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'language = "zh"\ntheme = "qwen-light"\nthinking_display = "open"\nmodel = "8B:Q4_K_M"\n'
        'system_prompt = "请简短"\npresence_penalty = 1.5\nexport_folder = "~/x"\n',
        encoding="utf-8",
    )
    assert read_settings(file).settings == Settings(
        language=Language.ZH,
        theme="qwen-light",
        thinking_display="open",
        model="8B:Q4_K_M",
        system_prompt="请简短",
        presence_penalty=1.5,
        export_folder="~/x",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bogus = 1", "line 3: there is no setting “bogus”; it is ignored."),
        ('them = "x"', "line 3: there is no setting “them”; is “theme” meant? It is ignored."),
        ('language = "fr"', "line 3: “language” takes one of en, zh; the default is used."),
        ('thinking_display = "never"', "line 3: “thinking_display” takes one of auto, open, closed;"),
        ('presence_penalty = "much"', "line 3: “presence_penalty” takes a number from -2 to 2;"),
        ("thinking_budget = -1", "line 3: “thinking_budget” takes a whole number from 0 to 1,000,000;"),
        ("model_folders = 3", "line 3: “model_folders” takes a list of texts;"),
        ("theme = true", "line 3: “theme” takes a text in quotes;"),
        ("[themes]\na = 1", "line 3: there is no setting “themes”; is “theme” meant? It is ignored."),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_rest_still_counts(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'# mine\nsystem_prompt = "kept"\n{text}\n', encoding="utf-8")
    loaded = read_settings(file)
    (problem,) = loaded.problems
    assert f"{file}, {sentence}" in str(problem)
    assert loaded.settings == Settings(system_prompt="kept")


@pytest.mark.parametrize(
    ("text", "line"), [("theme = ", 1), ('theme = "a"\n\nmodel = "4B\n', 3), ("[a]\nx = 1\nx = 2\n", 3)]
)
def test_a_file_that_is_no_toml_is_told_with_the_line_where_it_stops(
    tmp_path: Path, text: str, line: int
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    loaded = read_settings(file)
    assert loaded.settings == Settings()
    assert f"{file}, line {line}: not valid TOML from here on" in str(loaded.problems[0])


def test_the_line_of_every_key_is_known_whatever_stands_around_it() -> None:
    text = '# c\na = 1\n\nb = """\n[no]\nx = 1\n"""\n'
    text += '[t]\nx = [\n  1,\n]\ny.z = 2\n[t.u]  # c\n"q r" = { v = 1 }\n'
    assert find_key_lines(text) == {
        ("a",): 2,
        ("b",): 4,
        ("t",): 8,
        ("t", "x"): 9,
        ("t", "y"): 12,
        ("t", "y", "z"): 12,
        ("t", "u"): 13,
        ("t", "u", "q r"): 14,
        ("t", "u", "q r", "v"): 14,
    }


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe\x00")
    assert "can't be read" in str(read_settings(file).problems[0])


def test_a_changed_setting_leaves_the_users_comments_alone(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "config.toml"
    save_setting(file, "theme", "qwen-light")
    assert read_settings(file).settings.theme == "qwen-light"
    file.write_text('# mine\ntheme = "a"  # best\nmodel = "4B"\n', encoding="utf-8")
    save_setting(file, "theme", "b")
    assert file.read_text(encoding="utf-8") == '# mine\ntheme = "b"  # best\nmodel = "4B"\n'
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_a_file_with_mistakes_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("theme = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="can't be written"):
        save_setting(file, "theme", "b")
    assert file.read_text(encoding="utf-8") == "theme = "


def test_a_setting_that_is_reset_leaves_the_file_and_the_rest_of_it_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\nmodel = "4B"\ntheme = "b"\n', encoding="utf-8")
    save_setting(file, "model", None)
    assert file.read_text(encoding="utf-8") == '# mine\ntheme = "b"\n'


def test_a_new_setting_stands_before_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('theme = "b"\n\n# keys of mine\n[keys]\nfold = "f7"\n', encoding="utf-8")
    save_setting(file, "model_folders", ("a", "b"))
    assert tomllib.loads(file.read_text(encoding="utf-8")) == {
        "theme": "b",
        "model_folders": ["a", "b"],
        "keys": {"fold": "f7"},
    }
    assert "\n\n# keys of mine\n[keys]" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["", "a = 1", "a = 1\n", "# only\n", "[t]\n", "# c\n[t]\nx = 1", "[[t]]\n[[t]]\n"]
)
def test_a_new_setting_goes_into_any_file_and_nothing_else_changes(text: str) -> None:
    before = tomllib.loads(text)
    after = set_in_toml(text, "theme", "b")
    assert tomllib.loads(after) == {**before, "theme": "b"}
    assert set_in_toml(after, "theme", "c") == after.replace('"b"', '"c"')


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("thinking_budget", "512", 512),
        ("thinking_budget", " ", None),
        ("presence_penalty", "1", 1.0),
        ("language", "zh", Language.ZH),
        ("model_folders", "a\n\n b c ", ("a", "b c")),
        ("system_prompt", "two\nlines", "two\nlines"),
    ],
)
def test_what_is_typed_becomes_a_value_and_back(name: str, typed: str, value: object) -> None:
    setting = known_settings()[name]
    assert setting.parse(typed) == value
    assert setting.parse(setting.format_for_input(value)) == value


@pytest.mark.parametrize(("name", "typed"), [("thinking_budget", "1.5"), ("language", "fr")])
def test_what_does_not_fit_is_refused_with_what_does(name: str, typed: str) -> None:
    setting = known_settings()[name]
    with pytest.raises(ConfigError, match=re.escape(setting.allowed)):
        setting.parse(typed)


@pytest.mark.parametrize("name", known_settings())
def test_every_setting_is_explained(name: str) -> None:
    setting = known_settings()[name]
    assert all((setting.label, setting.about, setting.allowed))
