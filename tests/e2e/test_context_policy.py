from __future__ import annotations

import json

from tests.e2e.conftest import Program

LONG = "Count from 3 to 9. " * 18
CRAMPED = ("--demo", "--ctx", "512", "--no-think")


def test_a_chat_that_does_not_fit_is_never_cut_without_being_told_to(program: Program) -> None:
    assert program.run("ask", *CRAMPED, "--max-tokens", "20", LONG).returncode == 0
    refused = program.run("ask", *CRAMPED, "--chat", "last", LONG)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "of 512" in refused.stderr
    assert "--context-policy drop|summarise|enlarge" in refused.stderr
    dropped = program.run("ask", *CRAMPED, "--chat", "last", "--context-policy", "drop", "--json", "Hello")
    assert dropped.returncode == 0, dropped.stderr
    usage = json.loads(dropped.stdout)["usage"]
    assert f"What is sent has {usage['prompt_tokens']} tokens" in dropped.stderr
    enlarged = program.run("ask", *CRAMPED, "--chat", "last", "--context-policy", "enlarge", "--json", "Bye")
    assert enlarged.returncode == 0, enlarged.stderr
    assert json.loads(enlarged.stdout)["usage"]["prompt_tokens"] > 512
    assert "The context has 1,024 tokens now" in enlarged.stderr
    told = json.loads(program.run("ask", *CRAMPED, "--chat", "last", "--json", LONG).stdout)
    assert (told["error_code"], "of 512" in told["error"]) == ("context_exceeded", True)
    streamed = program.run("ask", *CRAMPED, "--chat", "last", "--jsonl", LONG).stdout.splitlines()
    events = [json.loads(line) for line in streamed]
    codes = {event["type"]: event["error_code"] for event in events if "error_code" in event}
    assert codes == {"context_exceeded": "context_exceeded"}
