"""The exam of the demo model through the app's own engine, as tables per skill, language and mode."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from demo_model.candidate import Candidate, assistant, messages_of, user
from demo_model.exam import SETTERS, is_right, set_chat, set_questions, set_tagged_chats
from demo_model.exchange import Language
from demo_model.render import thinks_after
from qwen3_chat.chat import ChatMessage, ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings

DOCUMENTED_QUESTIONS = {
    Language.EN: (
        "How many r's in strawberries?",
        "Then, how many r's in blueberries? /no_think",
        "Really? /think",
    ),
    Language.ZH: ("strawberries里有几个字母r？", "那blueberries里有几个r？ /no_think", "真的吗？ /think"),
}
DOCUMENTED_COUNTS = ("3", "2", "2")
TEN_TURNS = {
    Language.EN: (
        "Hi!",
        "How many r's in strawberries?",
        "And in raspberries?",
        "Really?",
        "What is 345 + 678? /no_think",
        "Are you sure? /think",
        "Which is larger, 2.999 or 2.12345?",
        "What is the capital of Japan?",
        "Summarise our conversation so far.",
        "Thanks, bye!",
    ),
    Language.ZH: (
        "你好！",
        "strawberries里有几个字母r？",
        "那raspberries呢？",
        "真的吗？",
        "345加678等于多少？ /no_think",
        "你确定吗？ /think",
        "2.999和2.12345哪个大？",
        "日本的首都是哪里？",
        "总结一下我们的对话。",
        "谢谢，再见！",
    ),
}


async def print_exam(
    candidate: Candidate,
    n: int,
    seed: int,
    skills: Iterable[str],
    modes: Sequence[ThinkingMode],
    shown: int,
) -> None:
    """Print a row for each skill: correct answers per language and mode, wrong modes, endless replies."""
    print(f"Sampling: {candidate.preset}; n = {n} per cell.\n")
    cells = [f"{language} {mode}" for language in Language for mode in modes]
    print(f"| skill | {' | '.join(cells)} | wrong mode | endless |")
    print("| --- |" + " --: |" * (len(cells) + 2))
    for skill in skills:
        cells, wrong_mode, endless, wrong = [], 0, 0, []
        for language in Language:
            for mode in modes:
                right = 0
                for index, question in enumerate(set_questions(skill, language, n, seed)):
                    messages = messages_of(question, mode)
                    reply, _ = await candidate.reply(messages, mode, seed + index, tools=question.tools)
                    called = reply.called()
                    if called is not None and is_right(question, reply.answer, called):
                        right += 1
                    elif mode is ThinkingMode.THINK:
                        wrong.append((question, reply))
                    wrong_mode += bool(reply.thinking) is not (mode is ThinkingMode.THINK)
                    endless += not reply.has_ended
                cells.append(f"{100 * right / n:.0f}%")
        print(f"| {skill} | {' | '.join(cells)} | {wrong_mode} | {endless} |", flush=True)
        for question, reply in wrong[:shown]:
            print(f"  {question.messages[-1]['content']!r}\n  {question.ideal}\n  {reply}")


async def print_documented_conversations(candidate: Candidate, n: int, seed: int) -> None:
    """Hold Qwen3's documented three turns `n` times per language; print the number of correct turns."""
    for language, questions in DOCUMENTED_QUESTIONS.items():
        right = [0, 0, 0]
        for index in range(n):
            messages: list[ChatMessage] = []
            for turn, question in enumerate(questions):
                mode = ThinkingMode.NO_THINK if "/no_think" in question else ThinkingMode.THINK
                messages.append(user(question))
                reply, _ = await candidate.reply(messages, mode, seed + 10 * index + turn)
                messages.append(assistant(reply.answer))
                obeys = bool(reply.thinking) is (mode is ThinkingMode.THINK)
                right[turn] += obeys and reply.has_ended and f"**{DOCUMENTED_COUNTS[turn]}**" in reply.answer
        print(f"documented conversation, {language}: each turn right in {right} of {n}", flush=True)


async def print_ten_turns(candidate: Candidate, seed: int) -> None:
    """Print a chat of ten turns in each language, word for word."""
    for questions in TEN_TURNS.values():
        messages: list[ChatMessage] = []
        thinks = True
        for turn, question in enumerate(questions):
            thinks = thinks_after(question, thinks)
            mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
            messages.append(user(question))
            reply, _ = await candidate.reply(messages, mode, seed + turn)
            messages.append(assistant(reply.answer))
            thought = f"*{reply.thinking}*\n>\n> " if reply.thinking else ""
            answer = reply.answer.replace("\n", "\n> ")
            print(f"**{question}**\n\n> {thought}{answer}\n", flush=True)


async def switch_modes(candidate: Candidate, n: int, seed: int) -> None:
    """Ask in chats with tags in turns, history and system prompts; print how many obey the latest."""
    obeyed, ended = 0, 0
    for index, (question, thinks) in enumerate(set_tagged_chats(n, seed)):
        messages = messages_of(question, ThinkingMode.THINK)
        mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
        reply, _ = await candidate.reply(messages, mode, seed + index)
        obeyed += bool(reply.thinking) is thinks
        ended += reply.has_ended
    print(f"tags in turn, history and system prompt: obeyed in {obeyed} of {n}, ended in {ended}", flush=True)


async def chat(candidate: Candidate, n: int, seed: int) -> None:
    """Hold `n` chats of one to six turns, the model's own replies in them; print how many replies end."""
    rng = random.Random(f"chats:{seed}")
    chats, replies, obeyed = 0, 0, 0
    for index in range(n):
        messages: list[ChatMessage] = []
        thinks, all_ended = True, True
        for turn, text in enumerate(set_chat(rng, rng.choice(list(Language)), rng.randint(1, 6))):
            thinks = thinks_after(text, thinks)
            mode = ThinkingMode.THINK if thinks else ThinkingMode.NO_THINK
            messages.append(user(text))
            reply, _ = await candidate.reply(messages, mode, seed + 10 * index + turn)
            messages.append(assistant(reply.answer))
            all_ended &= reply.has_ended
            replies += 1
            obeyed += bool(reply.thinking) is thinks
        chats += all_ended
    print(
        f"chats of one to six turns: all replies end in {chats} of {n}; mode right in {obeyed} of {replies}"
    )


async def stop_thinking_early(candidate: Candidate, n: int, seed: int) -> None:
    """End the thinking after 0, 8 and 32 tokens; print how many answers follow and end."""
    names = ("count letters in unseen words", "add unseen numbers", "facts")
    for budget in (0, 8, 32):
        good, total = 0, 0
        for language in Language:
            for skill in names:
                for index, question in enumerate(set_questions(skill, language, n, seed)):
                    messages = messages_of(question, ThinkingMode.THINK)
                    reply, _ = await candidate.reply(
                        messages, ThinkingMode.THINK, seed + index, budget=budget
                    )
                    good += bool(reply.answer) and reply.has_ended
                    total += 1
        print(f"thinking ended after {budget} tokens: an answer follows in {good} of {total}", flush=True)


async def continue_replies(candidate: Candidate, n: int, seed: int) -> None:
    """Cut replies short at random and continue them; print how many are correct then, with thinking on."""
    rng = random.Random(f"cuts:{seed}")
    right, total = 0, 0
    for language in Language:
        for index, question in enumerate(set_questions("count letters in unseen words", language, n, seed)):
            messages = messages_of(question, ThinkingMode.THINK)
            _, part = await candidate.reply(
                messages, ThinkingMode.THINK, seed + index, max_tokens=rng.randint(1, 60)
            )
            whole, _ = await candidate.reply(messages, ThinkingMode.THINK, seed - index, prefix=part)
            right += is_right(question, whole.answer) and whole.has_ended
            total += 1
    print(f"replies cut short and continued: right in {right} of {total}", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, default=DEMO_FILE)
    parser.add_argument("-n", type=int, default=200, help="questions per cell")
    parser.add_argument("--preset", choices=("demo", "greedy", "qwen3"), default="demo")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument(
        "--part",
        choices=("skills", "documented", "modes", "chats", "early stops", "continuing", "ten turns"),
        action="append",
        help="only this part; repeatable",
    )
    parser.add_argument(
        "--skill", choices=tuple(SETTERS), action="append", help="of the skills only this; repeatable"
    )
    parser.add_argument("--thinking-only", action="store_true", help="leave out the skills without thinking")
    parser.add_argument("--show", type=int, default=0, help="print so many wrong replies for each skill")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


async def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    n, seed = arguments.n, arguments.seed
    modes = [ThinkingMode.THINK] if arguments.thinking_only else list(ThinkingMode)
    settings = LoadSettings(path=str(arguments.gguf.resolve()), n_threads=arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(settings, Path(folder) / "engine.log")
        candidate = Candidate(engine, arguments.preset)
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "ten turns": lambda: print_ten_turns(candidate, seed),
            "documented": lambda: print_documented_conversations(candidate, n, seed),
            "skills": lambda: print_exam(
                candidate, n, seed, arguments.skill or SETTERS, modes, arguments.show
            ),
            "modes": lambda: switch_modes(candidate, 5 * n, seed),
            "chats": lambda: chat(candidate, 5 * n, seed),
            "early stops": lambda: stop_thinking_early(candidate, n, seed),
            "continuing": lambda: continue_replies(candidate, n, seed),
        }
        try:
            for name, part in parts.items():
                if arguments.part is None or name in arguments.part:
                    await part()
        finally:
            await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
