"""What the model screen shows: the list with its marks, and what there is to say of the highlighted line."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import var
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from qwen3_chat.fit import Machine
from qwen3_chat.plain import plain
from qwen3_chat.request import LoadedModel
from qwen3_chat.session import EngineChoice
from qwen3_chat.shelf import DiskModel, Download, ModelDesk, ModelRow, Offer, Phase, ServerRow, shelf
from qwen3_chat.texts import t
from qwen3_chat.ui import model_lines
from qwen3_chat.ui.model_list import CONTEXT_STEPS, DemoRow, Heading, Line, ModelList, offer_of
from qwen3_chat.ui.screens.dialog import Dialog
from qwen3_chat.ui.telling import telling
from qwen3_chat.ui.widgets.key_bar import KeyBar
from qwen3_chat.ui.widgets.model_detail import ModelDetail


class ShelfScreen(Dialog[EngineChoice | None]):
    """Follows the machine, the files and the downloads; `ModelsScreen` adds what can be done."""

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
    asking: var[str] = var("", init=False)
    """What Enter would confirm; empty where nothing is asked."""

    line = getters.query_one(Input)
    options = getters.query_one(OptionList)
    detail = getters.query_one(ModelDetail)

    def __init__(self, desk: ModelDesk, loaded_model: Callable[[], LoadedModel | None]) -> None:
        super().__init__()
        self.desk = desk
        self._loaded_model = loaded_model
        self._marked: LoadedModel | None = None
        self.disk: tuple[DiskModel, ...] = ()
        self.machine: Machine | None = None
        self.model_list: ModelList | None = None
        self.servers: Sequence[ServerRow] = ()
        self.lines: dict[str, Line] = {}
        self.quants: dict[str, str] = {}

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
        self.line.focus()
        self.desk.downloads.listeners.append(self.download_changed)
        self.look()
        self.ask_servers()
        self.set_interval(0.5, self.follow_engine)

    def follow_engine(self) -> None:
        """Mark another line where another model has become ready."""
        if self.loaded != self._marked:
            self.fill()

    def on_unmount(self) -> None:
        """Listen no more."""
        self.desk.downloads.listeners.remove(self.download_changed)

    @work(exclusive=True, group="look")
    async def look(self) -> None:
        """Probe the machine and list the files, then show what fits."""
        with telling(self):
            hardware = await self.desk.look()
            self.machine = self.desk.machine(hardware, self.loaded)
            self.disk = await self.desk.disk()
            await self.lay_out()
            words = self.desk.in_words(hardware, self.machine)
            self.query_one("#models-machine", Static).update(words)
            self.highlight_first()

    @work(exclusive=True, group="servers")
    async def ask_servers(self) -> None:
        """List the servers, each with its state as soon as it answers."""
        async with aclosing(self.desk.servers()) as asked:
            async for rows in asked:
                self.servers = rows
                if self.model_list is not None:
                    self.model_list = replace(self.model_list, servers=rows)
                    self.fill()

    async def lay_out(self) -> None:
        """Reckon anew what fits, with the context that is wished for; there is much to add up."""
        if self.machine is None:
            return
        n_ctx = CONTEXT_STEPS[self.n_ctx_step]
        found = await to_thread(shelf, self.machine, self.disk, n_ctx)
        self.model_list = ModelList(found, DemoRow(self.desk.demo), self.servers)
        self.fill()

    def fill(self) -> None:
        """Fill the list with what the search leaves; the highlight stays on its model."""
        if self.model_list is None:
            return
        before = self.highlighted_id
        self._marked = self.loaded
        self.lines = self.model_list.lines(self.line.value)
        self.options.clear_options()
        self.options.add_options(
            Option(self.prompt(line), id=line_id, disabled=isinstance(line, Heading))
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
            if isinstance(line, ModelRow) and self.is_in_use(self.offer(line)):
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

    def offer(self, row: ModelRow) -> Offer:
        """Return a model in the quant that is shown."""
        return row.offers[offer_of(row, self.quants)]

    def prompt(self, line: Line) -> Content:
        """Write a line of the list."""
        match line:
            case Heading(text=text):
                return Content(t(text))
            case DemoRow():
                return Content(
                    self._mark(self.loaded is not None and self.loaded.is_demo) + t("ui.models.demo")
                )
            case ServerRow():
                is_in_use = self.loaded is not None and line.root == self.loaded.path
                return model_lines.server_line(line, self._mark(is_in_use))
            case ModelRow():
                offer = self.offer(line)
                mark = model_lines.IN_USE_MARK if self.is_in_use(offer) else ""
                if not mark and self.model_list and self.model_list.shelf.is_recommended(offer):
                    mark = model_lines.PICK_MARK
                download = self.desk.downloads.states.get(offer.key)
                return model_lines.row_line(line.model.name, offer, mark, download)

    @staticmethod
    def _mark(is_in_use: bool) -> str:
        return f"{model_lines.IN_USE_MARK} " if is_in_use else "  "

    def is_in_use(self, offer: Offer) -> bool:
        """Tell whether the chat runs with this file."""
        return bool(
            self.loaded and offer.file and Path(self.loaded.path) == offer.file.path.expanduser().absolute()
        )

    @on(OptionList.OptionHighlighted)
    def show_detail(self) -> None:
        """Explain the highlighted line."""
        line = self.highlighted
        if isinstance(line, ServerRow):
            self.detail.show(**model_lines.server_detail(line))
            self.refresh_bindings()
            return
        if not isinstance(line, ModelRow) or self.machine is None or self.model_list is None:
            self.detail.show(reason=self.asking)
            self.refresh_bindings()
            return
        offer = self.offer(line)
        found = self.model_list.shelf
        pick = str(found.recommendation.reason) if offer.key == found.pick else ""
        download = self.desk.downloads.states.get(offer.key)
        self.detail.show(
            reason=Content.styled(plain(self.asking), "$warning bold")
            if self.asking
            else model_lines.reason_line(line, offer, pick),
            quants=model_lines.quants_line(line, offer_of(line, self.quants)),
            context=model_lines.context_line(CONTEXT_STEPS, self.n_ctx_step),
            memory=model_lines.progress_line(download)
            if download and download.phase is not Phase.DONE
            else model_lines.memory_line(self.machine, offer.assessment),
            said="" if self.asking else self._said(offer, download),
        )
        self.refresh_bindings()

    def _said(self, offer: Offer, download: Download | None) -> str:
        if download is not None and download.phase is not Phase.DONE:
            return plain(download.said) or t(
                "ui.models.meanwhile" if download.is_running else "ui.models.go_on"
            )
        return model_lines.origin_line(offer) or t("ui.models.enter_fetches", name=offer.wanted)

    def download_changed(self, download: Download) -> None:
        """Bring one row up to date; a model that has arrived moves to those that are here."""
        if download.phase is Phase.DONE:
            self.arrived()
            return
        for line_id, line in self.lines.items():
            if isinstance(line, ModelRow) and self.offer(line).key == download.key:
                self.options.replace_option_prompt(line_id, self.prompt(line))
                if line_id == self.highlighted_id:
                    self.show_detail()

    @work(exclusive=True, group="disk")
    async def arrived(self) -> None:
        """List the files anew."""
        with telling(self):
            self.disk = await self.desk.disk()
            await self.lay_out()
