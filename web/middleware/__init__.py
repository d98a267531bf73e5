"""ASGI middleware, and the order in which a request passes it."""

from starlette.middleware import Middleware

from catdog.settings import Settings
from web.errors import ErrorResponses
from web.middleware.body_limit import BodyLimit
from web.middleware.csrf import Cors, Csrf
from web.middleware.public_url import PublicUrl
from web.middleware.rate_limit import RateLimiter, RateLimits
from web.middleware.security_headers import SecurityHeaders
from web.route_table import RouteTable


def middleware(
    settings: Settings, *, limiter: RateLimiter, errors: ErrorResponses, table: RouteTable
) -> list[Middleware]:
    """All middleware, outermost first: each sees a request before those below it.

    Before it come uvicorn's parser with the limits on connections (`connections`), and after it the routes; the mounted
    page has `web.gradio_guard` around it.
    """
    origins, proxies = settings.allowed_origins, settings.trusted_proxies
    return [
        Middleware(PublicUrl, public_url=settings.public_url),
        Middleware(SecurityHeaders, is_space=bool(settings.space_id)),
        Middleware(Cors, table=table, origins=origins),
        Middleware(Csrf, errors=errors, table=table, origins=origins),
        Middleware(RateLimits, limiter=limiter, errors=errors, table=table, trusted_proxies=proxies),
        Middleware(BodyLimit, max_bytes=settings.max_bytes, errors=errors, table=table, trusted_proxies=proxies),
    ]
