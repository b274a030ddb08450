"""The report of a comparison, as Markdown and as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from qwen3_chat.comparison.results import CaseResult, ModelScore, Regression, smallest_good_enough
from qwen3_chat.comparison.suite import Suite, SuiteCase
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import SEPARATOR, format_parameter_count
from qwen3_chat.texts.terminal_safe import terminal_safe

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_PLOT_WIDTH, _PLOT_HEIGHT, _MARGIN = 640, 300, 48
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { margin: .25rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
svg { height: auto; max-width: 100%; }
svg text { fill: currentColor; font-size: 12px; }
svg .axis, svg .interval { stroke: currentColor; }
svg .point { fill: #6e56cf; }
.answers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
.answer { border: 1px solid #8886; border-radius: .4rem; padding: .5rem .75rem; }
.passed { color: light-dark(#18794e, #4cc38a); }
.failed { color: light-dark(#b42318, #ff8f87); }
.quiet, .thinking { opacity: .75; }
@media print {
  body { max-width: none; }
  h2, h3, .question { break-after: avoid; }
  .answer, figure, tr { break-inside: avoid; }
  .question::details-content { block-size: auto; content-visibility: visible; }
}
"""


def markdown_report(suite: Suite, scores: Sequence[ModelScore], lost: Sequence[Regression]) -> str:
    """Return the report as Markdown."""
    lines = [f"# {_title(suite)}", "", *_conclusions(scores, lost), ""]
    lines += [f"| {' | '.join(_headings())} |", f"|{'---|' * len(_headings())}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in _row(one))} |" for one in scores]
    lines += ["", f"## {t('compare.cases')}", ""]
    labels = ["", *(_cell(_label(one)) for one in scores)]
    lines += [f"| {' | '.join(labels)} |", f"|{'---|' * len(labels)}"]
    for case in suite.cases:
        lines.append(f"| {' | '.join([_cell(case.id), *(_tally(one, case) for one in scores)])} |")
    return terminal_safe("\n".join(lines) + "\n")


def html_report(suite: Suite, scores: Sequence[ModelScore], lost: Sequence[Regression]) -> str:
    """Return the report as HTML, with the answers side by side."""
    title = escape(_title(suite))
    head = "".join(f"<th>{escape(heading)}</th>" for heading in ("", *_headings()))
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in (f'{number}', *_row(one)))}</tr>"
        for number, one in enumerate(scores, start=1)
    )
    conclusions = "\n".join(f"<p>{escape(line)}</p>" for line in _conclusions(scores, lost))
    cases = "\n".join(_case(case, scores) for case in suite.cases)
    return terminal_safe(f"""<!DOCTYPE html>
<html lang="{t("export.language_tag")}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{conclusions}
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table>
{_plot(scores)}
<h2>{escape(t("compare.cases"))}</h2>
{cases}
</body>
</html>
""")


def conclusion_lines(scores: Sequence[ModelScore], lost: Sequence[Regression]) -> list[str]:
    """Return what the figures say, a sentence each."""
    return list(_conclusions(scores, lost))


def score_lines(scores: Sequence[ModelScore]) -> list[str]:
    """Return a line for each model: how many passed, within which interval, in how many seconds."""
    return [SEPARATOR.join(filter(None, _row(one))) for one in scores]


def _title(suite: Suite) -> str:
    return t("compare.title", suite=suite.name, count=len(suite.cases))


def _headings() -> list[str]:
    names = ("model", "mode", "passed", "interval", "seconds", "notes")
    return [t(f"compare.heading.{name}") for name in names]


def _row(one: ModelScore) -> list[str]:
    low, high = one.rate.interval
    size = f" ({format_parameter_count(one.parameters)})" if one.parameters else ""
    notes = []
    if one.n_failed:
        notes.append(t("compare.n_failed", count=one.n_failed))
    if one.n_skipped:
        notes.append(t("compare.n_skipped", count=one.n_skipped))
    return [
        f"{one.model}{size}",
        t(f"compare.mode.{one.mode}"),
        t("compare.passed_of", passed=one.rate.passed, of=one.rate.of),
        f"{low:.0%}–{high:.0%}",
        f"{one.seconds_p50:.1f} s",
        ", ".join(notes),
    ]


def _label(one: ModelScore) -> str:
    return f"{one.model}{SEPARATOR}{t(f'compare.mode.{one.mode}')}"


def _conclusions(scores: Sequence[ModelScore], lost: Sequence[Regression]) -> Iterator[str]:
    rated = [one for one in scores if one.rate.of]
    if len(rated) > 1:
        best = max(rated, key=lambda one: one.rate.rate)
        for other in rated:
            if other is not best:
                is_noise = best.rate.is_noise_beside(other.rate)
                key = "compare.noise" if is_noise else "compare.better"
                yield t(key, best=_label(best), other=_label(other))
        if (smallest := smallest_good_enough(rated)) is not None:
            yield t("compare.smallest", model=_label(smallest))
    for one in lost:
        yield t(
            "compare.regression",
            model=f"{one.target}{SEPARATOR}{t(f'compare.mode.{one.mode}')}",
            now=t("compare.passed_of", passed=one.now.passed, of=one.now.of),
            before=t("compare.passed_of", passed=one.before.passed, of=one.before.of),
        )


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _results_of(one: ModelScore, case: SuiteCase) -> list[CaseResult]:
    return sorted((row for row in one.results if row.case == case.id), key=lambda row: row.seed)


def _tally(one: ModelScore, case: SuiteCase) -> str:
    rows = [row.passed for row in _results_of(one, case) if row.passed is not None]
    return f"{sum(rows)}/{len(rows)}" if rows else "–"


def _case(case: SuiteCase, scores: Sequence[ModelScore]) -> str:
    answers = "\n".join(
        _answer(one, row, shows_seed=len(rows) > 1)
        for one in scores
        for rows in [_results_of(one, case)]
        for row in rows
    )
    heading, text = escape(t("compare.question")), escape(case.text)
    return f"""<section class=case>
<h3>{escape(case.id)}</h3>
<details class=question><summary>{heading}</summary><pre>{text}</pre></details>
<div class=answers>
{answers}
</div>
</section>"""


def _answer(one: ModelScore, row: CaseResult, *, shows_seed: bool) -> str:
    mark = {True: "passed", False: "failed", None: "skipped"}[row.passed]
    reasons = "; ".join(f"{check.check}: {check.reason}" for check in row.checks if check.reason)
    seed = t("compare.seed", seed=row.seed) if shows_seed else ""
    parts = (t(f"compare.mark.{mark}"), seed, f"{row.seconds:.1f} s", reasons, row.error)
    facts = SEPARATOR.join(part for part in parts if part)
    thinking = ""
    if row.reasoning.strip():
        summary = escape(t("compare.thinking", count=row.reasoning_tokens))
        inside = f"<summary>{summary}</summary><pre>{escape(row.reasoning.strip())}</pre>"
        thinking = f"<details class=thinking>{inside}</details>"
    return f"""<div class=answer>
<strong>{escape(_label(one))}</strong> <span class={mark}>{escape(facts)}</span>
{thinking}<pre>{escape(row.answer.strip())}</pre>
</div>"""


def _plot(scores: Sequence[ModelScore]) -> str:
    """Return the rates over the seconds, each with its interval, as a picture."""
    rated = [one for one in scores if one.rate.of]
    if not rated:
        return ""
    longest_s = max(one.seconds_p50 for one in rated) * 1.15 or 1.0
    width, height = _PLOT_WIDTH - 2 * _MARGIN, _PLOT_HEIGHT - 2 * _MARGIN
    bottom, right = _PLOT_HEIGHT - _MARGIN, _PLOT_WIDTH - _MARGIN
    seconds = escape(f"{t('compare.heading.seconds')}: {longest_s:.1f} s")
    parts = [
        f'<line class=axis x1="{_MARGIN}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class=axis x1="{_MARGIN}" y1="{_MARGIN}" x2="{_MARGIN}" y2="{bottom}"/>',
        f'<text x="{_MARGIN - 6}" y="{_MARGIN + 4}" text-anchor="end">100 %</text>',
        f'<text x="{_MARGIN - 6}" y="{bottom}" text-anchor="end">0 %</text>',
        f'<text x="{right}" y="{bottom + 28}" text-anchor="end">{seconds}</text>',
    ]
    for number, one in enumerate(scores, start=1):  # the numbers of the table
        if not one.rate.of:
            continue
        x = _MARGIN + width * one.seconds_p50 / longest_s
        middle, low, high = (bottom - height * rate for rate in (one.rate.rate, *one.rate.interval))
        side, anchor = (9, "start") if number % 2 else (-9, "end")
        parts += [
            f'<line class=interval x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>',
            f'<circle class=point cx="{x:.1f}" cy="{middle:.1f}" r="5"/>',
            f'<text x="{x + side:.1f}" y="{middle + 4:.1f}" text-anchor="{anchor}">{number}</text>',
        ]
    body, caption = "\n".join(parts), escape(t("compare.plot"))
    size = f'viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}" width="{_PLOT_WIDTH}"'
    return f"""<figure>
<svg {size} role="img" aria-label="{caption}">
{body}
</svg>
<figcaption class=quiet>{caption}</figcaption>
</figure>"""
