"""Security headers of every response: no framing, no content sniffing."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from storemon_pipeline.api.asgi import HttpMiddleware

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # HTML pages set a stricter policy
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class SecurityHeadersMiddleware(HttpMiddleware):
    """Adds the headers to each response that does not set them."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
