"""The model picker's screen: which Qwen3 fits this machine, why, how fast it will be; download it, use it."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import getters, on, work
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
from qwen3_chat.request import LoadedModel
from qwen3_chat.session import EngineChoice, LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.ui import model_list
from qwen3_chat.ui.error_notices import notify_errors
from qwen3_chat.ui.key_bindings import key_binding
from qwen3_chat.ui.model_list import CONTEXT_STEPS, DemoRow, Heading, Line, ModelList, chosen_variant_index
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.widgets.key_bar import KeyBar


class ModelDetail(Vertical):
    """A paragraph and four lines that are always there, so that nothing jumps."""

    DEFAULT_CSS = """
    ModelDetail {
        height: 8;
        padding: 0 1;
        background: $surface;
        border-top: solid $primary 40%;
        Static { height: 1; }
        #model-reason { height: 3; }
        #model-said { color: $accent; }
    }
    """
    NAMES = ("reason", "quants", "context", "memory", "said")

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        for name in self.NAMES:
            yield Static(id=f"model-{name}", markup=False)

    def show(self, **lines: Content | str) -> None:
        """Set the lines; what isn't given is empty."""
        for name in self.NAMES:
            self.query_one(f"#model-{name}", Static).update(lines.get(name, ""))


class ModelPickerView(Dialog[EngineChoice | None]):
    """Follows the machine, the files and the downloads; `ModelPickerScreen` adds what can be done."""

    DEFAULT_CSS = """
    ShelfScreen {
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
        KeyBar { background: $surface; }
    }
    """

    n_ctx_step: var[int] = var(0, init=False)
    question: var[str] = var("", init=False)
    """What Enter would confirm; empty where nothing is asked."""

    search_input = getters.query_one(Input)
    options = getters.query_one(OptionList)
    detail = getters.query_one(ModelDetail)

    def __init__(self, model_picker: ModelPicker, loaded_model: Callable[[], LoadedModel | None]) -> None:
        super().__init__()
        self.model_picker = model_picker
        self._loaded_model = loaded_model
        self._marked_model: LoadedModel | None = None
        self.disk_models: tuple[DiskModel, ...] = ()
        self.machine: Machine | None = None
        self.model_list: ModelList | None = None
        self.servers: Sequence[ServerRow] = ()
        self.lines: dict[str, Line] = {}
        self.chosen_quants: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Lay out machine, search, list, detail, keys."""
        with Vertical(id="models-box") as box:
            box.border_title = t("ui.models.title")
            yield Static(t("ui.models.looking"), id="models-machine", markup=False)
            yield Input(placeholder=t("ui.models.search"))
            yield OptionList()
            yield ModelDetail()
            yield KeyBar()

    def on_mount(self) -> None:
        """Look at the machine while the screen is there already."""
        self.search_input.focus()
        self.model_picker.downloads.listeners.append(self.download_changed)
        self.probe()
        self.probe_servers()
        self.set_interval(0.5, self.follow_engine)

    def follow_engine(self) -> None:
        """Mark another line where another model has become ready."""
        if self.loaded != self._marked_model:
            self.fill()

    def on_unmount(self) -> None:
        """Listen no more."""
        self.model_picker.downloads.listeners.remove(self.download_changed)

    @work(exclusive=True, group="look")
    async def probe(self) -> None:
        """Probe the machine and list the files, then show what fits."""
        with notify_errors(self):
            hardware = await self.model_picker.probe()
            self.machine = self.model_picker.available_machine(hardware, self.loaded)
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()
            words = self.model_picker.describe_machine(hardware, self.machine)
            self.query_one("#models-machine", Static).update(words)
            self.highlight_first()

    @work(exclusive=True, group="servers")
    async def probe_servers(self) -> None:
        """List the servers, each with its state as soon as it answers."""
        async with aclosing(self.model_picker.servers()) as asked:
            async for rows in asked:
                self.servers = rows
                if self.model_list is not None:
                    self.model_list = replace(self.model_list, servers=rows)
                    self.fill()

    async def reassess(self) -> None:
        """Reckon anew what fits, with the context that is wished for; there is much to add up."""
        if self.machine is None:
            return
        n_ctx = CONTEXT_STEPS[self.n_ctx_step]
        found = await to_thread(build_model_table, self.machine, self.disk_models, n_ctx)
        self.model_list = ModelList(found, DemoRow(self.model_picker.demo), self.servers)
        self.fill()

    def fill(self) -> None:
        """Fill the list with what the search leaves; the highlight stays on its model."""
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
        """Begin at the model in use, or at the recommended one where that is only the demo."""
        for at, line in enumerate(self.lines.values()):
            if isinstance(line, ModelRow) and self.is_in_use(self.variant(line)):
                self.options.highlighted = at

    # what is shown

    @property
    def loaded(self) -> LoadedModel | None:
        """The model in use; it may become ready while the screen is open."""
        return self._loaded_model()

    @property
    def highlighted_id(self) -> str | None:
        """The line that the keys act on."""
        option = self.options.highlighted_option
        return option.id if option else None

    @property
    def highlighted(self) -> Line | None:
        """What is on it."""
        return self.lines.get(self.highlighted_id or "")

    def variant(self, row: ModelRow) -> ModelVariant:
        """Return a model in the quant that is shown."""
        return row.variants[chosen_variant_index(row, self.chosen_quants)]

    def line_content(self, line: Line) -> Content:
        """Write a line of the list."""
        match line:
            case Heading(text_key=text):
                return Content(t(text))
            case DemoRow():
                return Content(
                    self._mark(self.loaded is not None and self.loaded.is_demo) + t("ui.models.demo")
                )
            case ServerRow():
                is_in_use = self.loaded is not None and line.endpoint_root == self.loaded.path
                return model_list.server_line(line, self._mark(is_in_use))
            case ModelRow():
                offer = self.variant(line)
                mark = model_list.IN_USE_MARK if self.is_in_use(offer) else ""
                if not mark and self.model_list and self.model_list.table.is_recommended(offer):
                    mark = model_list.PICK_MARK
                download = self.model_picker.downloads.states.get(offer.key)
                return model_list.row_line(line.model.name, offer, mark, download)

    @staticmethod
    def _mark(is_in_use: bool) -> str:
        return f"{model_list.IN_USE_MARK} " if is_in_use else "  "

    def is_in_use(self, variant: ModelVariant) -> bool:
        """Tell whether the chat runs with this file."""
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
        if not isinstance(line, ModelRow) or self.machine is None or self.model_list is None:
            self.detail.show(reason=self.question)
            self.refresh_bindings()
            return
        offer = self.variant(line)
        found = self.model_list.table
        pick = str(found.recommendation.reason) if offer.key == found.pick else ""
        download = self.model_picker.downloads.states.get(offer.key)
        self.detail.show(
            reason=Content.styled(terminal_safe(self.question), "$warning bold")
            if self.question
            else model_list.reason_line(line, offer, pick),
            quants=model_list.quants_line(line, chosen_variant_index(line, self.chosen_quants)),
            context=model_list.context_line(CONTEXT_STEPS, self.n_ctx_step),
            memory=model_list.progress_line(download)
            if download and download.phase is not DownloadPhase.DONE
            else model_list.memory_line(self.machine, offer.assessment),
            said="" if self.question else self._status_text(offer, download),
        )
        self.refresh_bindings()

    def _status_text(self, variant: ModelVariant, download: Download | None) -> str:
        if download is not None and download.phase is not DownloadPhase.DONE:
            return terminal_safe(download.message) or t(
                "ui.models.meanwhile" if download.is_running else "ui.models.go_on"
            )
        return model_list.origin_line(variant) or t("ui.models.enter_fetches", name=variant.reference)

    def download_changed(self, download: Download) -> None:
        """Bring one row up to date; a model that has arrived moves to those that are here."""
        if download.phase is DownloadPhase.DONE:
            self.refresh_disk_models()
            return
        for line_id, line in self.lines.items():
            if isinstance(line, ModelRow) and self.variant(line).key == download.key:
                self.options.replace_option_prompt(line_id, self.line_content(line))
                if line_id == self.highlighted_id:
                    self.show_detail()

    @work(exclusive=True, group="disk")
    async def refresh_disk_models(self) -> None:
        """List the files anew."""
        with notify_errors(self):
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()


class ModelPickerScreen(ModelPickerView):
    """Typing searches; the chat behind goes on, and so do downloads when the screen is left."""

    BINDINGS = [
        key_binding("use_model", "enter", "choose", priority=True),
        key_binding("quant", "tab", "quant(1)", priority=True),
        Binding("shift+tab", "quant(-1)", show=False, priority=True),
        key_binding("context", "right", "context(1)", priority=True),
        Binding("left", "context(-1)", show=False, priority=True),
        key_binding("pause", "f3", "pause", priority=True),
        key_binding("delete_model", "ctrl+d", "delete", priority=True),
        key_binding("close", "escape,f7", "close", priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
    ]

    _pending_action: Callable[[], object] | None = None
    """What Enter does while it is asked for."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done now."""
        line = self.highlighted
        match action:
            case "quant":
                return isinstance(line, ModelRow) and len(line.variants) > 1
            case "context":
                return self.machine is not None
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
        """Choose the line that was clicked."""
        self.action_choose()

    def action_move(self, step: int) -> None:
        """Move the highlight over the headings while the search keeps the focus."""
        self._withdraw_question()
        choosable = [at for at, line in enumerate(self.lines.values()) if not isinstance(line, Heading)]
        if choosable:
            now = self.options.highlighted
            place = choosable.index(now) + step if now in choosable else 0
            self.options.highlighted = choosable[max(0, min(len(choosable) - 1, place))]

    def action_quant(self, step: int) -> None:
        """Go to the model's next quant."""
        self._withdraw_question()
        if isinstance(row := self.highlighted, ModelRow):
            at = (chosen_variant_index(row, self.chosen_quants) + step) % len(row.variants)
            self.chosen_quants[row.model.name] = row.variants[at].assessment.quant
            self.options.replace_option_prompt(self.highlighted_id or "", self.line_content(row))
            self.show_detail()

    @work(exclusive=True, group="context")
    async def action_context(self, step: int) -> None:
        """Ask for more or less context; what fits is reckoned anew."""
        self._withdraw_question()
        self.n_ctx_step = max(0, min(len(CONTEXT_STEPS) - 1, self.n_ctx_step + step))
        self.show_detail()
        await self.reassess()

    def action_choose(self) -> None:
        """Use the highlighted model, or fetch it; ask first where it does not fit."""
        if (confirmed := self._pending_action) is not None:
            self._withdraw_question()
            confirmed()
            return
        match self.highlighted:
            case DemoRow(choice=choice) | ServerRow(choice=choice):
                self.dismiss(choice)
            case ModelRow() as row:
                self._choose(self.variant(row))

    def _choose(self, variant: ModelVariant) -> None:
        download = self.model_picker.downloads.states.get(variant.key)
        does: Callable[[], object]
        if variant.file is not None:
            does = partial(self.dismiss, LocalModel(variant.file.path, CONTEXT_STEPS[self.n_ctx_step]))
            key_of_question = "ui.models.use_anyway"
        elif download is not None and download.is_running:
            return
        else:
            does = partial(self._fetch, variant)
            key_of_question = "ui.models.fetch_anyway"
        if variant.assessment.fit is Fit.TOO_LARGE:
            self._ask(t(key_of_question, reason=variant.assessment.reason), does)
        else:
            does()

    @work(exclusive=True, group="pause")
    async def action_pause(self) -> None:
        """Stop the download of the highlighted model, or go on with it."""
        if isinstance(row := self.highlighted, ModelRow):
            offer = self.variant(row)
            download = self.model_picker.downloads.states.get(offer.key)
            if download is not None and download.is_running:
                await self.model_picker.downloads.pause(offer.key)
            else:
                self._fetch(offer)

    def _fetch(self, variant: ModelVariant) -> None:
        """Fetch a model, or go on with the very file that was begun."""
        begun = self.model_picker.downloads.states.get(variant.key)
        self.model_picker.downloads.start(
            begun.reference if begun else variant.reference, variant.key, variant.size_bytes
        )

    def action_delete(self) -> None:
        """Ask whether the highlighted model, or what arrived of it, is to be deleted."""
        row = self.highlighted
        if not isinstance(row, ModelRow):
            return
        offer = self.variant(row)
        if self.is_in_use(offer):
            self.notify(t("ui.models.in_use"), severity="warning")
            return
        with notify_errors(self):
            try:
                removal = self.model_picker.plan_removal(offer.key)
            except Qwen3ChatError:
                if offer.key not in self.model_picker.downloads.states:
                    raise
                removal = Removal((), 0)  # nothing has arrived yet
            size = format_size(removal.freed_bytes)
            what = "ui.models.delete" if offer.file is not None else "ui.models.give_up"
            question = t(what, name=" ".join(offer.key), size=size)
            self._ask(question, partial(self._delete, offer))

    @work(exclusive=True, group="delete")
    async def _delete(self, variant: ModelVariant) -> None:
        with notify_errors(self):
            if variant.key in self.model_picker.downloads.states:
                await self.model_picker.downloads.discard(variant.key)
            try:
                removal = self.model_picker.plan_removal(variant.key)
            except Qwen3ChatError:
                removal = Removal((), 0)
            self.model_picker.remove(removal)
            self.disk_models = await self.model_picker.list_disk_models()
            await self.reassess()

    def action_close(self) -> None:
        """Take a question back, or return to the chat."""
        if not self._withdraw_question():
            self.dismiss(None)

    def _ask(self, question: str, action: Callable[[], object]) -> None:
        self._pending_action, self.question = action, question
        self.show_detail()

    def _withdraw_question(self) -> bool:
        """Forget what was asked; tell whether something was."""
        was_asked = self._pending_action is not None
        self._pending_action, self.question = None, ""
        if was_asked:
            self.show_detail()
        return was_asked

    def _can_delete(self, variant: ModelVariant) -> bool:
        download = self.model_picker.downloads.states.get(variant.key)
        return variant.file is not None or (download is not None and download.phase is not DownloadPhase.DONE)
