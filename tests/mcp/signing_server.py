"""A server that wants its user to sign in: the SDK's own server side, with everything in memory."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl


class Authorities(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The authorization server: whoever comes is signed in at once, or refused."""

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.renewals: dict[str, RefreshToken] = {}
        self.expires_in = 3600
        self.refuses = False
        self.n_renewed = 0

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        if self.refuses:
            return construct_redirect_uri(
                str(params.redirect_uri),
                error="access_denied",
                error_description="Not today.",
                state=params.state,
            )
        code = AuthorizationCode(
            code=secrets.token_hex(20),
            scopes=params.scopes or [],
            expires_at=time.time() + 300,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._grant(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return self.renewals.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.n_renewed += 1
        return self._grant(client.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.tokens.pop(token.token, None)

    def _grant(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        token, renewal = f"access-{secrets.token_hex(20)}", f"renewal-{secrets.token_hex(20)}"
        self.tokens[token] = AccessToken(token=token, client_id=client_id, scopes=scopes, resource=resource)
        self.renewals[renewal] = RefreshToken(
            token=renewal, client_id=client_id, scopes=scopes, resource=resource
        )
        return OAuthToken(access_token=token, expires_in=self.expires_in, refresh_token=renewal)


@contextmanager
def signing_server() -> Iterator[tuple[str, Authorities]]:
    """Serve one tool to those who have signed in; yield the address and the authorization server."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    home = f"http://127.0.0.1:{bound.getsockname()[1]}"
    authorities = Authorities()
    server = MCPServer(
        "signing",
        auth_server_provider=authorities,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(home),
            resource_server_url=AnyHttpUrl(f"{home}/mcp"),
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(enabled=True),
        ),
        log_level="CRITICAL",
    )

    def echo(text: str) -> str:
        """Say it."""
        return text

    server.add_tool(echo)
    settings: dict[str, Any] = {"log_level": "critical", "lifespan": "on", "ws": "none"}
    web = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), **settings))
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    thread = Thread(target=web.run, args=([bound],))
    thread.start()
    try:
        yield f"{home}/mcp", authorities
    finally:
        web.should_exit = web.force_exit = True
        thread.join()
        bound.close()
