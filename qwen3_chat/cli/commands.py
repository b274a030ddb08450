"""The commands with their options, as Typer reads them."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._click.exceptions import ClickException

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli import CANCELLED_STATUS, print_version
from qwen3_chat.cli.code_extraction_option import EXTRACT_OPTIONS, with_extract_value
from qwen3_chat.cli.help_pages import TranslatedCommand, TranslatedGroup, translate_help
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
    ToolOptions,
    UnprotectedPythonOption,
    VramOption,
    parse_tools_option,
)
from qwen3_chat.cli.shell_completion import (
    COMPLETION_VARIABLE,
    complete_allowed_tool,
    complete_choices,
    complete_exported_chat,
    complete_installed_model,
    complete_known_model,
    complete_server,
    complete_template,
    complete_tool,
    use_bash_words,
)
from qwen3_chat.cli.standard_streams import is_interactive, lead_to_browser, wants_plain_chat
from qwen3_chat.cli.tool_groups import mcp_group, tools_group
from qwen3_chat.cli.usage_errors import FiniteRange, usage_error_from
from qwen3_chat.cli.web_command import web
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.request import MAX_USER_N_CTX, MAX_WARM_MINUTES, MIN_USER_N_CTX
from qwen3_chat.sampling import MAX_SEED, MAX_TOKEN_LIMIT, sampling_parameter
from qwen3_chat.texts import t

_TEMPERATURE = sampling_parameter("temperature")


def chat(
    context: typer.Context,
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
    version: Annotated[bool, typer.Option("--version", help="cli.option.version")] = False,
) -> None:
    """Open the terminal application."""
    if version:
        print_version()
        raise typer.Exit
    model_options = demo, model, gguf, ctx, threads, gpu_layers, endpoint, server
    choice = ModelChoice(
        *model_options, context_policy, cpu_moe, kv_type, vram, ram, tuple(lora or ()), draft
    )
    if context.invoked_subcommand is not None:
        app_options = chat, tools, mcp, unprotected_python or None
        if choice != ModelChoice() or any(option is not None for option in app_options):
            raise UsageError(ErrorCode.OPTIONS_BEFORE_COMMAND, command=context.invoked_subcommand)
        gc.enable()
        return
    tool_options = ToolOptions(parse_tools_option(tools), mcp, unprotected_python)
    in_browser = lead_to_browser()
    if not in_browser and wants_plain_chat(os.environ, is_interactive=is_interactive()):
        from qwen3_chat.cli.run_plain_chat import run_plain_chat

        gc.enable()
        raise typer.Exit(run_plain_chat(choice, chat, tool_options))
    from qwen3_chat.cli.run_tui import run_app

    raise typer.Exit(run_app(choice, chat, tool_options, in_browser=in_browser))


def ask(
    prompt: Annotated[list[str] | None, typer.Argument(help="cli.option.prompt", metavar="PROMPT")] = None,
    demo: DemoOption = False,
    model: ModelOption = None,
    gguf: GgufOption = None,
    endpoint: EndpointOption = None,
    server: ServerOption = None,
    think: Annotated[bool | None, typer.Option("--think/--no-think", help="cli.option.think")] = None,
    thinking_budget: Annotated[
        int | None,
        typer.Option(
            "--thinking-budget", metavar="N", min=0, max=MAX_TOKEN_LIMIT, help="cli.option.thinking_budget"
        ),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="cli.option.system")] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", metavar="N", min=1, max=MAX_TOKEN_LIMIT, help="cli.option.max_tokens"),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="X",
            click_type=FiniteRange(_TEMPERATURE.minimum, _TEMPERATURE.command_line_maximum),
            help="cli.option.temperature",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, max=MAX_SEED, help="cli.option.seed")
    ] = None,
    chat: ChatIdOption = None,
    file: Annotated[
        list[str] | None, typer.Option("--file", metavar="PATH|URL", help="cli.option.file")
    ] = None,
    hide_thinking: Annotated[bool, typer.Option("--hide-thinking", help="cli.option.hide_thinking")] = False,
    tools: Annotated[
        str,
        typer.Option(
            "--tools", metavar="NAME,…|chat|none", help="cli.option.tools", autocompletion=complete_tool
        ),
    ] = "none",
    allow: Annotated[
        str,
        typer.Option(
            "--allow", metavar="NAME,…|all", help="cli.option.allow", autocompletion=complete_allowed_tool
        ),
    ] = "none",
    mcp: McpFileOption = None,
    max_steps: Annotated[
        int, typer.Option("--max-steps", metavar="N", min=1, max=1000, help="cli.option.max_steps")
    ] = 20,
    unprotected_python: UnprotectedPythonOption = False,
    schema: Annotated[Path | None, typer.Option("--schema", metavar="FILE", help="cli.option.schema")] = None,
    extract: Annotated[
        str | None, typer.Option("-x", "--extract", metavar="[LANG]", help="cli.option.extract")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", metavar="NAME", help="cli.option.template", autocompletion=complete_template
        ),
    ] = None,
    var: Annotated[
        list[str] | None, typer.Option("--var", metavar="KEY=VALUE", help="cli.option.var")
    ] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", metavar="FILE.jsonl", help="cli.option.batch")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.jsonl", help="cli.option.batch_output")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="cli.option.json")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="cli.option.jsonl")] = False,
    lang: LanguageOption = None,
    ctx: ContextOption = None,
    threads: ThreadsOption = None,
    gpu_layers: GpuLayersOption = None,
    cpu_moe: CpuMoeOption = None,
    kv_type: KvTypeOption = None,
    lora: LoraOption = None,
    draft: DraftOption = None,
    context_policy: ContextPolicyOption = None,
    warm: Annotated[
        float | None,
        typer.Option(
            "--warm",
            metavar="MINUTES",
            click_type=FiniteRange(0, MAX_WARM_MINUTES),
            help="cli.option.warm",
        ),
    ] = None,
) -> None:
    """Ask one question."""
    from qwen3_chat.cli.ask_command import AskOptions, OutputFormat, run_ask
    from qwen3_chat.cli.server_text_options import ServerTextChoice, is_server_text
    from qwen3_chat.config import find_paths
    from qwen3_chat.session import TurnOptions
    from qwen3_chat.texts.terminal_safe import storable
    from qwen3_chat.tools.built_in_tools import parse_tool_names

    if json and jsonl:
        raise UsageError(ErrorCode.JSON_WITH_JSONL)
    if schema is not None and tools != "none":
        raise UsageError(ErrorCode.SCHEMA_WITH_TOOLS)
    if extract is not None and (json or jsonl):
        raise UsageError(ErrorCode.EXTRACT_WITH_JSON)
    if warm is not None and endpoint is not None:
        raise UsageError(ErrorCode.WARM_WITH_ENDPOINT)
    if var and template is None:
        raise UsageError(ErrorCode.VARIABLE_WITHOUT_TEMPLATE)
    resources = tuple(storable(name) for name in file or () if is_server_text(name))
    server_texts, prompt_template = ServerTextChoice(resources), None
    if template is not None:
        from qwen3_chat.cli.prompt_templates import load_template, parse_variables

        if is_server_text(template):
            server_texts = ServerTextChoice(resources, template, parse_variables(var or ()))
        else:
            prompt_template = load_template(template, var or (), find_paths().config / "prompts.toml")
            if not prompt_template.takes_input:
                if system is not None:
                    raise UsageError(ErrorCode.TEMPLATE_WITH_SYSTEM, name=template)
                system = prompt_template.fill("")
    answer_schema = None
    if schema is not None:
        from qwen3_chat.cli.answer_schema import AnswerSchema

        answer_schema = AnswerSchema(schema)
    choice = ModelChoice(
        *(demo, model, gguf, ctx, threads, gpu_layers, endpoint, server, context_policy, cpu_moe, kv_type),
        lora=tuple(lora or ()),
        draft=draft,
    )
    options = AskOptions(
        chat=chat,
        system=system and storable(system),
        think=think,
        output=OutputFormat.JSON if json else OutputFormat.JSONL if jsonl else OutputFormat.TEXT,
        hide_thinking=hide_thinking,
        allowed_tools=() if allow == "all" else parse_tool_names(allow),
        allows_all_tools=allow == "all",
        runs_python_unprotected=unprotected_python,
        mcp_file=mcp,
        schema=answer_schema,
        extract=extract,
        template=prompt_template,
        server_texts=server_texts,
        warm_minutes=warm,
        turn=TurnOptions(
            temperature=temperature,
            seed=seed,
            max_tokens=max_tokens,
            thinking_budget=thinking_budget,
            tools=None if tools == "chat" else parse_tool_names(tools),
            max_steps=max_steps,
            answer_schema="" if answer_schema is None else answer_schema.text,
        ),
    )
    is_single = bool(prompt or file or json or jsonl or chat or template)
    is_single |= extract is not None or warm is not None
    if batch is None and output is None:
        files = tuple(name for name in file or () if not is_server_text(name))
        status = run_ask(storable(" ".join(prompt or ())), files, choice, options)
    elif batch is None or output is None or is_single or tools != "none":
        raise UsageError(ErrorCode.BATCH_WRONG_USAGE)
    else:
        from qwen3_chat.cli.batch_command import run_batch

        status = run_batch(batch, output, choice, options)
    raise typer.Exit(status)


def chats(
    search: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="cli.option.search")] = None,
    json: Annotated[bool, typer.Option("--json", help="cli.option.chats_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """List the stored chats."""
    from qwen3_chat.cli.stored_chats import list_chats

    list_chats(search, as_json=json)


def export(
    chat: Annotated[
        str,
        typer.Argument(
            metavar="CHAT|all", help="cli.option.export_chat", autocompletion=complete_exported_chat
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(ExportFormat),
            help="cli.option.format",
            autocompletion=complete_choices(*ExportFormat),
        ),
    ] = ExportFormat.MARKDOWN.value,
    thinking: Annotated[
        str,
        typer.Option(
            "--thinking",
            metavar="|".join(ThinkingStyle),
            help="cli.option.thinking",
            autocompletion=complete_choices(*ThinkingStyle),
        ),
    ] = ThinkingStyle.FOLDED.value,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PATH", help="cli.option.output")
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Write a chat to a file or to stdout."""
    from qwen3_chat.cli.stored_chats import export_chat

    export_chat(chat, format, thinking, output)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="cli.option.import_file")],
    json: Annotated[bool, typer.Option("--json", help="cli.option.import_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """Store the chats of a file."""
    from qwen3_chat.cli.stored_chats import import_file

    import_file(file, as_json=json)


def backup(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="cli.option.backup_output")
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Write the whole store to one file."""
    from qwen3_chat.cli.backup_command import back_up

    back_up(output)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="cli.option.restore_file")],
    replace: Annotated[bool, typer.Option("--replace", help="cli.option.replace")] = False,
    lang: LanguageOption = None,
) -> None:
    """Put a backup in the place of the store."""
    from qwen3_chat.cli.backup_command import restore_file

    restore_file(file, replaces=replace)


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:QUANT]|REPOSITORY:FILE-OR-QUANT",
            help="cli.option.pull_model",
            autocompletion=complete_known_model,
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="auto|hf|modelscope",
            help="cli.option.source",
            autocompletion=complete_choices("auto", "hf", "modelscope"),
        ),
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="cli.option.pull_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """Download a model."""
    from qwen3_chat.cli.pull_command import pull_model

    raise typer.Exit(pull_model(model, source, as_json=json))


def rm(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:QUANT]|REPOSITORY[:FILE-OR-QUANT]",
            help="cli.option.rm_model",
            autocompletion=complete_installed_model,
        ),
    ],
    lang: LanguageOption = None,
) -> None:
    """Delete a downloaded model."""
    from qwen3_chat.cli.rm_command import remove_model

    raise typer.Exit(remove_model(model))


def models(
    repository: Annotated[
        str | None, typer.Argument(metavar="[REPOSITORY]", help="cli.option.repository")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="cli.option.models_json")] = False,
    vram: VramOption = None,
    ram: RamOption = None,
    ctx: Annotated[
        int | None,
        typer.Option(
            "--ctx", metavar="N", min=MIN_USER_N_CTX, max=MAX_USER_N_CTX, help="cli.option.models_ctx"
        ),
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Show the models that fit."""
    from qwen3_chat.cli.models_command import list_models

    list_models(json, vram, ram, ctx, repository)


def compare(
    suite: Annotated[
        str,
        typer.Argument(metavar="SUITE", help="cli.option.suite", autocompletion=complete_choices("en", "zh")),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME[:QUANT]",
            help="cli.option.compare_model",
            autocompletion=complete_installed_model,
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint", metavar="URL", help="cli.option.compare_endpoint", autocompletion=complete_server
        ),
    ] = None,
    think: Annotated[
        str,
        typer.Option(
            "--think",
            metavar="on|off|both",
            help="cli.option.compare_think",
            autocompletion=complete_choices("on", "off", "both"),
        ),
    ] = "on",
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, max=1000, help="cli.option.seeds")] = 1,
    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens", metavar="N", min=1, max=MAX_TOKEN_LIMIT, help="cli.option.compare_max_tokens"
        ),
    ] = 8192,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="cli.option.compare_output")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="results.jsonl", help="cli.option.baseline")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="cli.option.compare_json")] = False,
    lang: LanguageOption = None,
) -> None:
    """Put a suite of questions to several models."""
    from qwen3_chat.cli.compare_command import CompareOptions, default_target, run_compare

    modes = {"on": (ThinkingMode.THINK,), "off": (ThinkingMode.NO_THINK,), "both": tuple(ThinkingMode)}
    if think not in modes:
        raise UsageError(ErrorCode.CHOICE_UNKNOWN, value=think, known=", ".join(modes))
    targets = {name: ModelChoice(model=name) for name in model or ()}
    targets |= {url: ModelChoice(endpoint=url) for url in endpoint or ()}
    options = CompareOptions(
        targets or default_target(), modes[think], seeds, max_tokens, output, baseline, json
    )
    raise typer.Exit(run_compare(suite, options))


def doctor(
    json: Annotated[bool, typer.Option("--json", help="cli.option.models_json")] = False,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="cli.option.calibrate")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="cli.option.fix")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="cli.option.undo")] = False,
    stop_warm: Annotated[bool, typer.Option("--stop-warm", help="cli.option.stop_warm")] = False,
    demo: DemoOption = False,
    model: ModelOption = None,
    gguf: GgufOption = None,
    lang: LanguageOption = None,
) -> None:
    """Check everything that a model needs."""
    if stop_warm:
        from qwen3_chat.cli.warm_option import stop_warm_engine

        stop_warm_engine()
        return
    from qwen3_chat.cli.doctor_command import run_doctor

    choice = ModelChoice(demo, model, gguf) if calibrate else None
    run_doctor(as_json=json, fix=fix, undo=undo, calibrated_model=choice)


_COMMANDS = {
    command.__name__.rstrip("_"): command
    for command in (ask, models, pull, rm, chats, export, import_, backup, restore, compare, web, doctor)
}
_GROUPS = {"tools": tools_group, "mcp": mcp_group}


def named_commands(arguments: Sequence[str]) -> set[str]:
    """Return the commands that arguments may mean; all of them where a help or a completion lists them.

    To build every command takes as long as to start Python.
    """
    known = _COMMANDS.keys() | _GROUPS.keys()
    if COMPLETION_VARIABLE in os.environ or any(argument.startswith(("-h", "--h")) for argument in arguments):
        return known
    return known.intersection(arguments)


def build_command_tree(names: Collection[str] = (*_COMMANDS, *_GROUPS)) -> Any:
    """Return the tree of these commands with its help in the language in use."""
    app = typer.Typer(
        name="qwen3-chat",
        help=t("cli.about"),
        cls=TranslatedGroup,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(chat)
    for name, command in _COMMANDS.items():
        if name not in names:
            continue
        about = t(f"cli.about.{name}")
        app.command(name, cls=TranslatedCommand, help=about, short_help=about)(command)
    for name, make_group in _GROUPS.items():
        if name in names:
            app.add_typer(make_group(), name=name)
    root = typer.main.get_command(app)
    root.help = t("cli.about")
    for node in _tree(root):
        for parameter in node.params:
            translate_help(parameter)
    return root


def _tree(command: Any) -> Iterator[Any]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _tree(child)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status.

    Raises:
        Qwen3ChatError: it could not be done.
    """
    if any(argument in EXTRACT_OPTIONS for argument in arguments) and arguments[0] == "ask":
        arguments = with_extract_value(arguments)
    tree = build_command_tree(named_commands(arguments))
    if COMPLETION_VARIABLE in os.environ:
        use_bash_words()
    try:
        status = tree.main(list(arguments), prog_name="qwen3-chat", standalone_mode=False)
    except ClickException as error:
        raise usage_error_from(error) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if status == CANCELLED_STATUS:  # Typer's own status for a KeyboardInterrupt
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0
