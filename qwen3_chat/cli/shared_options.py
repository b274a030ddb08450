"""The options that several commands share, and the model choice they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.shell_completion import (
    complete_chat,
    complete_choices,
    complete_installed_model,
    complete_server,
    complete_server_kind,
)
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.request import (
    MAX_ADAPTER_SCALE,
    MAX_ADAPTERS,
    MAX_THREADS,
    MAX_USER_LAYERS,
    MAX_USER_N_CTX,
    MIN_USER_N_CTX,
    Adapter,
    KvType,
)
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
LoraOption = Annotated[
    list[str] | None, typer.Option("--lora", metavar="FILE[:SCALE]", help="cli.option.lora")
]
DraftOption = Annotated[
    str | None, typer.Option("--draft", metavar="NAME|auto|none", help="cli.option.draft")
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


class ToolOptions(Struct, frozen=True):
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


def parse_adapters(texts: Sequence[str]) -> tuple[Adapter, ...]:
    """Return the adapters of `--lora FILE[:SCALE]`.

    Raises:
        UsageError: a scale is out of bounds, or there are too many.
    """
    if len(texts) > MAX_ADAPTERS:
        raise UsageError(ErrorCode.TOO_MANY_ADAPTERS, limit=MAX_ADAPTERS)
    return tuple(map(_parse_adapter, texts))


def _parse_adapter(text: str) -> Adapter:
    file, separator, number = text.rpartition(":")
    try:
        scale = float(number) if separator and file else None
    except ValueError:  # a colon of the path
        scale = None
    if scale is None:
        return Adapter(str(Path(text).expanduser().absolute()))
    if not -MAX_ADAPTER_SCALE <= scale <= MAX_ADAPTER_SCALE:  # false for NaN as well
        raise UsageError(ErrorCode.ADAPTER_SCALE_INVALID, scale=number, limit=MAX_ADAPTER_SCALE)
    return Adapter(str(Path(file).expanduser().absolute()), scale)


def parse_think_option(think: bool | None) -> ThinkingMode | None:
    """Return the mode of `--think` or `--no-think`; None where neither was given."""
    if think is None:
        return None
    return ThinkingMode.THINK if think else ThinkingMode.NO_THINK


class ModelChoice(Struct, frozen=True):
    """A model and the options to run it with; with nothing chosen the setting, the newest model, the demo.

    `vram` and `ram` describe another machine for the model screen; `lora` are texts of `--lora`.
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
    lora: tuple[str, ...] = ()
    draft: str | None = None
