"""The table of settings: names, types, ranges, defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from qwen3_chat.config.paths import expand_home
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.request import MAX_WARM_MINUTES
from qwen3_chat.sampling import MAX_TOKEN_LIMIT, sampling_parameter
from qwen3_chat.texts import Language

_PRESENCE_PENALTY = sampling_parameter("presence_penalty")


class Settings(Struct, frozen=True):
    """The user's choices; every default suits most users, and None leaves the choice to the app."""

    language: Language | None = None
    theme: str = "qwen-dark"
    reduced_motion: bool = False
    enter_key: Literal["send", "new_line"] = "send"
    thinking_display: Literal["auto", "open", "closed"] = "auto"
    maths: Literal["drawn", "source"] = "drawn"
    reading_width: Annotated[int, Meta(ge=0, le=1000)] = 100
    notifications: Literal["auto", "bell", "off"] = "auto"
    terminal_title: Literal["state", "chat", "off"] = "state"
    model: str | None = None
    draft: str | None = None
    model_folders: tuple[str, ...] = ()
    system_prompt: str = ""
    thinking_budget: Annotated[int, Meta(ge=0, le=MAX_TOKEN_LIMIT)] | None = None
    presence_penalty: (
        Annotated[float, Meta(ge=_PRESENCE_PENALTY.minimum, le=_PRESENCE_PENALTY.maximum)] | None
    ) = None
    context_policy: ContextPolicy = ContextPolicy.ASK
    calibrate: bool = True
    snapshots_gib: Annotated[float, Meta(ge=0, le=1024)] = 2.0
    warm_minutes: Annotated[float, Meta(ge=0, le=MAX_WARM_MINUTES)] = 0.0
    chat_titles: bool = True
    tools: tuple[str, ...] = ()
    tool_folders: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    export_folder: str | None = None
    export_format: ExportFormat = ExportFormat.MARKDOWN
    export_thinking: ThinkingStyle = ThinkingStyle.FOLDED
    keys: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def export_dir(self) -> Path | None:
        """The export folder as a path."""
        return None if self.export_folder is None else expand_home(self.export_folder)
