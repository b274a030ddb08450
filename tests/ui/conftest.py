"""The fixture that starts the application over a scripted engine."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.fakes import FakeEngine
from tests.harness import Harness, Start, open_app


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts the app with an engine, on a terminal of a size, in a stored chat."""

    def run(
        engine: FakeEngine | None = None, size: tuple[int, int] = (80, 24), resume: int | None = None
    ) -> AbstractAsyncContextManager[Harness]:
        return open_app(tmp_path, engine or FakeEngine(), size, resume)

    return run
