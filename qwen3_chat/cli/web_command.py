"""`qwen3-chat web`: its options, as Typer reads them, passed on to the app that it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from qwen3_chat.cli.shared_options import (
    ChatIdOption,
    ContextOption,
    ContextPolicyOption,
    CpuMoeOption,
    DemoOption,
    DraftOption,
    EndpointOption,
    GgufOption,
    GpuLayersOption,
    KvTypeOption,
    LanguageOption,
    LoraOption,
    McpFileOption,
    ModelChoice,
    ModelOption,
    RamOption,
    ServerOption,
    ThreadsOption,
    UnprotectedPythonOption,
    VramOption,
    parse_tools_option,
)
from qwen3_chat.cli.shell_completion import complete_tool
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.record_copies import field_names

MAX_PORT = 65_535
OptionValue = str | int | Path | bool | tuple[str, ...] | None


def web(
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="N", min=0, max=MAX_PORT, help="cli.option.web_port", show_default=False
        ),
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="cli.option.no_open")] = False,
    demo: DemoOption = False,
    model: ModelOption = None,
    gguf: GgufOption = None,
    endpoint: EndpointOption = None,
    server: ServerOption = None,
    chat: ChatIdOption = None,
    lang: LanguageOption = None,
    ctx: ContextOption = None,
    threads: ThreadsOption = None,
    gpu_layers: GpuLayersOption = None,
    cpu_moe: CpuMoeOption = None,
    kv_type: KvTypeOption = None,
    lora: LoraOption = None,
    draft: DraftOption = None,
    context_policy: ContextPolicyOption = None,
    vram: VramOption = None,
    ram: RamOption = None,
    tools: Annotated[
        str | None,
        typer.Option("--tools", metavar="NAME,…", help="cli.option.app_tools", autocompletion=complete_tool),
    ] = None,
    mcp: McpFileOption = None,
    unprotected_python: UnprotectedPythonOption = False,
) -> None:
    """Open the app in a browser of this machine."""
    from qwen3_chat.web.pages import has_terminal_files

    if not has_terminal_files():
        raise UsageError(ErrorCode.WEB_NOT_INSTALLED)
    parse_tools_option(tools)  # a mistake is told here, not in the browser
    model_options = demo, model, gguf, ctx, threads, gpu_layers, endpoint, server
    more_options = context_policy, cpu_moe, kv_type, vram, ram, tuple(lora or ()), draft
    choice = ModelChoice(*model_options, *more_options)
    others = {"chat": chat, "lang": lang, "tools": tools, "mcp": mcp}
    arguments = [*model_arguments(choice), *option_arguments(others)]
    if unprotected_python:
        arguments.append("--unprotected-python")
    from qwen3_chat.cli.run_web import run_web

    raise typer.Exit(run_web(arguments, choice, port, opens_browser=not no_open))


def model_arguments(choice: ModelChoice) -> Iterator[str]:
    """Yield the options that make this choice on a command line."""
    values = {name: getattr(choice, name) for name in field_names(choice)}
    yield from option_arguments(values)


def option_arguments(values: Mapping[str, OptionValue]) -> Iterator[str]:
    """Yield options by the names of their parameters, without those that were not given."""
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        match value:
            case None | False:
                pass
            case True:
                yield option
            case tuple():
                yield from (f"{option}={part}" for part in value)
            case _:
                yield f"{option}={value}"
