"""The values that shells complete: names of models, servers, chats, tools and templates.

A shell asks at each Tab, so nothing is opened for writing, no server is asked, and whatever goes wrong is no
offer. zsh evaluates what it gets, and the titles of chats are written by models: only harmless characters are
handed on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import wraps
from typing import Final

from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import BashComplete

from qwen3_chat.demo import DEMO_REFERENCE
from qwen3_chat.errors import Qwen3ChatError

CompletionOffer = str | tuple[str, str]
"""A value to complete, perhaps with a few words about it."""
Completer = Callable[[str], list[CompletionOffer]]
"""A function that returns the values that begin with what was typed."""

COMPLETION_VARIABLE: Final = "_QWEN3_CHAT_COMPLETE"
"""The variable of the environment by which a shell asks for values."""
_MAX_CHATS: Final = 50
_MAX_ABOUT_CHARS: Final = 60
_VALUE: Final = re.compile(r"[\w.:@/,+-]{1,200}")
_NOT_IN_ABOUT: Final = re.compile(r"[^\w .,-]+")


class BashWordCompleter(BashComplete):
    """Completion for bash, which takes `8B:Q4_K_M` for three words, and `--model=8B` too."""

    _typed = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and this one."""
        typed = os.environ["COMP_WORDS"].split("\n")[1 : int(os.environ["COMP_CWORD"]) + 1]
        words = list[str]()
        is_open = False  # the last word goes on
        for word in typed:
            if word == "=" and words and words[-1].startswith("--"):
                words.append("")
                is_open = True
                continue
            if words and (is_open or word.startswith(":")):
                words[-1] += word
            else:
                words.append(word)
            is_open = word.endswith(":")
        self._typed = words[-1] if words else ""
        return words[:-1], self._typed

    def format_completion(self, item: CompletionItem) -> str:
        """Return what stands behind the last colon that was typed."""
        kept = self._typed.rfind(":") + 1
        value = str(item.value)
        return value[kept:] if value.startswith(self._typed) else value


def use_bash_words() -> None:
    """Have completions for bash treat colons and equals signs as parts of words."""
    add_completion_class(BashWordCompleter, "bash")


def offers(list_values: Callable[[], Iterable[CompletionOffer]]) -> Completer:
    """Return the completer of the values that a function lists."""

    @wraps(list_values)
    def complete(incomplete: str) -> list[CompletionOffer]:
        begun, separator, _ = incomplete.rpartition(",")
        return [_behind(f"{begun}{separator}", offer) for offer in _harmless(list_values)]

    del complete.__wrapped__  # Typer reads the parameters
    return complete


def _harmless(list_values: Callable[[], Iterable[CompletionOffer]]) -> Iterator[CompletionOffer]:
    try:
        values = list(list_values())
    except (Qwen3ChatError, OSError, ValueError):
        return
    for offer in values:
        value, about = (offer, "") if isinstance(offer, str) else offer
        if _VALUE.fullmatch(value):
            about = " ".join(_NOT_IN_ABOUT.sub(" ", about).split())[:_MAX_ABOUT_CHARS]
            yield (value, about) if about else value


def _behind(begun: str, offer: CompletionOffer) -> CompletionOffer:
    return f"{begun}{offer}" if isinstance(offer, str) else (f"{begun}{offer[0]}", offer[1])


@offers
def complete_installed_model() -> Iterator[CompletionOffer]:
    """List the models on this disk, with their quants, and the demo model."""
    from qwen3_chat.cli.engine_composition import configured_model_dirs
    from qwen3_chat.config import find_paths
    from qwen3_chat.models.library import list_external_models, list_installed_models

    models = [*list_installed_models(find_paths().models), *list_external_models(configured_model_dirs())]
    yield from dict.fromkeys(name for model in models for name in (model.name, f"{model.name}:{model.quant}"))
    yield DEMO_REFERENCE


@offers
def complete_known_model() -> Iterator[CompletionOffer]:
    """List the models of the family, with their quants."""
    from qwen3_chat.models.catalog import FAMILY

    for model in FAMILY:
        yield model.name
        yield from (f"{model.name}:{quant}" for quant in model.quants)


@offers
def complete_server() -> Iterator[CompletionOffer]:
    """List the servers that the settings name."""
    from qwen3_chat.cli.named_servers import load_server_profiles
    from qwen3_chat.config import find_paths

    for name, profile in load_server_profiles(find_paths().settings_file).usable.items():
        yield name, profile.endpoint.host


@offers
def complete_server_kind() -> Iterator[CompletionOffer]:
    """List the programs that serve models."""
    from qwen3_chat.servers import ServerKind

    yield from (kind.value for kind in ServerKind)


def _chats(*others: str) -> Iterator[CompletionOffer]:
    import sqlite3

    from qwen3_chat.config import find_paths
    from qwen3_chat.store.chat_queries import chat_summaries
    from qwen3_chat.store.readable_copy import connect_for_reading
    from qwen3_chat.store.stored_row import Damage, RowFactory

    yield from others
    path = find_paths().chats_file
    if not path.exists():
        return
    with suppress(sqlite3.Error), closing(connect_for_reading(path, lambda *_: False)) as connection:
        connection.row_factory = RowFactory(Damage())
        for summary in chat_summaries(connection, None, _MAX_CHATS):
            yield str(summary.id), summary.title


@offers
def complete_chat() -> Iterator[CompletionOffer]:
    """List the chats by their numbers, with their titles."""
    yield from _chats("last")


@offers
def complete_exported_chat() -> Iterator[CompletionOffer]:
    """List the chats by their numbers, and `all`."""
    yield from _chats("last", "all")


def _tools() -> Iterator[CompletionOffer]:
    from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS
    from qwen3_chat.tools.tool_source import SOURCE_PREFIX

    yield from BUILT_IN_TOOLS
    yield from (f"{SOURCE_PREFIX}{name}" for name in _mcp_servers())


def _mcp_servers() -> Iterator[str]:
    from qwen3_chat.config import find_paths
    from qwen3_chat.mcp.config_file import load_servers

    yield from load_servers(find_paths().mcp_file).names


@offers
def complete_tool() -> Iterator[CompletionOffer]:
    """List the tools, and the MCP servers by the names of theirs."""
    yield from ("none", "chat", *_tools())


@offers
def complete_allowed_tool() -> Iterator[CompletionOffer]:
    """List the tools that may be allowed."""
    yield from ("none", "all", *_tools())


@offers
def complete_revocable_tool() -> Iterator[CompletionOffer]:
    """List the tools that have standing permissions."""
    from qwen3_chat.config import find_paths
    from qwen3_chat.tools.permission_file import PermissionFile

    permissions = PermissionFile(find_paths().permissions_file).read()
    yield from ("all", *sorted({permission.tool for permission in permissions}))


@offers
def complete_mcp_server() -> Iterator[CompletionOffer]:
    """List the MCP servers."""
    yield from _mcp_servers()


@offers
def complete_template() -> Iterator[CompletionOffer]:
    """List the titles of the prompts that are one word."""
    from qwen3_chat.config import find_paths
    from qwen3_chat.config.prompt_library import load_prompts
    from qwen3_chat.texts import current_language

    library = load_prompts(find_paths().config / "prompts.toml", current_language())
    yield from (prompt.title for prompt in library.prompts)


def complete_choices(*values: str) -> Completer:
    """Return the completer of these values."""
    return offers(lambda: values)
