"""What the guide of the tools shows: its server of one's own runs, its well-known example is read."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport, read_servers
from qwen3_chat.mcp.server_status import McpState
from tests.conftest import REPOSITORY
from tests.mcp.real_servers import running_tools

GUIDES = [REPOSITORY / "docs" / "tools.md", REPOSITORY / "docs" / "zh" / "tools.md"]


def block(guide: Path, language: str) -> str:
    """Return the first block of code in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", guide.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("guide", GUIDES, ids=["en", "zh"])
def test_the_well_known_example_is_read_as_it_stands(guide: Path) -> None:
    servers = read_servers(block(guide, "json"), guide)
    assert {name: (s.command, s.arguments) for name, s in servers.usable.items()} == {
        "time": ("uvx", ("mcp-server-time", "--local-timezone=Asia/Shanghai")),
        "fetch": ("uvx", ("mcp-server-fetch",)),
    }


def test_both_guides_have_the_same_server() -> None:
    assert len({block(guide, "python") for guide in GUIDES}) == 1


@pytest.mark.full
async def test_the_server_of_ones_own_runs(tmp_path: Path) -> None:
    source = block(GUIDES[0], "python")
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    (tmp_path / "dice.py").write_text(source, "utf-8")
    server = McpServer("dice", Transport.STDIO, sys.executable, (str(tmp_path / "dice.py"),))
    async with running_tools(tmp_path, McpServers({"dice": server})) as (tools, sentences):
        assert tools.status("dice").state is McpState.READY, sentences
        roll, count_words = tools.tools_named("mcp:dice")
        rolled = json.loads((await roll.run({"count": 1, "sides": 1})).splitlines()[0])
        assert rolled in (1, [1])
        assert (await count_words.run({"text": "one two three"})).startswith("3")
