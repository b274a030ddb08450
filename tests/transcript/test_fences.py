"""Fences in fences, as models write them."""

from __future__ import annotations

import pytest

from qwen3_chat.documents.attachments import Attachment, fence_attachment
from qwen3_chat.transcript.code_extraction import find_code_blocks
from qwen3_chat.transcript.markdown_section import MarkdownSection

README = "# Title\n\n```bash\nnpm i\n```\n\nMore **text** after.\n\n```js\nx()\n```"
BARE = "# Tree\n\n```\nsrc/\n```\n\nUse:\n```\nmake\n```"


def blocks_and_rows(source: str, step: int = 0) -> tuple[list[str], list[str]]:
    """Return the code blocks of a text, and its rows outside of them; with a step it comes in pieces."""
    section = MarkdownSection(60, 0)
    for start in range(0, len(source), step or len(source)):
        section.feed(source[start : start + (step or len(source))])
    section.end()
    rows = ["".join(run[0] for run in row.runs).rstrip() for row in section.rows if row.code is None]
    return ["\n".join(code.rows) for code in section.code_blocks], [row for row in rows if row.strip()]


@pytest.mark.parametrize("step", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("source", "blocks", "rows"),
    [
        (f"Here:\n\n```markdown\n{README}\n```\n\nThe end.", [README], ["Here:", " markdown", "The end."]),
        (f"```md\n{BARE}\n```\n\nThe end.", [BARE], [" md", "The end."]),
        (f"````md\n{README}\n````\nend", [README], [" md", "end"]),
        ("```text\n````md\n```py\nx\n```\n````\n```\nend", ["````md\n```py\nx\n```\n````"], [" text", "end"]),
        (
            '```python\np = """\n```json\n{}\n```\n"""\n```\nend',
            ['p = """\n```json\n{}\n```\n"""'],
            [" python", "end"],
        ),
        ("~~~md\n~~~sh\nls\n~~~\n~~~\nend", ["~~~sh\nls\n~~~"], [" md", "end"]),
        ("~~~js\n```sh\nx\n~~~\nend", ["```sh\nx"], [" js", "end"]),
        ("```sh\nls\n```\nend", ["ls"], [" sh", "end"]),
        ("```md\n```\nend", [""], [" md", "end"]),
        ("```md\ntext\n\n```\n\nend", ["text\n"], [" md", "end"]),
        ("```\nkey:\n```\nend", ["key:"], ["", "end"]),
        ("```\n``` is the mark of a fence\n```\nend", ["``` is the mark of a fence"], ["", "end"]),
        ("```c\n    ```js\n```\nend", ["    ```js"], [" c", "end"]),
        ("```\n```js title=a.js\n1\n```\n```\nend", ["```js title=a.js\n1\n```"], ["", "end"]),
        ("> ```md\n> ```sh\n> ls\n> ```\n> ```\n\nend", ["```sh\nls\n```"], ["▌  md", "end"]),
        ("- ```md\n  ```sh\n  ls\n  ```\n  ```\n- b", ["```sh\nls\n```"], ["•  md", "• b"]),
        ("```markdown\n```bash\nls\n```\nmore", ["```bash\nls\n```\nmore"], [" markdown"]),
    ],
)
def test_a_fence_in_a_fence_does_not_end_it(
    source: str, blocks: list[str], rows: list[str], step: int
) -> None:
    assert blocks_and_rows(source, step) == (blocks, [row for row in rows if row])


def test_the_copied_block_is_the_whole_of_it() -> None:
    (block,) = find_code_blocks(f"```markdown\n{README}\n```")
    assert (block.language, block.text) == ("markdown", README)


def test_a_document_in_an_attachment_stays_in_its_fence() -> None:
    (block,) = find_code_blocks(fence_attachment(Attachment("README.md", f"{README}\n```\n")))
    assert block.text == f"{README}\n```"


def test_the_fence_stays_open_where_a_long_one_in_a_list_is_cut() -> None:
    code = "\n".join(f"  x = {number}" for number in range(600))
    source = f"- a\n  ```markdown\n  # T\n  ```python\n{code}\n  ```\n  text\n  ```\n- b\n"
    blocks, rows = blocks_and_rows(source)
    assert [len(block.split("\n")) for block in blocks] == [604]
    assert rows == ["• a", "   markdown", "• b"]
