"""The options that several commands share, and the model choice they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.shell_completion import (
    complete_chat,
    complete_choices,
    complete_installed_model,
    complete_server,
    complete_server_kind,
)
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.request import MAX_THREADS, MAX_USER_LAYERS, MAX_USER_N_CTX, MIN_USER_N_CTX, KvType
from qwen3_chat.texts import Language

DemoOption = Annotated[bool, typer.Option("--demo", help="cli.option.demo")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME[:QUANT]", help="cli.option.model", autocompletion=complete_installed_model
    ),
]
GgufOption = Annotated[Path | None, typer.Option("--gguf", metavar="FILE", help="cli.option.gguf")]
EndpointOption = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="cli.option.endpoint", autocompletion=complete_server),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="KIND", help="cli.option.server", autocompletion=complete_server_kind),
]
ChatIdOption = Annotated[
    str | None,
    typer.Option("--chat", metavar="ID|last", help="cli.option.chat", autocompletion=complete_chat),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--lang",
        metavar="|".join(Language),
        help="cli.option.lang",
        autocompletion=complete_choices(*Language),
    ),
]
ContextOption = Annotated[
    int | None,
    typer.Option("--ctx", metavar="N", min=MIN_USER_N_CTX, max=MAX_USER_N_CTX, help="cli.option.ctx"),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, max=MAX_THREADS, help="cli.option.threads")
]
GpuLayersOption = Annotated[
    int | None,
    typer.Option("--gpu-layers", metavar="N", min=0, max=MAX_USER_LAYERS, help="cli.option.gpu_layers"),
]
CpuMoeOption = Annotated[
    int | None, typer.Option("--cpu-moe", metavar="N", min=0, max=MAX_USER_LAYERS, help="cli.option.cpu_moe")
]
KvTypeOption = Annotated[
    KvType | None, typer.Option("--kv-type", metavar="|".join(KvType), help="cli.option.kv_type")
]
McpFileOption = Annotated[Path | None, typer.Option("--mcp", metavar="FILE", help="cli.option.mcp")]
VramOption = Annotated[str | None, typer.Option("--vram", metavar="SIZE", help="cli.option.vram")]
RamOption = Annotated[str | None, typer.Option("--ram", metavar="SIZE", help="cli.option.ram")]
ContextPolicyOption = Annotated[
    ContextPolicy | None,
    typer.Option(
        "--context-policy",
        metavar="|".join(ContextPolicy),
        help="cli.option.context_policy",
        autocompletion=complete_choices(*ContextPolicy),
    ),
]

UnprotectedPythonOption = Annotated[
    bool, typer.Option("--unprotected-python", help="cli.option.unprotected_python")
]


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """The tools of the app as the command line names them.

    `names` are offered whatever the chat offers; None leaves it to the chat. `mcp_file` describes MCP servers
    that are known beside our own.
    """

    names: tuple[str, ...] | None = None
    mcp_file: Path | None = None
    runs_python_unprotected: bool = False


NO_TOOL_OPTIONS = ToolOptions()


def parse_tools_option(text: str | None) -> tuple[str, ...] | None:
    """Return the names of `--tools`; None where it was not given.

    Raises:
        UsageError: there is no tool of a name.
    """
    if text is None:
        return None
    from qwen3_chat.tools.built_in_tools import parse_tool_names  # here: few starts name tools

    return parse_tool_names(text)


def parse_think_option(think: bool | None) -> ThinkingMode | None:
    """Return the mode of `--think` or `--no-think`; None where neither was given."""
    if think is None:
        return None
    return ThinkingMode.THINK if think else ThinkingMode.NO_THINK


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model and the options to run it with; with nothing chosen the setting, the newest model, the demo.

    `vram` and `ram` describe another machine for the model screen.
    """

    demo: bool = False
    model: str | None = None
    gguf: Path | None = None
    ctx: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    endpoint: str | None = None
    server: str | None = None
    context_policy: ContextPolicy | None = None
    cpu_moe: int | None = None
    kv_type: KvType | None = None
    vram: str | None = None
    ram: str | None = None
