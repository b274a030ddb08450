"""The status line: mode, model, context, speed."""

from __future__ import annotations

from msgspec import Struct
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from qwen3_chat.chat import ThinkingMode, Timings, Usage
from qwen3_chat.request import LLAMA_CPP_NAME, LoadedModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, draft_figures, format_speed
from qwen3_chat.texts.terminal_safe import terminal_safe


class Status(Struct, frozen=True):
    """The contents of the status bar.

    A None is not known yet; without `counts_exactly` the tokens are estimated.
    """

    mode: ThinkingMode
    model: LoadedModel | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    counts_exactly: bool = True
    versions: tuple[int, int] = (1, 1)
    """The number of the shown version of the end of the chat, and the count of versions."""
    n_tools: int = 0
    """The number of tools and servers that the chat offers to the model."""
    mode_is_fixed: bool = False
    """True if the model has only this mode."""
    download: str = ""
    """The progress of the downloads; empty while there are none."""
    compiled_percent: int | None = None
    """The progress of the compilation of llama.cpp; None while there is none."""


def status_parts(status: Status) -> list[str]:
    """Return the parts of the bar after the mode, the most important first."""
    parts = []
    model, usage, timings = status.model, status.usage, status.timings
    if model is not None:
        parts.append(terminal_safe(model.title))
        # The last token was sampled, but there may be no cell left in the context to evaluate it in.
        used = min(usage.context_tokens, model.n_ctx) if usage else 0
        shown = f"{used}" if status.counts_exactly else f"≈{used}"
        parts.append(
            t("ui.status.context", used=shown, n_ctx=model.n_ctx, percent=round(100 * used / model.n_ctx))
        )
    if status.compiled_percent is not None:
        parts.insert(0, t("ui.status.compiling", percent=status.compiled_percent))
    if status.download:
        parts.insert(0, terminal_safe(status.download))
    if status.n_tools:
        parts.append(tools_part(status))
    if status.versions[1] > 1:
        parts.append(t("ui.status.variant", shown=status.versions[0], count=status.versions[1]))
    if timings is not None and timings.tokens_per_s:
        parts.append(format_speed(timings.tokens_per_s))
    if timings is not None and timings.drafted_tokens:
        key = "ui.status.drafts_paused" if timings.draft_pauses else "ui.status.drafts"
        parts.append(t(key, **draft_figures(timings)))
    if usage is not None and usage.reused_tokens:
        parts.append(t("ui.status.reused", reused=usage.reused_tokens, prompt=usage.prompt_tokens))
    if model is not None:
        parts.append(
            t("ui.status.layers", device=model.device, done=model.n_gpu_layers, total=model.n_layers)
            if model.n_gpu_layers
            else model.device
        )
        if model.library not in ("", LLAMA_CPP_NAME):
            parts.append(model.library)
    return parts


def tools_part(status: Status) -> str:
    """Return the part of the bar about the tools, which opens their list."""
    return t("ui.status.tools", count=status.n_tools)


class StatusBar(Widget):
    """One row with the status; the rightmost parts are left out where there is no room."""

    COMPONENT_CLASSES = {"status-bar--think", "status-bar--no-think", "status-bar--part"}
    DEFAULT_CSS = """
    StatusBar {
        height: 1;
        padding: 0 1;
        background: $surface;
        .status-bar--think { color: $primary; text-style: bold; }
        .status-bar--no-think { color: $foreground 70%; text-style: bold; }
        .status-bar--part { color: $foreground 68%; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[range, str]] = []
        """The columns that can be clicked, with their actions."""

    status: reactive[Status] = reactive(Status(ThinkingMode.THINK))

    async def on_click(self, event: events.Click) -> None:
        """Switch the mode, open the models or the tools of the chat, whichever part was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for columns, action in self._places:
            if offset.x in columns:
                event.stop()
                await self.run_action(f"screen.{action}")

    def render(self) -> RenderResult:
        """Draw the mode, then the parts that fit."""
        mode = self.status.mode
        style = "status-bar--think" if mode is ThinkingMode.THINK else "status-bar--no-think"
        kind = "fixed" if self.status.mode_is_fixed else "mode"
        line = Content.styled(t(f"ui.{kind}.{mode.value}"), self.get_visual_style(style))
        self._places = [(range(line.cell_length), "toggle_mode")]
        for part in status_parts(self.status):
            longer = line + Content.styled(SEPARATOR + part, self.get_visual_style("status-bar--part"))
            if longer.cell_length > self.content_size.width:
                break
            if self.status.model is not None and part == terminal_safe(self.status.model.title):
                self._places.append((range(line.cell_length, longer.cell_length), "models"))
            if part == tools_part(self.status):
                self._places.append((range(line.cell_length, longer.cell_length), "tools"))
            line = longer
        return line
