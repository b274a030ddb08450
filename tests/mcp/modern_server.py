"""A server of the official SDK, which speaks 2026-07-28: `python modern_server.py [PORT]`.

With a port it is reached by HTTP, with a key. In that protocol nothing is sent to the client by itself: forms
are asked for in the results of calls, and changes are told to those who subscribe.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitRequestURLParams, InputRequiredResult
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

KEY = "key-of-a-test"
PAGE = "https://example.com/pay"
server = MCPServer("modern", version="7")


@server.tool()
async def count_up(context: Context) -> str:
    """Count to three."""
    for number in range(3):
        await context.report_progress(number + 1, 3, f"step {number + 1}")
    return f"counted, {context.protocol_version}"


@server.tool()
async def ask_name(context: Context) -> str | InputRequiredResult:
    """Ask the user for their name, then to visit a page."""
    given = context.input_responses or {}
    if "name" not in given and context.request_state is None:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        form = ElicitRequestFormParams(message="Who are you?", requested_schema=schema)
        return InputRequiredResult(input_requests={"name": ElicitRequest(params=form)})
    if "page" not in given:
        page = ElicitRequestURLParams(message="Pay.", url=PAGE, elicitation_id="1")
        state = given["name"].model_dump_json()
        return InputRequiredResult(input_requests={"page": ElicitRequest(params=page)}, request_state=state)
    return f"{context.request_state} {given['page'].model_dump_json()}"


@server.tool()
async def grow(context: Context) -> str:
    """Offer one tool more."""

    def grown() -> str:
        return "grown"

    server.add_tool(grown, "grown", description="New.")
    await context.notify_tools_changed()
    return "one more"


@server.prompt()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Greet {name}."


@server.resource("notes://day")
def day() -> str:
    """Return the note of the day."""
    return "rain"


async def _check_key(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.headers.get("X-Key") != KEY:
        return PlainTextResponse("no key", 401)
    return await answer(request)


def main() -> None:
    """Serve on stdin and stdout, or on a port of this machine."""
    if len(sys.argv) < 2:
        server.run()
        return
    app = server.streamable_http_app()
    app.add_middleware(BaseHTTPMiddleware, dispatch=_check_key)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")


if __name__ == "__main__":
    main()
