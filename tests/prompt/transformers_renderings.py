"""The texts that transformers makes of conversations by the chat templates of llama.cpp, as digests.

`python -m tests.prompt.transformers_renderings` writes them, with a Python that has transformers and Jinja
(5.24.0 and 3.1.6 were taken; torch is not needed). Nothing of this package takes part. The templates are in
`build`, once `scripts/test` ran.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.prompt.wild_conversations import CONVERSATIONS, TOOLS

FILE = Path(__file__).with_name("transformers_renderings.json")
TEMPLATES = Path(__file__).parents[2] / "build" / "qwen3" / "templates"
NAMED_TOKENS = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
REFUSED = "refused"
CASES = [
    (name, thinks, has_tools)
    for name, thinks, has_tools in itertools.product(CONVERSATIONS, (True, False), (True, False))
]


class FixedDay(datetime):
    """A clock that stands still, for templates that tell the date."""

    @classmethod
    def now(cls, tz: Any = None) -> FixedDay:
        return cls(2026, 11, 30, 12, tzinfo=tz)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def digests(render: Callable[[str, bool, bool], str | None]) -> str:
    """Return the digests of all cases in a line; None stands for a refusal."""
    texts = [render(*case) for case in CASES]
    return " ".join(REFUSED if text is None else digest(text) for text in texts)


def main() -> None:
    utils = importlib.import_module("transformers.utils.chat_template_utils")
    setattr(utils, "datetime", FixedDay)  # noqa: B010 - mypy knows no such name in a module
    lines = {}
    for path in sorted(TEMPLATES.glob("*.jinja")):
        source = path.read_text("utf-8")

        def render(name: str, thinks: bool, has_tools: bool, source: str = source) -> str | None:
            try:
                texts, _ = utils.render_jinja_template(
                    [CONVERSATIONS[name]],
                    tools=TOOLS if has_tools else None,
                    chat_template=source,
                    add_generation_prompt=True,
                    enable_thinking=thinks,
                    thinking=thinks,
                    **NAMED_TOKENS,
                )
            except Exception:  # whatever the template raises is its refusal
                return None
            return str(texts[0])

        lines[path.stem] = f"{digest(source)} {digests(render)}"
    FILE.write_text(json.dumps(lines, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
