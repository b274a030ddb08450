"""Chat templates that take all time or memory, attack the sandbox, or are no templates at all."""

from __future__ import annotations

from qwen3_chat.error_codes import ErrorCode

_TOO_LARGE, _REFUSED = ErrorCode.CHAT_TEMPLATE_TOO_LARGE, ErrorCode.CHAT_TEMPLATE_FAILED
_BROKEN = ErrorCode.CHAT_TEMPLATE_BROKEN

ENDLESS = {
    "loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
        "{% endfor %}{% endfor %}{% endfor %}"
    ),
    "one operation": "{% set n = messages|length + 8 %}{% set never = n ** 900000000 %}",
    "long words": "{{ lipsum(n=100000, min=1000, max=10000) }}",
    "macros": ("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"),
    "sorting": "{% for i in range(99999) %}{% set x = range(99999)|sort(reverse=true) %}{% endfor %}",
    "links": "{% for i in range(99999) %}{% set x = ('http://a.' * (i + 10 ** 6))|urlize %}{% endfor %}",
    "large source": "{{ 'x' }}" * 400_000,
}
"""Templates that need hours, or more than a few seconds to compile."""

BOUNDED = {
    "long text": ("{{ 'a' * 10 ** 9 }}", _TOO_LARGE),
    "text that is computed": ("{% set n = messages|length %}{{ 'a' * (n + 10 ** 9) }}", _TOO_LARGE),
    "long list": ("{{ [0] * 10 ** 9 }}", _TOO_LARGE),
    "range": ("{{ range(10 ** 9)|list|length }}", _REFUSED),
    "many pieces": ("{% for i in range(90000) %}{{ 'a' * 1000 }}{% endfor %}", _TOO_LARGE),
    "doubling": (
        "{% set s = namespace(t='ab') %}{% for i in range(40) %}{% set s.t = s.t ~ s.t %}{% endfor %}",
        _TOO_LARGE,
    ),
    "doubling lists": (
        "{% set s = namespace(t=[1]) %}{% for i in range(40) %}{% set s.t = s.t + s.t %}{% endfor %}",
        _TOO_LARGE,
    ),
    "indent": ("{{ [1]|tojson(indent=10 ** 9) }}", _TOO_LARGE),
    "center": ("{{ 'a'|center(10 ** 9) }}", _TOO_LARGE),
    "indent filter": ("{{ 'a\n'|indent(10 ** 9, first=true) }}", _TOO_LARGE),
    "percent": ("{{ '%1000000000d' % 1 }}", _TOO_LARGE),
    "format": ("{{ '{:>1000000000}'.format(1) }}", _TOO_LARGE),
    "long date": ("{{ strftime_now('%Y' * 10 ** 8) }}", _TOO_LARGE),
    "ljust": ("{{ 'a'.ljust(10 ** 9) }}", _TOO_LARGE),
    "replace": ("{{ ('a' * 10 ** 5)|replace('a', 'a' * 10 ** 5) }}", _TOO_LARGE),
    "batch": ("{{ [1]|batch(10 ** 10, 0)|list }}", _TOO_LARGE),
    "macro that calls itself": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", _REFUSED),
    "recursive loop": ("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", _REFUSED),
    "itself": ("{% include 'self' %}", _REFUSED),
    "deep expression": ("{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}", _BROKEN),
    "deep blocks": ("{% for i in [1] %}" * 60 + "{% endfor %}" * 60, _BROKEN),
    "syntax": ("{% for", _BROKEN),
    "unknown filter": ("{{ 1|nothing }}", _BROKEN),
    "exception": ("{{ raise_exception('x' * 9000) }}", _REFUSED),
    "division": ("{{ 1 // (messages|length * 0) }}", _REFUSED),
    "class": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", _REFUSED),
    "globals": ("{{ raise_exception.__globals__ }}{{ raise_exception.__globals__.os }}", _REFUSED),
    "attr filter": ("{{ (''|attr('__class__')).x }}", _REFUSED),
    "format of attributes": ("{{ '{0.__class__.__mro__}'.format(1) }}", _REFUSED),
    "cycler": ("{{ cycler.__init__.__globals__.os.system('true') }}", _REFUSED),
    "messages changed": ("{{ messages.append(1) }}", _REFUSED),
}
"""Templates with the error that they end in."""

EMPTY = {
    "comment": "{# nothing #}",
    "condition": "{% if false %}a{% endif %}",
    "undefined": "{{ nothing }}",
    "white space": "{%- set a = 1 -%} ",
}
"""Templates that render nothing."""
