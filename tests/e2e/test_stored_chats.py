"""Chats that leave the program as files and come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Program

LINE = json.dumps(
    {"messages": [{"role": "user", "content": "天气？"}, {"role": "assistant", "content": "晴。"}]}
)


def test_chats_are_imported_exported_backed_up_and_restored(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text(f"{LINE}\n[]\n{LINE}\n", "utf-8")
    imported = program.run("import", str(file), "--json")
    assert imported.returncode == 0
    result = json.loads(imported.stdout)
    assert result["chat_ids"] == [1, 2]
    assert [(row["index"], bool(row["reason"])) for row in result["skipped"]] == [(1, True)]

    lines = program.run("export", "all", "--format", "jsonl").stdout
    assert lines == f"{json.dumps(json.loads(LINE), ensure_ascii=False)}\n" * 2
    exported = program.run("export", "all", "--format", "json", "-o", str(tmp_path))
    assert exported.returncode == 0
    files = sorted(tmp_path.glob("*.json"))
    assert len(files) == 2
    again = program.run("import", str(files[0]))
    assert again.stdout == "Imported chats: 1 (number 3)\n"

    assert program.run("backup", "-o", str(tmp_path / "all.zip")).returncode == 0
    refused = program.run("restore", str(tmp_path / "all.zip"))
    assert refused.returncode == 1
    assert refused.stderr.startswith("There are 3 chats here.")
    other = Program(tmp_path / "other", language="zh_CN.UTF-8")
    assert other.run("restore", str(tmp_path / "all.zip")).stdout == "已恢复 3 个对话\n"
    assert json.loads(other.run("chats", "--json").stdout)[0]["title"] == "天气？"


@pytest.mark.full
def test_a_bad_file_is_one_sentence_and_status_1(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text("{", "utf-8")
    failed = program.run("import", str(file))
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    all_as_markdown = program.run("export", "all")
    assert (all_as_markdown.returncode, all_as_markdown.stderr.count("\n")) == (2, 1)
    nothing = program.run("export", "all", "--format", "jsonl")
    assert (nothing.returncode, nothing.stdout) == (1, "")
