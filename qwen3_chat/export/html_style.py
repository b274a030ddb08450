"""The style sheet of an HTML transcript, light and dark."""

from __future__ import annotations

from typing import Final

from pygments.formatters import HtmlFormatter

_LIGHT_CODE: Final = "default"
_DARK_CODE: Final = "github-dark"

_STYLE: Final = """\
:root {
  color-scheme: light dark;
  --text: #1f2328; --quiet: #59636e; --page: #ffffff; --card: #f6f8fa; --line: #d1d9e0; --accent: #6341e0;
}
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0; }
article { margin-top: 2rem; }
article > h2.speaker { font-size: 0.9rem; color: var(--accent); margin: 0 0 0.25rem; }
article.user, article.system { background: var(--card); border-radius: 0.75rem; padding: 0.75rem 1rem; }
article h1, article h2, article h3 { font-size: 1.2rem; margin: 1.2em 0 0.6em; }
article > :last-child { margin-bottom: 0; }
pre, code { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: 0.875em; }
pre {
  background: var(--card); border-radius: 0.5rem; padding: 0.75rem 1rem; overflow-x: auto; line-height: 1.45;
}
pre code { font-size: 1em; }
details { border-left: 3px solid var(--line); padding-left: 0.75rem; margin: 0.5rem 0; color: var(--quiet); }
summary { cursor: pointer; }
.thinking { white-space: pre-wrap; }
.facts { color: var(--quiet); font-size: 0.8rem; margin: 0.5rem 0 0; }
.note { font-style: italic; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 0.25rem 0.75rem; }
blockquote { margin: 0; padding-left: 1rem; border-left: 3px solid var(--line); color: var(--quiet); }
a { color: var(--accent); }
img { max-width: 100%; }"""
_DARK: Final = """\
:root {
  --text: #e6edf3; --quiet: #9198a1; --page: #0d1117; --card: #161b22; --line: #3d444d; --accent: #ab9df2;
}"""


def stylesheet() -> str:
    """Return the whole style sheet."""
    light, dark = _code_rules(_LIGHT_CODE), _code_rules(_DARK_CODE)
    return f"{_STYLE}\n{light}\n@media (prefers-color-scheme: dark) {{\n{_DARK}\n{dark}\n}}"


def _code_rules(style: str) -> str:
    rules: list[str] = HtmlFormatter(style=style).get_token_style_defs("pre code")  # type: ignore[no-untyped-call]
    return "\n".join(rules)
