"""`qwen3-chat tools`: the tools that the model may call, and the standing permissions."""

from __future__ import annotations

import sys

import msgspec

from qwen3_chat.cli.composition import make_tool_catalogue
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.cli.terminal_lines import print_sentence
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.jail.jail_settings import jail_problem
from qwen3_chat.mcp.tool_list import ListedTool, ToolKind, ToolState
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import label_of_name, terminal_safe
from qwen3_chat.tools.built_in_tools import BUILT_IN_TOOLS
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.shown_arguments import show_limit

ALL_TOOLS = "all"


class PermissionRow(msgspec.Struct, frozen=True):
    """A standing permission in the output of `tools --json`; one for another form of the tool is outdated."""

    scope: str
    value: str
    outdated: bool


class ToolRow(msgspec.Struct, frozen=True):
    """A tool in the output of `tools --json`; `schema_tokens` is an estimate.

    A tool that only has permissions left is `missing`; one that can't run on this machine is `off`.
    """

    name: str
    source: str
    state: str
    schema_tokens: int
    consent: str
    permissions: list[PermissionRow] = []


def list_tools(*, as_json: bool) -> None:
    """Print the tools, each with what it costs, whether it asks, and what was allowed for good."""
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    from rich.cells import cell_len, set_cell_size  # here: `--json` does without

    width = max(len(row.name) for row in rows)
    consents = {row.consent: t(f"cli.tool_consent.{row.consent}") for row in rows}
    consent_width = max(map(cell_len, consents.values()))
    for row in rows:
        about = _about(row)
        consent = set_cell_size(consents[row.consent], consent_width)
        print_sentence(f"{label_of_name(row.name):{width}}  {consent}  {about}", width + consent_width + 4)
        for permission in row.permissions:
            sentence = t(
                f"cli.permission.{permission.scope}", limit=label_of_name(show_limit(permission.value))
            )
            note = t("cli.permission.outdated") if permission.outdated else ""
            print_sentence(terminal_safe(f"{'':{width}}  {sentence}{note}"), width + 2)


def revoke_permissions(name: str) -> None:
    """Revoke the standing permissions of a tool, or of all tools.

    Raises:
        UsageError: there is neither a tool nor a permission of that name.
        StoreError: the permissions can't be changed.
    """
    file = PermissionFile(find_paths().permissions_file)
    count = file.revoke(None if name == ALL_TOOLS else name)
    if not count and name != ALL_TOOLS and name not in BUILT_IN_TOOLS:
        raise UsageError(ErrorCode.PERMISSION_UNKNOWN, name=label_of_name(name))
    print(t("cli.permissions_revoked", count=count) if count else t("cli.no_permissions"))


def _rows() -> list[ToolRow]:
    """Return a row for each tool and server, and for a server's tool with permissions of its own.

    What can't be read is told on stderr.
    """
    paths = find_paths()
    settings = read_settings(paths.settings_file).settings
    listed = make_tool_catalogue(settings, paths).read()
    for problem in listed.problems:
        print(terminal_safe(str(problem)), file=sys.stderr)
    return [_row(tool) for tool in listed.rows() if not tool.is_part or tool.permissions]


def _about(row: ToolRow) -> str:
    if row.state == ToolState.OFF and (problem := jail_problem()):
        return t("cli.tool_off", reason=t(f"jail.{problem}"))
    if row.name in BUILT_IN_TOOLS:
        return t(f"tool.{row.name}.about")
    if row.source == ToolKind.UNKNOWN:
        return t("cli.tool_missing")
    if "." in row.name:
        return t("cli.tool_of_server", tokens=row.schema_tokens)
    return (
        t("cli.tool_server", tokens=row.schema_tokens) if row.schema_tokens else t("cli.tool_server_unknown")
    )


def _row(tool: ListedTool) -> ToolRow:
    return ToolRow(
        label_of_name(tool.name),
        tool.kind,
        tool.state,
        tool.schema_tokens,
        "ask" if tool.asks else "allow",
        [PermissionRow(e.permission.scope, e.permission.value, e.is_outdated) for e in tool.permissions],
    )
