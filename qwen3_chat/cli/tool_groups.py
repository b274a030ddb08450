"""The commands `tools` and `mcp` with those below them, as Typer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwen3_chat.cli.help_pages import TranslatedCommand, TranslatedGroup
from qwen3_chat.cli.shared_options import LanguageOption, McpFileOption
from qwen3_chat.cli.shell_completion import complete_mcp_server, complete_revocable_tool
from qwen3_chat.texts import t


def tools(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="cli.option.tools_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """List the tools that the model may call."""
    if context.invoked_subcommand is not None:
        return
    from qwen3_chat.cli.tools_command import list_tools

    list_tools(as_json=json)


def revoke(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|all", help="cli.option.revoke", autocompletion=complete_revocable_tool),
    ],
    lang: LanguageOption = None,
) -> None:
    """Revoke what was allowed for good."""
    from qwen3_chat.cli.tools_command import revoke_permissions

    revoke_permissions(name)


def mcp_list(
    context: typer.Context,
    mcp: McpFileOption = None,
    json: Annotated[bool, typer.Option("--json", help="cli.option.mcp_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """List the MCP servers."""
    if context.invoked_subcommand is not None:
        return
    from qwen3_chat.cli.mcp_command import list_servers

    list_servers(mcp, as_json=json)


def mcp_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="cli.option.mcp_name")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]…", help="cli.option.mcp_command")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="cli.option.mcp_url")] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="cli.option.mcp_env")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="cli.option.mcp_header")
    ] = None,
    cwd: Annotated[Path | None, typer.Option("--cwd", metavar="FOLDER", help="cli.option.mcp_cwd")] = None,
    lang: LanguageOption = None,
) -> None:
    """Add an MCP server."""
    from qwen3_chat.cli.mcp_command import add

    add(name, command or (), url, env or (), header or (), cwd)


def mcp_remove(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="cli.option.mcp_name", autocompletion=complete_mcp_server)
    ],
    lang: LanguageOption = None,
) -> None:
    """Remove an MCP server."""
    from qwen3_chat.cli.mcp_command import remove

    remove(name)


def mcp_test(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="cli.option.mcp_name", autocompletion=complete_mcp_server)
    ],
    mcp: McpFileOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="cli.option.mcp_yes")] = False,
    json: Annotated[bool, typer.Option("--json", help="cli.option.mcp_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """Start an MCP server and show its tools."""
    from qwen3_chat.cli.mcp_command import test_server

    raise typer.Exit(test_server(name, mcp, says_yes=yes, as_json=json))


def tools_group() -> typer.Typer:
    """Return the command `tools` with the commands below it."""
    about, about_revoke = t("cli.about.tools"), t("cli.about.revoke")
    group = typer.Typer(
        cls=TranslatedGroup, help=about, short_help=about, invoke_without_command=True, rich_markup_mode=None
    )
    group.callback()(tools)
    group.command("revoke", cls=TranslatedCommand, help=about_revoke, short_help=about_revoke)(revoke)
    return group


def mcp_group() -> typer.Typer:
    """Return the command `mcp` with the commands below it; without one of them it lists."""
    about = t("cli.about.mcp")
    group = typer.Typer(
        cls=TranslatedGroup, help=about, short_help=about, invoke_without_command=True, rich_markup_mode=None
    )
    group.callback()(mcp_list)
    own_options = {"ignore_unknown_options": True}  # a server's command may have options of its own
    for name, function in (
        ("list", mcp_list),
        ("add", mcp_add),
        ("remove", mcp_remove),
        ("test", mcp_test),
    ):
        sentence = t(f"cli.about.mcp_{name}")
        group.command(
            name,
            cls=TranslatedCommand,
            help=sentence,
            short_help=sentence,
            context_settings=own_options if name == "add" else None,
        )(function)
    return group
