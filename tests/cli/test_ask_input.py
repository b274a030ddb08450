"""What goes into a question of `ask`, and what of the answer comes out: files, templates, code."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qwen3_chat.cli.code_extraction_option import extract_code, with_extract_value
from qwen3_chat.cli.prompt_templates import fill_template, load_template, parse_variables
from qwen3_chat.cli.question_files import assemble_prompt
from qwen3_chat.documents import file_selection
from qwen3_chat.documents.attachments import split_attachments
from qwen3_chat.documents.file_selection import read_files
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, Qwen3ChatError, UsageError
from qwen3_chat.texts import current_language, load_catalogue
from tests.tools.test_fetch_tool import response, serving


def code_of(function: object, *arguments: object) -> ErrorCode:
    with pytest.raises(Qwen3ChatError) as caught:
        function(*arguments)  # type: ignore[operator]
    assert str(caught.value)
    return caught.value.code


# code

ANSWER = (
    "First:\n\n```sh\nls\n```\n\nThen:\n\n- x\n\n  ```py\n  print(1)\n  ```\n\n```python\nprint(2)\n```\n"
)


@pytest.mark.parametrize(
    ("language", "code"),
    [("", "ls\n"), ("bash", "ls\n"), ("python", "print(1)\n"), ("PYTHON3", "print(1)\n")],
)
def test_the_first_code_block_of_a_language_by_any_of_its_names_comes_out(language: str, code: str) -> None:
    assert extract_code(ANSWER, language) == code


def test_an_answer_without_code_is_one_sentence() -> None:
    assert code_of(extract_code, "no code", "") is ErrorCode.CODE_BLOCK_MISSING
    assert code_of(extract_code, ANSWER, "rust") is ErrorCode.CODE_BLOCK_OF_LANGUAGE_MISSING
    assert code_of(extract_code, ANSWER, "草莓") is ErrorCode.CODE_BLOCK_OF_LANGUAGE_MISSING
    with pytest.raises(EngineError):
        extract_code("", "")


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["ask", "-x", "How?"], ["ask", "--extract=", "How?"]),
        (["ask", "-x", "python", "How?"], ["ask", "--extract=python", "How?"]),
        (["ask", "How?", "--extract"], ["ask", "How?", "--extract="]),
        (["ask", "-x", "--json", "python"], ["ask", "--extract=", "--json", "python"]),
        (["ask", "--", "-x"], ["ask", "--", "-x"]),
    ],
)
def test_a_question_is_not_taken_for_the_language(arguments: list[str], changed: list[str]) -> None:
    assert with_extract_value(arguments) == changed


# templates


def test_variables_are_filled_in_once_and_the_input_is_put_in() -> None:
    template = fill_template("{{a}} and {{ b.c }}: {{input}}!", {"a": "{{input}}", "b.c": "草"})
    assert template.takes_input
    assert template.fill("{{a}}?") == "{{input}} and 草: {{a}}?!"
    system = fill_template("Answer in {{language}}. {not one} {{}}", {"language": "French"})
    assert not system.takes_input
    assert system.fill("ignored") == "Answer in French. {not one} {{}}"


def test_variables_that_do_not_fit_are_one_sentence() -> None:
    assert code_of(fill_template, "{{a}}", {}) is ErrorCode.VARIABLE_MISSING
    assert code_of(fill_template, "{{a}}", {"a": "", "b": ""}) is ErrorCode.VARIABLE_UNKNOWN
    assert parse_variables(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for wrong in (["a"], ["=b"], ["a=1", "a=2"], ["input=x"], ["a b=c"]):
        assert code_of(parse_variables, wrong) is ErrorCode.VARIABLE_INVALID


def test_the_library_of_the_app_is_that_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "prompts.toml"
    file.write_text('[[prompts]]\ntitle = "Explain to"\ntext = "Explain to {{who}}: {{input}}"\n', "utf-8")
    assert load_template("explain TO", ["who=a child"], file).fill("atoms") == "Explain to a child: atoms"
    assert load_template("Brief", [], tmp_path / "missing.toml").fill("").startswith("Answer in as few words")
    assert code_of(load_template, "missing", [], file) is ErrorCode.TEMPLATE_UNKNOWN
    file.write_text("[[prompts]\n", "utf-8")
    code_of(load_template, "Brief", [], file)


def test_the_help_shows_the_braces() -> None:
    about = load_catalogue(current_language())["cli.option.template"].format()
    assert "{{input}}" in about


# files


def test_folders_and_patterns_name_their_files_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    for name in ("b.py", "a.py", "deep/c.py", "deep/notes.md", ".hidden/d.py", ".e.py", "picture.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" if name.endswith("png") else name.encode())
    attachments, n_left_out = read_files([folder])
    assert [attachment.name for attachment in attachments] == [
        *("src/a.py", "src/b.py", "src/deep/c.py", "src/deep/notes.md"),
    ]
    assert n_left_out == 1
    attachments, _ = read_files([folder / "**" / "*.py", folder / "b.py"])
    assert [attachment.text for attachment in attachments] == ["a.py", "b.py", "deep/c.py", "b.py"]
    assert attachments[-1].name == "b.py"
    assert "deep/c.py" in assemble_prompt("Sum up", "piped", [str(folder)])


def test_a_name_with_brackets_is_a_file_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "notes[1].txt"
    file.write_text("x", "utf-8")
    assert read_files([file])[0][0].name == "notes[1].txt"


def test_what_names_no_file_or_too_many_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    for name in (tmp_path / "empty", tmp_path / "*.none"):
        assert code_of(read_files, [name]) is ErrorCode.FILES_NOT_FOUND
    assert code_of(read_files, [tmp_path / "missing.txt"]) is ErrorCode.FILE_UNREADABLE
    monkeypatch.setattr(file_selection, "MAX_QUESTION_FILES", 2)
    for number in range(3):
        (tmp_path / "empty" / f"{number}.txt").write_text("x", "utf-8")
    assert code_of(read_files, [tmp_path / "empty"]) is ErrorCode.FILES_TOO_MANY
    with pytest.raises(UsageError):
        read_files([tmp_path / "empty" / "*"])


@pytest.fixture
def private_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home whose settings allow pages of this machine."""
    (tmp_path / "home" / "config").mkdir(parents=True)
    (tmp_path / "home" / "config" / "config.toml").write_text('private_hosts = ["127.0.0.1"]\n', "utf-8")
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("private_host")
async def test_an_address_is_read_between_the_files_and_its_name_stays(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("A note.", "utf-8")
    async with serving({"/page": response("<h1>Berries</h1><p>Three.", "text/html")}) as site:
        url = f"http://127.0.0.1:{site.port}/page"
        text = await asyncio.to_thread(assemble_prompt, "Sum up", "", ["note.txt", url], tmp_path)
        _, attachments = split_attachments(text)
        assert [(attachment.name, attachment.text) for attachment in attachments] == [
            ("note.txt", "A note.\n"),
            (url, "# Berries\n\nThree.\n"),
        ]
        missing = f"http://127.0.0.1:{site.port}/missing"
        with pytest.raises(UsageError, match="status 404") as caught:
            await asyncio.to_thread(assemble_prompt, "Sum up", "", [missing])
    assert caught.value.code is ErrorCode.FILE_UNREADABLE


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "HTTP://169.254.169.254/latest", "https://a:b@example.com/", "http://"]
)
def test_an_address_of_this_network_is_refused_as_for_the_tool(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN3_CHAT_HOME", str(tmp_path))
    assert code_of(assemble_prompt, "Sum up", "", [url]) is ErrorCode.FILE_UNREADABLE
