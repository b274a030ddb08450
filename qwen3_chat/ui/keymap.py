"""The keys in force: the declared ones with the changes of the user's `[keys]` settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from string import punctuation

from msgspec import Struct
from textual.binding import Binding

from qwen3_chat.config import LoadedSettings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ConfigError
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS, MESSAGE_KEYS, UNBOUND, command_name, key_name
from qwen3_chat.ui.textual_compat import NAMED_KEYS, key_of_character

REBINDABLE = (*CHAT_KEYS, *APP_KEYS, *MESSAGE_KEYS)
MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
KEY_ALIASES = {
    "esc": "escape",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "del": "delete",
    "ins": "insert",
    "return": "enter",
}
WRITING_KEYS = "enter tab backspace up down left right space home end ctrl+m ctrl+i ctrl+h ctrl+j"
"""The keys needed to write, with the other names under which terminals send them."""

_PUNCTUATION = frozenset(map(key_of_character, punctuation))


class Keymap(Struct, frozen=True):
    """The keys of each action by its name, comma-separated as Textual writes them."""

    keys: Mapping[str, str]
    problems: tuple[ConfigError, ...] = ()

    @property
    def is_changed(self) -> bool:
        """True if any key differs from the declared ones."""
        return any(binding.key != self.keys[binding.id or ""] for binding in REBINDABLE)

    def apply_to(self, bindings: Iterable[Binding]) -> list[Binding]:
        """Return the bindings with the keys in force."""
        return [binding.with_key(self.keys.get(binding.id or "", binding.key)) for binding in bindings]

    def first_key(self, name: str) -> str:
        """Return the printed name of an action's first key, for hints; of one without a key, its command."""
        key = self.keys[name].partition(",")[0]
        return command_name(name) if key == UNBOUND else key_name(key)


DEFAULT_KEYMAP = Keymap({binding.id or "": binding.key for binding in REBINDABLE})


def keymap_from_settings(loaded: LoadedSettings) -> Keymap:
    """Return the keymap of the `[keys]` settings; an unusable entry becomes a problem and changes nothing."""
    keys = dict(DEFAULT_KEYMAP.keys)
    problems: list[ConfigError] = []
    letters = {binding.id for binding in MESSAGE_KEYS}
    for name, written in loaded.settings.keys.items():
        path = ("keys", name)
        if name not in keys:
            problems.append(
                loaded.make_error(ErrorCode.KEY_ACTION_UNKNOWN, path, known=", ".join(sorted(keys)))
            )
            continue
        names = [written] if isinstance(written, str) else written
        parsed = [parse_key(key_text) for key_text in names]
        if bad := [key_text for key_text, key in zip(names, parsed, strict=True) if key is None] or (
            not names and [""]
        ):
            problems.append(loaded.make_error(ErrorCode.KEY_UNKNOWN, path, pressed=bad[0]))
        elif name not in letters and (taken := [key for key in parsed if key and _is_for_typing(key)]):
            problems.append(
                loaded.make_error(ErrorCode.KEY_NEEDED_FOR_TYPING, path, pressed=key_name(taken[0]))
            )
        else:
            keys[name] = ",".join(key for key in parsed if key)
    for name, other, key in _conflicts(keys, loaded.settings.keys):
        if key in keys[name].split(","):  # unless it was reset already
            keys[name] = DEFAULT_KEYMAP.keys[name]
            problems.append(
                loaded.make_error(ErrorCode.KEY_CONFLICT, ("keys", name), pressed=key_name(key), other=other)
            )
    return Keymap(keys, tuple(problems))


def parse_key(written: str) -> str | None:
    """Return Textual's name of a key written as `Ctrl+Shift+F2`; None if there is no such key."""
    *modifiers, base = (
        [part.strip() for part in written.strip().split("+")] if written.strip() != "+" else ["+"]
    )
    modifiers = sorted(part.lower() for part in modifiers)
    if not base or len(set(modifiers)) < len(modifiers) or not set(modifiers) <= set(MODIFIERS):
        return None
    if len(base) == 1:
        base = key_of_character(base if not modifiers else base.lower())
    else:
        base = KEY_ALIASES.get(base.lower(), base.lower())
        if base not in NAMED_KEYS | _PUNCTUATION:
            return None
    return "+".join((*modifiers, base))


def _is_for_typing(key: str) -> bool:
    base = key.removeprefix("shift+")
    return key in WRITING_KEYS.split() or base in _PUNCTUATION or len(base) == 1


def _conflicts(
    keys: Mapping[str, str], chosen: Mapping[str, str | Sequence[str]]
) -> list[tuple[str, str, str]]:
    """Return each action that was given a key of another, as (action, the other, key).

    The action that was configured later comes first in its tuple; keys shared as declared are no conflict.
    """
    conflicts: list[tuple[str, str, str]] = []
    order = list(chosen)
    if not order:
        return conflicts
    for action, other in combinations(keys, 2):
        shared = set(keys[action].split(",")) & set(keys[other].split(","))
        for key in sorted(shared - (_keys(DEFAULT_KEYMAP, action) & _keys(DEFAULT_KEYMAP, other))):
            later, earlier = sorted(
                (action, other), key=lambda name: order.index(name) if name in order else -1
            )[::-1]
            conflicts.append((later, earlier, key))
    return conflicts


def _keys(keymap: Keymap, name: str) -> set[str]:
    return set(keymap.keys[name].split(","))
