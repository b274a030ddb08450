"""The model picker's screen: the models with their fit and speed on this machine, to download and use."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.models.fit import Fit, Machine
from qwen3_chat.models.library import Removal
from qwen3_chat.models.picker import (
    DiskModel,
    Download,
    DownloadPhase,
    ModelPicker,
    ModelRow,
    ModelVariant,
    ServerRow,
    build_model_table,
)
from qwen3_chat.models.picker.draft_choice import (
    DraftChoice,
    DraftTarget,
    find_draft_choice,
    find_draft_target,
    list_draft_choices,
    read_draft_files,
    variant_target,
)
from qwen3_chat.models.picker.offer_text import describe_offers
from qwen3_chat.record_copies import replace
from qwen3_chat.request import NO_DRAFT_MODEL, LoadedModel
from qwen3_chat.session import EngineChoice, LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui import model_list
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.model_list import (
    CONTEXT_STEPS,
    DemoRow,
    FileRow,
    Heading,
    Line,
    ModelList,
    chosen_variant_index,
)
from qwen3_chat.ui.screens.dialog import SHORT_DIALOG_ROWS, Dialog, show_dialog
from qwen3_chat.ui.screens.draft_choice_screen import DraftChoiceScreen
from qwen3_chat.ui.textual_compat import MAX_LINE_CHARACTERS, SteadyOptionList
from qwen3_chat.ui.textual_compat.list_lines import FittingLine
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.model_detail import LOW_ROWS, ModelDetail


class ModelPickerScreen(Dialog[EngineChoice | None]):
    """The model picker: typing searches; the chat behind and the downloads go on, also after it is closed.

    It closes with the chosen engine, or with None if the engine stays.
    """

    BINDINGS = [
        key_binding("use_model", "enter", "choose", priority=True),
        key_binding("quant", "tab", "quant(1)", priority=True),
        Binding("shift+tab", "quant(-1)", show=False, priority=True),
        key_binding("context", "right", "context(1)", priority=True),
        Binding("left", "context(-1)", show=False, priority=True),
        key_binding("draft_model", "f4", "draft_model", priority=True),
        key_binding("pause", "f3", "pause", priority=True),
        key_binding("delete_model", "ctrl+d", "delete", priority=True),
        key_binding("close", "escape,f7", "close", priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
    ]
    VERTICAL_BREAKPOINTS = [
        *Dialog.VERTICAL_BREAKPOINTS[:-1],
        (SHORT_DIALOG_ROWS, "-low"),
        (LOW_ROWS, "-tall"),
    ]
    DEFAULT_CSS = """
    ModelPickerScreen {
        align: center middle;
        #models-box {
            width: 100%;
            max-width: 100;
            height: 100%;
            max-height: 40;
            border: round $primary;
            border-title-color: $primary;
            background: $surface;
        }
        #models-machine { height: auto; max-height: 2; padding: 0 1; color: $foreground 75%; }
        Input, Input:focus { border: none; height: 1; padding: 0 1; background: $boost; }
        OptionList, OptionList:focus {
            border: none; height: 1fr; background: $surface; padding: 0; scrollbar-size-vertical: 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        OptionList > .option-list--option { padding: 0 1; }
        OptionList > .option-list--option-disabled { color: $primary; text-style: bold; }
        KeyBar { background: $surface; dock: bottom; }
        &.-low #models-machine { max-height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        &.-short #models-machine { display: none; }
        &.-short ModelDetail { height: 5; #model-reason { height: 1; } }
        &.-short #model-context, &.-short #model-draft { display: none; }
    }
    """

    n_ctx_step: var[int] = var(0, init=False)
    question: var[str] = var("", init=False)
    """The question that Enter would confirm; empty while nothing is asked."""
    _pending_action: Callable[[], object] | None = None
    """The action that Enter runs while the question is shown."""

    def __init__(self, model_picker: ModelPicker, loaded_model: Callable[[], LoadedModel | None]) -> None:
        super().__init__()
        self.machine_line = Static(t("ui.models.looking"), id="models-machine", markup=False)
        self.search_input = Input(placeholder=t("ui.models.search"), max_length=MAX_LINE_CHARACTERS)
        self.options = SteadyOptionList()
        self.detail = ModelDetail()
        self.model_picker = model_picker
        self._loaded_model = loaded_model
        self._marked_model: LoadedModel | None = None
        self.disk_models: tuple[DiskModel, ...] = ()
        self.machine: Machine | None = None
        self.steady_machine: Machine | None = None
        self.model_list: ModelList | None = None
        self.servers: Sequence[ServerRow] = ()
        self.lines: dict[str, Line] = {}
        self.chosen_quants: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Lay out the machine, the search, the list, the detail and the keys."""
        with Vertical(id="models-box") as box:
            box.border_title = t("ui.models.title")
            yield self.machine_line
            yield self.search_input
            yield self.options
            yield self.detail
            yield KeyBar()

    def on_mount(self) -> None:
        """Start to probe the machine and the servers while the screen is shown already."""
        self.search_input.focus()
        self.model_picker.downloads.listeners.append(self.download_changed)
        self.probe()
        self.probe_servers()
        self.set_interval(0.5, self.follow_engine)

    def follow_engine(self) -> None:
        """Update the list if another model has become ready."""
        if self.loaded != self._marked_model:
            self.fill()

    def on_unmount(self) -> None:
        """Stop listening to the downloads."""
        self.model_picker.downloads.listeners.remove(self.download_changed)

    @work(exclusive=True, group="probe", exit_on_error=False)
    async def probe(self) -> None:
        """Probe the machine and list the files, then show what fits."""
        with notify_errors(self, "task.probe"):
            hardware = await self.model_picker.probe()
            self.machine = self.model_picker.available_machine(hardware, self.loaded)
            self.steady_machine = self.model_picker.steady_machine(hardware)
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()
            description = self.model_picker.describe_machine(hardware, self.machine)
            self.machine_line.update(description)
            self.highlight_first()

    @work(exclusive=True, group="servers", exit_on_error=False)
    async def probe_servers(self) -> None:
        """List the servers, each with its state as soon as it answers."""
        async with aclosing(self.model_picker.servers()) as updates:
            async for rows in updates:
                self.servers = rows
                if self.model_list is not None:
                    self.model_list = replace(self.model_list, servers=rows)
                    self.fill()

    async def reassess(self) -> None:
        """Compute again which models fit, with the chosen context; in a thread, for it takes a moment."""
        if self.machine is None:
            return
        n_ctx = CONTEXT_STEPS[self.n_ctx_step]
        table = await to_thread(build_model_table, self.machine, self.disk_models, n_ctx, self.steady_machine)
        self.model_list = ModelList(
            table, DemoRow(self.model_picker.demo), self.servers, self._files_without_a_row()
        )
        self.fill()
        if self.model_picker.drafts is not None:
            await to_thread(read_draft_files, self.model_picker.drafts.value, table, self.disk_models)

    def _files_without_a_row(self) -> tuple[FileRow, ...]:
        self.model_picker.remember(self.loaded)
        listed = {model.file.path.expanduser().absolute() for model in self.disk_models}
        return tuple(
            FileRow(title, LocalModel(path))
            for path, title in self.model_picker.used_files.items()
            if path not in listed
        )

    def fill(self) -> None:
        """Fill the list with the matches of the search; the highlight stays on its model."""
        if self.model_list is None:
            return
        before = self.highlighted_id
        self._marked_model = self.loaded
        self.lines = self.model_list.lines(self.search_input.value)
        self.options.clear_options()
        self.options.add_options(
            Option(self.line_content(line), id=line_id, disabled=isinstance(line, Heading))
            for line_id, line in self.lines.items()
        )
        choosable = [line_id for line_id, line in self.lines.items() if not isinstance(line, Heading)]
        if choosable:
            chosen = before if before in self.lines else choosable[0]
            self.options.highlighted = list(self.lines).index(chosen)
        self.show_detail()

    def highlight_first(self) -> None:
        """Highlight the model in use; if that is not listed, the highlight stays on the first line."""
        for index, line in enumerate(self.lines.values()):
            is_model = isinstance(line, ModelRow) and self.is_in_use(self.variant(line))
            if is_model or (isinstance(line, FileRow) and self._uses(line)):
                self.options.highlighted = index

    # the list and the detail

    @property
    def loaded(self) -> LoadedModel | None:
        """The model in use, which may change while the screen is open."""
        return self._loaded_model()

    @property
    def highlighted_id(self) -> str | None:
        """The id of the highlighted line, on which the keys act."""
        option = self.options.highlighted_option
        return option.id if option else None

    @property
    def highlighted(self) -> Line | None:
        """The content of the highlighted line."""
        return self.lines.get(self.highlighted_id or "")

    def variant(self, row: ModelRow) -> ModelVariant:
        """Return the model of a row in the quant that is chosen."""
        return row.variants[chosen_variant_index(row, self.chosen_quants)]

    def line_content(self, line: Line) -> Content | FittingLine:
        """Return the text of a line of the list."""
        match line:
            case Heading(text_key=text_key):
                return Content(t(text_key))
            case DemoRow():
                return Content(
                    self._mark(self.loaded is not None and self.loaded.is_demo) + t("ui.models.demo")
                )
            case FileRow(title=title):
                return Content(self._mark(self._uses(line)) + terminal_safe(title))
            case ServerRow():
                is_in_use = self.loaded is not None and line.endpoint_root == self.loaded.path
                return model_list.server_line(line, self._mark(is_in_use))
            case ModelRow():
                variant = self.variant(line)
                mark = model_list.IN_USE_MARK if self.is_in_use(variant) else ""
                if not mark and self.model_list and self.model_list.table.is_recommended(variant):
                    mark = model_list.PICK_MARK
                download = self.model_picker.downloads.states.get(variant.key)
                is_offered = bool(self.model_list and self.model_list.table.offers_of(variant))
                return model_list.row_line(line.model.name, variant, mark, download, is_offered=is_offered)

    @staticmethod
    def _mark(is_in_use: bool) -> str:
        return f"{model_list.IN_USE_MARK} " if is_in_use else "  "

    def _uses(self, row: FileRow) -> bool:
        return self.loaded is not None and Path(self.loaded.path) == row.choice.path

    def is_in_use(self, variant: ModelVariant) -> bool:
        """Return True if the chat uses this file."""
        return bool(
            self.loaded
            and variant.file
            and Path(self.loaded.path) == variant.file.path.expanduser().absolute()
        )

    @on(OptionList.OptionHighlighted)
    def show_detail(self) -> None:
        """Explain the highlighted line."""
        line = self.highlighted
        if isinstance(line, ServerRow):
            self.detail.show(**model_list.server_detail(line))
            self.refresh_bindings()
            return
        if isinstance(line, FileRow) and not self.question:
            adapters = self.model_picker.adapter_sentence(line.choice.path)
            parts = filter(None, (str(line.choice.path), adapters))
            self.detail.show(reason=terminal_safe(SEPARATOR.join(parts)), draft=self._draft_line(line))
            self.refresh_bindings()
            return
        if not isinstance(line, ModelRow) or self.machine is None or self.model_list is None:
            is_demo = isinstance(line, DemoRow) and not self.question
            adapters = self.model_picker.adapter_sentence(self.model_picker.demo.path) if is_demo else ""
            draft = self._draft_line(line) if isinstance(line, DemoRow) and is_demo else ""
            self.detail.show(reason=terminal_safe(adapters) or self.question, draft=draft)
            self.refresh_bindings()
            return
        variant = self.variant(line)
        table = self.model_list.table
        offers = table.offers_of(variant)
        offer_text = describe_offers(offers, table.recommendation) if offers else ""
        facts = []
        if variant.file is not None:
            facts.append(self.model_picker.adapter_sentence(variant.file.path))
        download = self.model_picker.downloads.states.get(variant.key)
        self.detail.show(
            reason=Content.styled(terminal_safe(self.question), "$warning bold")
            if self.question
            else model_list.reason_line(line, variant, offer_text, *facts),
            quants=model_list.quants_line(line, chosen_variant_index(line, self.chosen_quants)),
            context=model_list.context_line(CONTEXT_STEPS, self.n_ctx_step),
            draft=self._draft_line(line),
            memory=model_list.progress_line(download)
            if download and download.phase is not DownloadPhase.DONE
            else model_list.memory_line(self.machine, variant.assessment),
            status="" if self.question else self._status_text(variant, download),
        )
        self.refresh_bindings()

    def _draft_line(self, line: Line) -> Content | str:
        drafts, machine, loaded = self.model_picker.drafts, self.machine, self.loaded
        if drafts is None or machine is None or self.model_list is None:
            return ""
        is_off = drafts.value == NO_DRAFT_MODEL  # then no file is read for it
        target = DraftTarget("", None) if is_off else self._draft_target(line, machine)
        is_in_use = isinstance(line, ModelRow) and self.is_in_use(self.variant(line))
        is_in_use = is_in_use or (isinstance(line, FileRow) and self._uses(line))
        return model_list.draft_line(
            find_draft_choice(drafts.value, target, machine, self.disk_models),
            self.model_list.table.draft_of(self.variant(line)) if isinstance(line, ModelRow) else None,
            loaded if is_in_use else None,
        )

    def _drafts_now(self, variant: ModelVariant) -> bool:
        """Return whether the model in use may have this file open, to draft."""
        drafts, machine, loaded = self.model_picker.drafts, self.machine, self.loaded
        if drafts is None or machine is None or loaded is None or not loaded.draft or variant.file is None:
            return False
        option = find_draft_choice(drafts.value, DraftTarget(loaded.name, None), machine, self.disk_models)
        return option.path == variant.file.path

    def _status_text(self, variant: ModelVariant, download: Download | None) -> str:
        if download is not None and download.phase is not DownloadPhase.DONE:
            return terminal_safe(download.message) or t(
                "ui.models.meanwhile" if download.is_running else "ui.models.go_on"
            )
        return model_list.origin_line(variant) or t("ui.models.enter_fetches", name=variant.reference)

    def download_changed(self, download: Download) -> None:
        """Update the row of a download; a complete model moves to the installed ones."""
        if download.phase is DownloadPhase.DONE:
            self.refresh_disk_models()
            return
        for line_id, line in self.lines.items():
            if isinstance(line, ModelRow) and self.variant(line).key == download.key:
                self.options.replace_option_prompt(line_id, self.line_content(line))
                if line_id == self.highlighted_id:
                    self.show_detail()

    @work(exclusive=True, group="disk", exit_on_error=False)
    async def refresh_disk_models(self) -> None:
        """List the model files again."""
        with notify_errors(self, "task.list_models"):
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()

    # the actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action is possible now."""
        line = self.highlighted
        match action:
            case "quant":
                return isinstance(line, ModelRow) and len(line.variants) > 1
            case "context":
                return self.machine is not None
            case "draft_model":
                is_model = isinstance(line, ModelRow | DemoRow | FileRow)
                return is_model and self.machine is not None and self.model_picker.drafts is not None
            case "pause":
                download = (
                    self.model_picker.downloads.states.get(self.variant(line).key)
                    if isinstance(line, ModelRow)
                    else None
                )
                return download is not None and download.phase is not DownloadPhase.DONE
            case "delete":
                return isinstance(line, ModelRow) and self._can_delete(self.variant(line))
            case _:
                return True

    @on(Input.Changed)
    def search_changed(self) -> None:
        """Search as the user types."""
        self._withdraw_question()
        self.fill()

    @on(OptionList.OptionSelected)
    def clicked(self) -> None:
        """Choose the clicked line."""
        self.action_choose()

    def action_move(self, step: int) -> None:
        """Move the highlight, skipping the headings, while the search keeps the focus."""
        self._withdraw_question()
        choosable = [index for index, line in enumerate(self.lines.values()) if not isinstance(line, Heading)]
        if choosable:
            current = self.options.highlighted
            position = choosable.index(current) + step if current in choosable else 0
            self.options.highlighted = choosable[max(0, min(len(choosable) - 1, position))]

    def action_quant(self, step: int) -> None:
        """Choose the next or the previous quant of the highlighted model."""
        self._withdraw_question()
        if isinstance(row := self.highlighted, ModelRow):
            index = (chosen_variant_index(row, self.chosen_quants) + step) % len(row.variants)
            self.chosen_quants[row.model.name] = row.variants[index].assessment.quant
            self.options.replace_option_prompt(self.highlighted_id or "", self.line_content(row))
            self.show_detail()

    @work(exclusive=True, group="context", exit_on_error=False)
    async def action_context(self, step: int) -> None:
        """Choose a larger or smaller context, and compute again which models fit."""
        self._withdraw_question()
        self.n_ctx_step = max(0, min(len(CONTEXT_STEPS) - 1, self.n_ctx_step + step))
        self.show_detail()
        await self.reassess()

    @work(exclusive=True, group="draft", exit_on_error=False)
    async def action_draft_model(self) -> None:
        """Let the user choose the model that drafts, by what it comes to beside the highlighted one."""
        self._withdraw_question()
        drafts, machine, line = self.model_picker.drafts, self.machine, self.highlighted
        if drafts is None or machine is None or line is None:
            return
        with notify_errors(self, "task.draft_model"):
            before = drafts.value

            def list_options() -> tuple[str, Sequence[DraftChoice]]:
                target = self._draft_target(line, machine)
                return target.title, list_draft_choices(target, machine, self.disk_models, before)

            title, options = await to_thread(list_options)
            value = await show_dialog(self, DraftChoiceScreen(title, options, before))
            if value is None:
                return
            drafts.choose(value)
            self.show_detail()
            label = model_list.draft_value_label(value)
            self.notify(t("ui.drafts.chosen", draft=terminal_safe(label)))

    def _draft_target(self, line: Line, machine: Machine) -> DraftTarget:
        match line:
            case ModelRow():
                return variant_target(self.variant(line))
            case FileRow(title=title, choice=choice):
                return find_draft_target(choice.path, title, machine)
            case _:
                demo = self.model_picker.demo.path
                return find_draft_target(demo, t("ui.drafts.demo"), machine)

    def action_choose(self) -> None:
        """Use or download the highlighted model, after a question if it does not fit."""
        if (confirmed := self._pending_action) is not None:
            self._withdraw_question()
            confirmed()
            return
        match self.highlighted:
            case DemoRow(choice=choice) | FileRow(choice=choice) | ServerRow(choice=choice):
                self.dismiss(choice)
            case ModelRow() as row:
                self._choose(self.variant(row))

    def _choose(self, variant: ModelVariant) -> None:
        download = self.model_picker.downloads.states.get(variant.key)
        action: Callable[[], object]
        if variant.file is not None:
            action = partial(self.dismiss, LocalModel(variant.file.path, CONTEXT_STEPS[self.n_ctx_step]))
            question_key = "ui.models.use_anyway"
        elif download is not None and download.is_running:
            return
        else:
            action = partial(self._fetch, variant)
            question_key = "ui.models.fetch_anyway"
        if variant.assessment.fit is Fit.TOO_LARGE:
            self._ask(t(question_key, reason=variant.assessment.reason), action)
        else:
            action()

    @work(exclusive=True, group="pause", exit_on_error=False)
    async def action_pause(self) -> None:
        """Pause or resume the download of the highlighted model."""
        if isinstance(row := self.highlighted, ModelRow):
            variant = self.variant(row)
            download = self.model_picker.downloads.states.get(variant.key)
            if download is not None and download.is_running:
                await self.model_picker.downloads.pause(variant.key)
            else:
                self._fetch(variant)

    def _fetch(self, variant: ModelVariant) -> None:
        """Download a model, or resume the download that was begun, from its own source."""
        begun = self.model_picker.downloads.states.get(variant.key)
        self.model_picker.downloads.start(
            begun.reference if begun else variant.reference, variant.key, variant.size_bytes
        )

    def action_delete(self) -> None:
        """Ask whether to delete the highlighted model, or its partial download."""
        row = self.highlighted
        if not isinstance(row, ModelRow):
            return
        variant = self.variant(row)
        if self.is_in_use(variant) or self._drafts_now(variant):
            key = "ui.models.in_use" if self.is_in_use(variant) else "ui.drafts.in_use"
            self.notify(t(key), severity="warning")
            return
        with notify_errors(self, "task.delete_model"):
            try:
                removal = self.model_picker.plan_removal(variant)
            except Qwen3ChatError:
                if variant.key not in self.model_picker.downloads.states:
                    raise
                removal = Removal((), 0)  # nothing has arrived yet
            size = format_size(removal.freed_bytes)
            question_key = "ui.models.delete" if variant.file is not None else "ui.models.give_up"
            question = t(question_key, name=variant.title, size=size)
            self._ask(question, partial(self._delete, variant))

    @work(exclusive=True, group="delete", exit_on_error=False)
    async def _delete(self, variant: ModelVariant) -> None:
        with notify_errors(self, "task.delete_model"):
            if variant.key in self.model_picker.downloads.states:
                await self.model_picker.downloads.discard(variant.key)
            try:
                removal = self.model_picker.plan_removal(variant)
            except Qwen3ChatError:
                removal = Removal((), 0)
            self.model_picker.remove(removal)
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()

    def action_close(self) -> None:
        """Withdraw a question, or return to the chat."""
        if not self._withdraw_question():
            self.dismiss(None)

    def _ask(self, question: str, action: Callable[[], object]) -> None:
        self._pending_action, self.question = action, question
        self.show_detail()

    def _withdraw_question(self) -> bool:
        """Withdraw the question; return True if there was one."""
        was_asked = self._pending_action is not None
        self._pending_action, self.question = None, ""
        if was_asked:
            self.show_detail()
        return was_asked

    def _can_delete(self, variant: ModelVariant) -> bool:
        download = self.model_picker.downloads.states.get(variant.key)
        return variant.file is not None or (download is not None and download.phase is not DownloadPhase.DONE)
