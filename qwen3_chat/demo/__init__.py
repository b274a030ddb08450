"""The demo model that ships with the app: its file, and the names that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DEMO_FILE: Final = Path(__file__).with_name("demo-Q8_0.gguf")

DEMO_REFERENCE: Final = "demo"
"""The name by which a user asks for it."""

DEMO_MODEL_NAME: Final = "Qwen3-chat demo"
"""The name in the header of its file, which replies and exports show."""
