from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.config import Settings, load_settings, paths_from, save_setting
from qwen3_chat.errors import ConfigError
from qwen3_chat.texts import Language


def test_one_variable_moves_everything_under_one_folder(tmp_path: Path) -> None:
    paths = paths_from({"QWEN3_CHAT_HOME": str(tmp_path)})
    folders = (paths.config, paths.data, paths.models, paths.logs, paths.exports)
    assert all(folder.is_relative_to(tmp_path) for folder in folders)
    assert len(set(folders)) == len(folders)


def test_no_file_means_defaults_and_no_complaint(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path / "config.toml")
    assert (loaded.settings, loaded.problems) == (Settings(), ())


def test_every_setting_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'language = "zh"\ntheme = "qwen-light"\nthinking_display = "open"\nmodel = "8B:Q4_K_M"\n'
        'system_prompt = "请简短"\npresence_penalty = 1.5\nexport_folder = "~/x"\n',
        encoding="utf-8",
    )
    assert load_settings(file).settings == Settings(
        Language.ZH, "qwen-light", "open", "8B:Q4_K_M", "请简短", 1.5, "~/x"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bogus = 1", "has an entry “bogus” that does not exist"),
        ('language = "fr"', "“language” has a value that does not fit"),
        ('thinking_display = "never"', "“thinking_display” has a value that does not fit"),
        ('presence_penalty = "much"', "“presence_penalty” has a value that does not fit"),
        ("theme = ", "can't be read"),
    ],
)
def test_a_mistake_is_told_and_the_rest_still_counts(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{text}\nsystem_prompt = "kept"\n', encoding="utf-8")
    loaded = load_settings(file)
    (problem,) = loaded.problems
    assert sentence in str(problem)
    assert str(file) in str(problem)
    assert loaded.settings.system_prompt == ("" if "can't be read" in sentence else "kept")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe\x00")
    assert "can't be read" in str(load_settings(file).problems[0])


def test_a_changed_setting_leaves_the_users_comments_alone(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "config.toml"
    save_setting(file, "theme", "qwen-light")
    assert load_settings(file).settings.theme == "qwen-light"
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
