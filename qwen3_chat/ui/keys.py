"""Key bindings as declared once: footer, help and palette are made from them."""

from __future__ import annotations

from textual.binding import Binding

LABEL = "ui.key."
TIP = "ui.tip."


def key(name: str, keys: str, action: str, *, show: bool = True, priority: bool = False) -> Binding:
    """Bind keys to an action; label and explanation are texts of the catalogue, looked up when shown."""
    return Binding(
        keys, action, description=LABEL + name, tooltip=TIP + name, id=name, show=show, priority=priority
    )


NAMES = {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"}


def key_name(name: str) -> str:
    """Write a key as it is printed on keyboards: `Ctrl+T`, `Esc`, `F1`."""
    return "+".join(NAMES.get(part, part.capitalize()) for part in name.split("+"))


def short_key_name(name: str) -> str:
    """Write a key in the least room: `^T`, `Esc`, `F1`."""
    return key_name(name).replace("Ctrl+", "^")


CHAT_KEYS = [
    key("toggle_mode", "ctrl+t", "toggle_mode", priority=True),
    key("stop", "escape", "stop"),
    key("answer_now", "ctrl+g", "answer_now", priority=True),
    key("continue_reply", "f6", "continue_reply", priority=True),
    key("fold", "ctrl+o", "fold", priority=True),
    key("fold_all", "f8,alt+o", "fold_all", show=False, priority=True),
    key("new_chat", "ctrl+n", "new_chat", priority=True),
    key("chats", "ctrl+r", "chats", priority=True),
    key("export", "ctrl+s", "export", priority=True),
    key("copy_answer", "f4", "copy_answer", show=False, priority=True),
    key("retry", "f5", "retry", show=False, priority=True),
    key("earlier_variant", "f2,alt+left", "variant(-1)"),
    key("later_variant", "f3,alt+right", "variant(1)"),
    key("page_up", "pageup", "page_up", show=False, priority=True),
    key("page_down", "pagedown", "page_down", show=False, priority=True),
    key("to_end", "ctrl+end", "to_end", show=False, priority=True),
    key("to_start", "ctrl+home", "to_start", show=False, priority=True),
]

APP_KEYS = [
    key("help", "f1", "help", priority=True),
    key("palette", "ctrl+p", "command_palette", show=False, priority=True),
    key("next_theme", "f9", "next_theme", show=False, priority=True),
    key("quit", "ctrl+q", "quit", priority=True),
]
