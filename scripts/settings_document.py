"""The tables of docs/settings.md in both languages, made from the settings and keys of the app."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
DOCUMENTS = {
    "en": REPOSITORY / "docs" / "settings.md",
    "zh": REPOSITORY / "docs" / "zh" / "settings.md",
}
SETTINGS_HEAD = {
    "en": "| setting | takes | default | what it is for |",
    "zh": "| 设置项 | 取值 | 默认值 | 作用 |",
}
KEYS_HEAD = {"en": "| action | keys | what it does |", "zh": "| 操作 | 按键 | 作用 |"}
BEGIN, END = "<!-- begin {name} -->\n", "<!-- end {name} -->\n"


def settings_table() -> str:
    """Return a table of all settings: allowed values, default, purpose."""
    from qwen3_chat.config.setting_types import known_settings
    from qwen3_chat.texts import current_language

    rows = [SETTINGS_HEAD[current_language()], "|---|---|---|---|"]
    for setting in known_settings().values():
        default = setting.format_for_input(setting.default)
        shown = f"`{default}`" if default else "–"
        rows.append(f"| `{setting.name}` | {setting.allowed} | {shown} | {setting.about} |")
    return "\n".join(rows)


def keys_table() -> str:
    """Return a table of all actions whose keys can be changed, with their default keys."""
    from qwen3_chat.texts import current_language, set_key_names, t
    from qwen3_chat.ui.key_bindings import key_name
    from qwen3_chat.ui.keymap import DEFAULT_KEYMAP, REBINDABLE

    set_key_names({name: DEFAULT_KEYMAP.first_key(name) for name in DEFAULT_KEYMAP.keys})
    rows = [KEYS_HEAD[current_language()], "|---|---|---|"]
    for binding in REBINDABLE:
        keys = ", ".join(key_name(key) for key in binding.key.split(","))
        rows.append(f"| `{binding.id}` | {keys} | {t(binding.tooltip)} |")
    return "\n".join(rows)


def replace_tables(document: str) -> str:
    """Return the document with the tables between their marks replaced, in the language of the app."""
    for name, table in (("settings", settings_table()), ("keys", keys_table())):
        document = replace_part(document, name, table)
    return document


def replace_part(document: str, name: str, part: str) -> str:
    """Return the document with the part between the marks of that name replaced."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, _, after = document.partition(begin)
    return f"{before}{begin}\n{part}\n\n{end}{after.partition(end)[2]}"


def main() -> None:
    """Update the documents."""
    from qwen3_chat.texts import Language, set_language

    for language, document in DOCUMENTS.items():
        set_language(Language(language))
        document.write_text(replace_tables(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    main()
