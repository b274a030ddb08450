"""The styles of the transcript: a component class for each style name that a row may have."""

from __future__ import annotations

COMPONENT_PREFIX = "transcript--"

TRANSCRIPT_CSS = """
TranscriptView {
    height: 1fr;
    overflow-x: hidden;
    overflow-y: scroll;
    scrollbar-size-vertical: 1;
    scrollbar-background: $background;
    scrollbar-background-hover: $background;
    scrollbar-background-active: $background;
    scrollbar-color: $foreground 15%;
    scrollbar-color-hover: $foreground 30%;
    scrollbar-color-active: $primary;
    padding: 0 0 0 1;
    background: $background;
    color: $foreground;

    & > .transcript--header { text-style: bold; }
    & > .transcript--user { color: $text-primary; }
    & > .transcript--assistant { color: $text-secondary; }
    & > .transcript--notice { color: $foreground 68%; }
    & > .transcript--note { color: $text-warning; }
    & > .transcript--button { color: $foreground 68%; }
    & > .transcript--dim { color: $foreground 68%; }

    & > .transcript--fold { color: $foreground 75%; }
    & > .transcript--thought { color: $thinking-color; }
    & > .transcript--bar { color: $foreground 35%; }
    & > .transcript--rule { color: $foreground 35%; }

    & > .transcript--heading { color: $text-primary; text-style: bold; }
    & > .transcript--h1 { text-style: underline; }
    & > .transcript--strong { text-style: bold; }
    & > .transcript--em { text-style: italic; }
    & > .transcript--s { text-style: strike; }
    & > .transcript--bullet { color: $text-primary; }
    & > .transcript--link { color: $text-accent; text-style: underline; }
    & > .transcript--formula { color: $text-secondary; }

    & > .transcript--code-inline { color: $text-warning; background: $surface; }
    & > .transcript--code { background: $surface; }
    & > .transcript--code-head { color: $foreground 68%; background: $panel; }
    & > .transcript--attribute { color: $text-accent; }
    & > .transcript--builtin { color: $text-accent; }
    & > .transcript--comment { color: $foreground 68%; text-style: italic; }
    & > .transcript--constant { color: $text-warning; }
    & > .transcript--deleted { color: $text-error; }
    & > .transcript--function { color: $text-primary; }
    & > .transcript--inserted { color: $text-success; }
    & > .transcript--keyword { color: $text-secondary; text-style: bold; }
    & > .transcript--number { color: $text-warning; }
    & > .transcript--string { color: $text-success; }
    & > .transcript--type { color: $text-primary; text-style: bold; }
    & > .transcript--variable { color: $text-accent; }

    & > .transcript--left-out { color: $foreground 52%; }

    /* Sixteen colours have no shades. */
    &:ansi > .transcript--notice, &:ansi > .transcript--button, &:ansi > .transcript--dim { text-style: dim; }
    &:ansi > .transcript--thought, &:ansi > .transcript--bar, &:ansi > .transcript--rule { text-style: dim; }
    &:ansi > .transcript--comment, &:ansi > .transcript--left-out { text-style: dim; }
    &:ansi > .transcript--code-inline { text-style: bold; }
}
"""

COMPONENT_NAMES = frozenset(
    part.partition(" ")[0] for part in TRANSCRIPT_CSS.split(f"& > .{COMPONENT_PREFIX}")[1:]
)
"""The style names that have a component class, taken from the CSS."""
