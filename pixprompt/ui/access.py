"""Who may see the page: the browser that was given the link, and no other site inside it."""

from __future__ import annotations

import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

from ..serving.messages import RequestError, read_json

__all__ = ["HEADERS", "Access"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every response: nothing is loaded from elsewhere, stored, framed or guessed at."""


class Access:
    """Lets in who knows the token of the link, which a browser keeps to itself: it stands behind a #.

    The token is exchanged for a cookie that no script can read and no other site makes a browser send.

    Attributes:
        token: Of the link.
    """

    def __init__(self) -> None:
        self.token, self._session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)

    def check_site(self, request: Request) -> None:
        """Refuses what a page of another site makes a browser send.

        Raises:
            RequestError: It is such a request; following a link to this page is none.
        """
        origin, headers = request.headers.get("origin"), request.headers
        foreign = origin not in (None, f"http://{headers.get('host', '')}")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            foreign |= request.method != "GET" or headers.get("sec-fetch-mode") != "navigate"
        if foreign or (request.method == "POST" and origin is None):
            raise RequestError(403, "requests come from this page alone.")

    def admits(self, request: Request) -> bool:
        """Whether a request comes from a browser that has used the link."""
        return secrets.compare_digest(request.cookies.get(_cookie(request), "").encode(), self._session.encode())

    def enter(self, request: Request, body: bytes) -> Response:
        """Gives the cookie for {"token": ...}.

        Raises:
            RequestError: It is not the token of the link.
        """
        token = read_json(body).get("token")
        if not isinstance(token, str) or not secrets.compare_digest(token.encode(), self.token.encode()):
            raise RequestError(403, "the link is not of this session; open the one that pixprompt ui printed.")
        response = Response(status_code=204)
        response.set_cookie(_cookie(request), self._session, httponly=True, samesite="strict")
        return response


def _cookie(request: Request) -> str:
    """Returns the name of the cookie: browsers share cookies between the ports of a machine."""
    port = re.search(r":(\d{1,5})$", request.headers.get("host", ""))
    return f"pixprompt-ui-{port[1] if port else 80}"
