"""Key bindings as declared once: footer, help and palette are made from them."""

from __future__ import annotations

from string import punctuation

from textual.binding import Binding
from textual.keys import _character_to_key

LABEL = "ui.key."
TIP = "ui.tip."


def key(name: str, keys: str, action: str, *, show: bool = True, priority: bool = False) -> Binding:
    """Bind keys to an action; label and explanation are texts of the catalogue, looked up when shown."""
    return Binding(
        keys, action, description=LABEL + name, tooltip=TIP + name, id=name, show=show, priority=priority
    )


NAMES = {
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "delete": "Del",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    **{_character_to_key(character): character for character in punctuation},
}


def key_name(name: str) -> str:
    """Write a key as it is printed on keyboards: `Ctrl+T`, `Esc`, `F1`."""
    return "+".join(NAMES.get(part, part.capitalize()) for part in name.split("+"))


def short_key_name(name: str) -> str:
    """Write a key in the least room: `^T`, `Esc`, `F1`."""
    return key_name(name).replace("Ctrl+", "^")


MESSAGE_KEYS = [
    key("edit_message", "e,enter", "message('edit')", priority=True),
    key("answer_message", "r", "message('answer')", priority=True),
    key("other_mode", "m", "message('other_mode')", priority=True),
    key("copy_message", "c", "message('copy')", priority=True),
    key("code_blocks", "b", "message('code')", priority=True),
    key("quote", "q", "message('quote')", priority=True),
    key("delete_message", "d,delete", "message('delete')", priority=True),
    key("earlier_version", "left,left_square_bracket", "message('earlier')", priority=True),
    key("later_version", "right,right_square_bracket", "message('later')", priority=True),
    key("next_hit", "n", "hit(1)", priority=True),
    key("previous_hit", "p", "hit(-1)", priority=True),
    key("leave", "escape", "leave"),
    key("undo_deletion", "ctrl+z", "undo_deletion", priority=True),
]
"""What can be done to the marked message; the letters are letters again where none is."""

CHAT_KEYS = [
    key("toggle_mode", "ctrl+t", "toggle_mode", priority=True),
    key("stop", "escape", "stop"),
    key("answer_now", "ctrl+g", "answer_now", priority=True),
    key("continue_reply", "f6", "continue_reply", priority=True),
    key("fold", "ctrl+o", "fold", priority=True),
    key("fold_all", "f8,alt+o", "fold_all", show=False, priority=True),
    key("new_chat", "ctrl+n", "new_chat", priority=True),
    key("chats", "ctrl+r", "chats", priority=True),
    key("sidebar", "ctrl+b,f10", "sidebar", show=False, priority=True),
    key("chat_options", "ctrl+l", "chat_options", show=False, priority=True),
    key("models", "f7", "models", priority=True),
    key("export", "ctrl+s", "export", priority=True),
    key("editor", "alt+e", "editor", show=False, priority=True),
    key("copy_answer", "f4", "copy_answer", show=False, priority=True),
    key("retry", "f5", "retry", show=False, priority=True),
    key("earlier_variant", "f2,alt+left", "variant(-1)"),
    key("later_variant", "f3,alt+right", "variant(1)"),
    key("mark_earlier", "ctrl+up,alt+up", "mark(-1)", show=False, priority=True),
    key("mark_later", "ctrl+down,alt+down", "mark(1)", show=False, priority=True),
    key("page_up", "pageup", "page_up", show=False, priority=True),
    key("page_down", "pagedown", "page_down", show=False, priority=True),
    key("to_end", "ctrl+end", "to_end", show=False, priority=True),
    key("to_start", "ctrl+home", "to_start", show=False, priority=True),
]

APP_KEYS = [
    key("help", "f1", "help", priority=True),
    key("palette", "ctrl+p", "command_palette", show=False, priority=True),
    key("settings", "f12", "settings", show=False, priority=True),
    key("next_theme", "f9", "next_theme", show=False, priority=True),
    key("quit", "ctrl+q", "quit", priority=True),
]
