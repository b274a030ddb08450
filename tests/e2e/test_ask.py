from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program
from tests.engine.test_adapters import AHOY

ENGLISH = (
    "How many r's in strawberries?",
    "Then, how many r's in blueberries? /no_think",
    "Really? /think",
)
CHINESE = ("strawberries里有几个字母r？", "那blueberries里有几个r？ /no_think", "真的吗？ /think")


@pytest.mark.parametrize("questions", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_three_turns_think_do_not_think_and_think_again(
    program: Program, questions: tuple[str, str, str]
) -> None:
    chat: list[str] = []
    replies = []
    for question in questions:
        done = program.run("ask", "--demo", "--json", "--seed", "1", *chat, question)
        assert done.returncode == 0, done.stderr
        replies.append(json.loads(done.stdout))
        chat = ["--chat", "last"]
    assert [reply["mode"] for reply in replies] == ["think", "no_think", "think"]
    assert [bool(reply["reasoning"]) for reply in replies] == [True, False, True]
    assert all(reply["answer"].strip() for reply in replies)
    assert all(reply["stop_reason"] == "end_of_turn" for reply in replies)
    assert len({reply["chat_id"] for reply in replies}) == 1
    assert "3" in replies[0]["answer"]
    assert replies[1]["usage"]["reasoning_tokens"] == 0


def test_the_answer_is_on_stdout_alone_with_thinking_and_the_chats_number_on_stderr(program: Program) -> None:
    done = program.run("ask", "--demo", "--seed", "1", "How many r's in strawberries?")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert done.stderr.startswith("<think>\n")
    assert "Chat 1; continue it with --chat 1." in done.stderr
    hidden = program.run("ask", "--demo", "--seed", "1", "--hide-thinking", "How many r's in strawberries?")
    assert hidden.stdout == done.stdout
    assert "<think>" not in hidden.stderr


def test_a_reply_cut_by_the_token_limit_is_told_on_stderr_with_the_way_out(
    program: Program, program_zh: Program
) -> None:
    in_thinking = ("ask", "--demo", "--seed", "1", "--max-tokens", "3", "How many r's in strawberries?")
    done = program.run(*in_thinking)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Reached the token limit while thinking, before any answer. Ask again with a larger" in done.stderr
    as_json = program.run(*in_thinking, "--json")
    assert json.loads(as_json.stdout)["stop_reason"] == "max_tokens"
    assert "--max-tokens" in as_json.stderr
    done = program_zh.run(*in_thinking, "--no-think")
    assert done.returncode == 0
    assert "达到 token 上限，回答到此为止。请用更大的 --max-tokens 重新提问。" in done.stderr


def test_a_json_answer_has_every_promised_field(program: Program) -> None:
    reply = json.loads(program.run("ask", "--demo", "--json", "--seed", "7", "Hello").stdout)
    assert set(reply) >= {
        "reasoning",
        "answer",
        "stop_reason",
        "mode",
        "model",
        "usage",
        "timings",
        "chat_id",
    }
    assert set(reply["usage"]) == {"prompt_tokens", "reused_tokens", "reasoning_tokens", "answer_tokens"}
    assert set(reply["timings"]) >= {"load_s", "prefill_s", "first_token_s", "decode_s", "tokens_per_s"}
    assert (reply["seed"], reply["usage"]["prompt_tokens"] > 0) == (7, True)


def test_jsonl_streams_typed_events_that_add_up_to_the_answer(program: Program) -> None:
    done = program.run("ask", "--demo", "--jsonl", "--seed", "7", "How many r's in strawberries?")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "reply_stored"
    assert {"user_stored", "reply_started", "prefill_progressed", "answer_delta", "turn_finished"} <= set(
        kinds
    )
    answer = "".join(event["text"] for event in events if event["type"] == "answer_delta")
    assert answer == events[-1]["message"]["message"]["content"]


def test_piped_text_and_files_are_part_of_the_question(program: Program, tmp_path: Path) -> None:
    note = tmp_path / "笔记.md"
    note.write_text("```\nfence\n```", encoding="utf-8")
    program.run("ask", "--demo", "--file", str(note), "Look", stdin="piped\n")
    stored = json.loads(program.run("export", "last", "--format", "json").stdout)
    assert stored["messages"][0]["content"] == "Look\n\n笔记.md:\n````\n```\nfence\n```\n````\n\npiped"


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("ask",), 2, "There is nothing to ask"),
        (("ask", "--demo", "--gguf", "x", "Hi"), 2, "Name one model only"),
        (("ask", "--bogus"), 2, "There is no option --bogus"),
        (("ask", "--demo", "--chat", "x", "Hi"), 2, "is not a chat"),
        (("ask", "--demo", "--chat", "99", "Hi"), 1, "There is no chat 99."),
        (("ask", "--demo", "--chat", "last", "Hi"), 2, "There is no chat to continue yet."),
        (("ask", "--model", "8B", "Hi"), 1, "8B is not installed"),
        (("ask", "--gguf", "README.md", "Hi"), 1, "README.md is not a GGUF file"),
        (("ask", "--gguf", "missing.gguf", "Hi"), 1, "There is no file"),
        (("ask", "--demo", "--json", "--jsonl", "Hi"), 2, "Choose --json or --jsonl"),
        (("ask", "--demo", "--file", "nowhere.txt", "Hi"), 2, "nowhere.txt can't be read"),
        (("ask", "--demo", "/no_think"), 2, "This only switches the mode"),
        (("--demo", "ask", "Hi"), 2, "Options go after the command: qwen3-chat ask"),
        (("ask", "--demo", "--temperature", "9", "Hi"), 2, "The value of --temperature is not valid"),
        (("frobnicate",), 2, "can't be run as written"),
        (("--lang", "xx"), 2, "There is no language"),
        (("--demo",), 2, "The chat needs a terminal"),
        (("export", "1", "--format", "pdf"), 2, "“pdf” is not known here"),
        (("export", "1"), 1, "There is no chat 1."),
    ],
)
def test_bad_input_gets_one_sentence_and_a_status(
    program: Program, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    done = program.run(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("ask --temperature nan", "it must be a number from 0 to 5."),
        ("ask --temperature inf", "it must be a number from 0 to 5."),
        ("ask --seed -1", "it must be a whole number from 0 to 4,294,967,294."),
        (f"ask --max-tokens {'9' * 30}", "it must be a whole number from 1 to 1,000,000."),
        ("ask --thinking-budget -1", "it must be a whole number from 0 to 1,000,000."),
        ("ask --threads 513", "it must be a whole number from 1 to 512."),
        ("ask --gpu-layers inf", "it must be a whole number from 0 to 100,000."),
        ("ask --demo --lora x.gguf:nan", "The scale of an adapter is a number from -100 to 100, not nan."),
        ("ask --demo --lora x.gguf:1e9", "not 1e9."),
        (f"ask --demo{' --lora x.gguf' * 17}", "At most 16 adapters can be used at a time."),
        ("ask --endpoint http://127.0.0.1:9 --lora x.gguf", "--lora is for a model on this machine"),
        ("ask --cpu-moe 1e9", "it must be a whole number from 0 to 100,000."),
        ("ask --ctx 0", "it must be a whole number from 256 to 16,777,216."),
        ("models --ctx 99999999999", "it must be a whole number from 256 to 16,777,216."),
        (f"ask --demo --chat {'9' * 20}", "is not a chat"),
        (f"export {'9' * 5000}", "is not a chat"),
        (f"models --ram 1GiB --vram {'9' * 400}", "is not a size from 1 MiB to 1 PiB"),
        ("models --vram 0 --ram nan", "--ram: “nan” is not a size"),
        (f"models --ram 1GiB --vram 1GiB{'+1GiB' * 99}", "is not a size"),
    ],
)
def test_a_number_beyond_all_sense_gets_a_sentence_with_its_range(
    program: Program, arguments: str, sentence: str
) -> None:
    done = program.run(*arguments.split(), *(["Hi"] if arguments.startswith("ask") else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_adapter_is_told_in_the_reply_and_in_exports(program: Program) -> None:
    asked = program.run(
        *("ask", "--demo", "--lora", f"{AHOY}:0.9", "--seed", "1", "--no-think", "--json"), "Hello!"
    )
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["answer"].startswith("Ahoy! ")
    assert answer["model"] == "Qwen3-chat demo Q8_0 + ahoy-adapter × 0.9"
    assert answer["engine_library"] == "llama-cpp-python"
    exported = json.loads(program.run("export", "last", "--format", "json").stdout)
    assert exported["messages"][1]["meta"]["adapters"] == ["ahoy-adapter × 0.9"]
    assert "· ahoy-adapter × 0.9 ·" in program.run("export", "last").stdout
    without = program.run("ask", "--demo", "--seed", "1", "--no-think", "--json", "Hello!")
    assert not json.loads(without.stdout)["answer"].startswith("Ahoy!")
    assert "adapters" not in program.run("export", "last", "--format", "json").stdout


def test_a_question_that_no_model_can_answer_makes_no_chat(program: Program) -> None:
    program.run("ask", "--gguf", "README.md", "Hi")
    assert json.loads(program.run("chats", "--json").stdout) == []


def test_chats_are_listed_searched_and_exported(program_zh: Program, tmp_path: Path) -> None:
    program_zh.run("ask", "--demo", "今天天气怎么样？")
    program_zh.run("ask", "--demo", "How many r's in strawberries?")
    assert "今天天气怎么样" in program_zh.run("chats").stdout
    found = json.loads(program_zh.run("chats", "--search", "天气", "--json").stdout)
    assert [chat["title"] for chat in found] == ["今天天气怎么样？"]
    assert "没有对话包含这些词" in program_zh.run("chats", "--search", "zzzz").stderr
    target = tmp_path / "导出.html"
    for name in ("导出.html", "导出 (2).html"):
        done = program_zh.run("export", "last", "--format", "html", "--thinking", "full", "-o", str(target))
        assert done.returncode == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_help_speaks_both_languages(program: Program, program_zh: Program) -> None:
    assert "Ask one question" in program.run("--help").stdout
    page = program_zh.run("ask", "--help").stdout
    assert "提一个问题" in page
    assert "Usage" not in page
    assert "Options" not in page


def test_escapes_that_a_user_or_model_writes_never_reach_the_terminal(program: Program) -> None:
    program.run("ask", "--demo", "\x1b]0;owned\x07Hello \x9b31m")
    for form in ("md", "txt", "html"):
        assert not {"\x1b", "\x07", "\x9b"} & set(program.run("export", "last", "--format", form).stdout)
    assert not {"\x1b", "\x07", "\x9b"} & set(program.run("chats").stdout)


def test_a_full_disk_behind_stdout_is_one_sentence(program: Program) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*program.command, "ask", "--demo", "--hide-thinking", "Hello"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            env=program.environment,
            text=True,
            check=False,
            timeout=WAIT_LIMIT_S,
        )
    assert done.returncode == 1
    assert "The output can't be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def test_mistakes_in_the_settings_are_told_and_do_not_stop_an_answer(program: Program) -> None:
    (program.home / "config").mkdir(parents=True)
    (program.home / "config" / "config.toml").write_text("bogus = 1\n", encoding="utf-8")
    done = program.run("ask", "--demo", "Hello")
    assert done.returncode == 0
    assert "there is no setting “bogus”" in done.stderr


def test_a_system_prompt_counts_in_a_chat_that_goes_on(program: Program) -> None:
    program.run("ask", "--demo", "Hello")
    program.run("ask", "--demo", "--chat", "last", "--system", "Be brief.", "Thanks")
    stored = json.loads(program.run("export", "last", "--format", "json").stdout)
    assert stored["chat"]["system"] == "Be brief."


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--gguf", "missing.gguf", "Hi"), 1, "model_file_missing"),
        (("--demo", "--chat", "99", "Hi"), 1, "chat_not_found"),
        (("--endpoint", "http://127.0.0.1:9", "Hi"), 1, "server_not_listening"),
        (("--demo",), 2, "prompt_missing"),
        (("--demo", "--file", "nowhere.txt", "Hi"), 2, "file_unreadable"),
    ],
)
@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_each_failure_has_its_code_for_scripts_beside_the_sentence(
    program: Program, form: str, arguments: tuple[str, ...], status: int, code: str
) -> None:
    done = program.run("ask", form, *arguments)
    assert done.returncode == status
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["error_code"] == code
    if form == "--json":
        assert (last["error"], last["stop_reason"]) == (done.stderr.strip(), "error")
    else:
        assert last["type"] == "engine_failed"


def test_a_success_has_neither_an_error_nor_a_code(program: Program) -> None:
    reply = json.loads(program.run("ask", "--demo", "--json", "--max-tokens", "4", "Hello").stdout)
    assert (reply["error"], reply["error_code"]) == (None, None)


def test_a_reply_that_was_stopped_says_so_in_its_object(program: Program, tireless_gguf: Path) -> None:
    asked = subprocess.Popen(
        [*program.command, "ask", "--gguf", str(tireless_gguf), "--json", "Hello"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program.environment,
        text=True,
    )
    while '"message_count":2' not in program.run("chats", "--json").stdout:  # until the reply has begun
        assert asked.poll() is None
    asked.send_signal(signal.SIGINT)
    printed, told = asked.communicate(timeout=WAIT_LIMIT_S)
    reply = json.loads(printed)
    assert asked.returncode == 130
    assert (reply["stop_reason"], reply["error_code"]) == ("cancelled", "reply_cancelled")
    assert reply["error"] in told
