"""Writes the tables of docs/settings.md from the settings and keys that the app declares."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
DOCUMENT = REPOSITORY / "docs" / "settings.md"
BEGIN, END = "<!-- begin {name} -->\n", "<!-- end {name} -->\n"


def settings_table() -> str:
    """List every setting: what it takes, its default, what it is for."""
    from qwen3_chat.config.kinds import known_settings

    rows = ["| setting | takes | default | what it is for |", "|---|---|---|---|"]
    for setting in known_settings().values():
        default = setting.written(setting.default)
        shown = f"`{default}`" if default else "–"
        rows.append(f"| `{setting.name}` | {setting.allowed} | {shown} | {setting.about} |")
    return "\n".join(rows)


def keys_table() -> str:
    """List every action that can get other keys, with those declared."""
    from qwen3_chat.texts import name_keys, t
    from qwen3_chat.ui.keymap import DECLARED, REBINDABLE
    from qwen3_chat.ui.keys import key_name

    name_keys({name: DECLARED.first(name) for name in DECLARED.keys})
    rows = ["| action | keys | what it does |", "|---|---|---|"]
    for binding in REBINDABLE:
        keys = ", ".join(key_name(key) for key in binding.key.split(","))
        rows.append(f"| `{binding.id}` | {keys} | {t(binding.tooltip)} |")
    return "\n".join(rows)


def with_tables(document: str) -> str:
    """Put the tables between their marks."""
    for name, table in (("settings", settings_table()), ("keys", keys_table())):
        begin, end = BEGIN.format(name=name), END.format(name=name)
        before, _, rest = document.partition(begin)
        document = f"{before}{begin}\n{table}\n\n{end}{rest.partition(end)[2]}"
    return document


def main() -> None:
    """Bring the document up to date."""
    from qwen3_chat.texts import Language, speak

    speak(Language.EN)
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    main()
