"""Chat templates rendered in this process, for tests and benchmarks with templates that are trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwen3_chat.engine.worker.template_process import (
    StopCheck,
    compile_request,
    never_stops,
    read_answer,
    render_request,
)
from qwen3_chat.template_sandbox.jinja_sandbox import JinjaSandbox


class InPlaceRenderer:
    """The renderer of the worker without its process: the same requests, the same answers."""

    def __init__(self) -> None:
        self._sandbox = JinjaSandbox()

    def compile(self, source: str, is_stopped: StopCheck = never_stops) -> None:
        """Compile a template."""
        read_answer(self._sandbox.answer(compile_request(source)))

    def render(self, variables: Mapping[str, Any], is_stopped: StopCheck = never_stops) -> str:
        """Render the template."""
        return read_answer(self._sandbox.answer(render_request(variables)))
