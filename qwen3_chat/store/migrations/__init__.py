"""The steps from an empty file to the current schema, in their order.

A step is never changed once released; what it can't foresee is a new step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from qwen3_chat.store.migrations import (
    m0001_conversations,
    m0002_full_text_search,
    m0003_deletions_and_chat_options,
)

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: Final[tuple[Migration, ...]] = (
    m0001_conversations.apply,
    m0002_full_text_search.apply,
    m0003_deletions_and_chat_options.apply,
)
