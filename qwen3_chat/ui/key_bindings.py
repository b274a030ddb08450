"""The key bindings, declared once for the key bar, the help, the palette and the `/` commands."""

from __future__ import annotations

from string import punctuation

from textual.binding import Binding

from qwen3_chat.texts import t
from qwen3_chat.ui.textual_compat import key_of_character

LABEL_PREFIX = "ui.key."
TOOLTIP_PREFIX = "ui.tip."


def key_binding(name: str, keys: str, action: str, *, show: bool = True, priority: bool = False) -> Binding:
    """Return a binding of keys to an action; its label and tooltip are text keys, looked up when shown."""
    return Binding(
        keys,
        action,
        description=LABEL_PREFIX + name,
        tooltip=TOOLTIP_PREFIX + name,
        id=name,
        show=show,
        priority=priority,
    )


UNBOUND = "unbound"
"""The key of an action that has none until the user gives it one; no terminal sends it."""

KEY_NAMES = {
    UNBOUND: "–",
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "delete": "Del",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    **{key_of_character(character): character for character in punctuation},
}


def key_name(name: str) -> str:
    """Return a key as it is printed on keyboards: `Ctrl+T`, `Esc`, `F1`; Space, which is not, in words."""
    names = KEY_NAMES | {"space": t("ui.key_name.space")}
    return "+".join(names.get(part, part.capitalize()) for part in name.split("+"))


def command_name(name: str) -> str:
    """Return an action as it is typed into the input: `/tools`."""
    return f"/{name}"


def short_key_name(name: str) -> str:
    """Return a key in its shortest form: `^T`, `Esc`, `F1`."""
    return key_name(name).replace("Ctrl+", "^")


MESSAGE_KEYS = [
    key_binding("edit_message", "e,enter", "message('edit')", priority=True),
    key_binding("answer_message", "r", "message('answer')", priority=True),
    key_binding("other_mode", "m", "message('other_mode')", priority=True),
    key_binding("copy_message", "c", "message('copy')", priority=True),
    key_binding("code_blocks", "b", "message('code')", priority=True),
    key_binding("result_files", "o", "message('files')", priority=True),
    key_binding("compare_answers", "v", "compare('marked')", priority=True),
    key_binding("quote", "q", "message('quote')", priority=True),
    key_binding("delete_message", "d,delete", "message('delete')", priority=True),
    key_binding("earlier_version", "left,left_square_bracket", "message('earlier')", priority=True),
    key_binding("later_version", "right,right_square_bracket", "message('later')", priority=True),
    key_binding("next_hit", "n", "hit(1)", priority=True),
    key_binding("previous_hit", "p", "hit(-1)", priority=True),
    key_binding("leave", "escape", "leave"),
    key_binding("fork_message", "f", "message('fork')", priority=True),
    key_binding("undo_deletion", "ctrl+z", "undo_deletion", priority=True),
]
"""The keys of the marked message; while none is marked, the letters are typed as usual."""

CHAT_KEYS = [
    key_binding("toggle_mode", "ctrl+t", "toggle_mode", priority=True),
    key_binding("stop", "escape", "stop"),
    key_binding("answer_now", "ctrl+g", "answer_now", priority=True),
    key_binding("continue_reply", "f6", "continue_reply", priority=True),
    key_binding("make_call", "alt+t", "make_call", show=False, priority=True),
    key_binding("tools", UNBOUND, "tools", show=False, priority=True),
    key_binding("mcp", UNBOUND, "tools('servers')", show=False, priority=True),
    key_binding("continue_last", UNBOUND, "continue_last", show=False, priority=True),
    key_binding("start_servers", UNBOUND, "start_servers", show=False, priority=True),
    key_binding("fold", "ctrl+o", "fold", priority=True),
    key_binding("fold_all", "f8,alt+o", "fold_all", show=False, priority=True),
    key_binding("formulas", "alt+m", "formulas", show=False, priority=True),
    key_binding("new_chat", "ctrl+n", "new_chat", priority=True),
    key_binding("chats", "ctrl+r", "chats", priority=True),
    key_binding("sidebar", "ctrl+b,f10", "sidebar", show=False, priority=True),
    key_binding("chat_options", "ctrl+l", "chat_options", show=False, priority=True),
    key_binding("models", "f7", "models", priority=True),
    key_binding("export", "ctrl+s", "export", priority=True),
    key_binding("chat_files", UNBOUND, "chat_files", show=False, priority=True),
    key_binding("editor", "alt+e", "editor", show=False, priority=True),
    key_binding("empty_input", "alt+x", "empty_input", show=False, priority=True),
    key_binding("select_all", "alt+a", "select_input", show=False, priority=True),
    key_binding("copy_answer", "f4", "copy_answer", show=False, priority=True),
    key_binding("retry", "f5", "retry", show=False, priority=True),
    key_binding("compare", "alt+v", "compare", show=False, priority=True),
    key_binding("earlier_variant", "f2,alt+left", "version(-1)"),
    key_binding("later_variant", "f3,alt+right", "version(1)"),
    key_binding("mark_earlier", "ctrl+up,alt+up", "mark(-1)", show=False, priority=True),
    key_binding("mark_later", "ctrl+down,alt+down", "mark(1)", show=False, priority=True),
    key_binding("page_up", "pageup", "page_up", show=False, priority=True),
    key_binding("page_down", "pagedown", "page_down", show=False, priority=True),
    key_binding("to_end", "ctrl+end", "to_end", show=False, priority=True),
    key_binding("to_start", "ctrl+home", "to_start", show=False, priority=True),
]

APP_KEYS = [
    key_binding("help", "f1", "help", priority=True),
    key_binding("palette", "ctrl+p", "command_palette", show=False, priority=True),
    key_binding("settings", "f12", "settings", show=False, priority=True),
    key_binding("next_theme", "f9", "next_theme", show=False, priority=True),
    key_binding("suspend", UNBOUND, "suspend_process", show=False, priority=True),
    key_binding("quit", "ctrl+q", "quit", priority=True),
]

BLOCKED_WHILE_ANSWERING = frozenset(
    {"new_chat", "chats", "export", "hit", "retry", "version", "undo_deletion", "start_servers", "tools"}
    | {"compare"}
    | {"edit", "answer", "other_mode", "delete", "earlier", "later"}  # of `action_message`
)
"""The actions that are disabled while an answer is written, in which case a notice says so."""
