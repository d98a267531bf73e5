"""`GET /docs`: a plain page made from the OpenAPI document. FastAPI's own page needs a content delivery network."""

from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #8882; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin-bottom: .2em } h2 { margin: 2.2em 0 .2em; font-size: 1.1rem; font-weight: 600 }
code, pre { font-family: ui-monospace, monospace; font-size: .92em }
pre { background: var(--quiet); padding: .7em 1em; border-radius: 8px; overflow-x: auto }
.method { display: inline-block; min-width: 4.2em; font-weight: 700 }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid var(--line); padding: .3em .8em .3em 0;
vertical-align: top } td:first-child { white-space: nowrap }
"""


def docs_page(openapi: dict[str, Any], *, base: str) -> str:
    """Render an OpenAPI document as one HTML page without scripts or outside resources.

    Args:
        openapi: The document.
        base: The address of the service, for the curl examples.
    """
    info = openapi["info"]
    routes = "".join(
        _operation(method, path, operation, base)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(info["title"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: API</title><style>{_STYLE}</style></head><body><h1>{title}: API</h1>"
        f"<p>{_prose(info['description'])}</p>"
        '<p>The same for programs: <a href="openapi.json">openapi.json</a>. Back to <a href="./">the page</a>.</p>'
        f"{routes}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], base: str) -> str:
    rows = [
        (f"<code>?{escape(p['name'])}</code>" if p["in"] == "query" else f"<code>{escape(p['name'])}</code>", p)
        for p in operation.get("parameters", [])
    ]
    cells = [f"<tr><td>{name}</td><td>{_prose(p.get('description', ''))}</td></tr>" for name, p in rows]
    cells += [
        f"<tr><td>{escape(status)}</td><td>{_prose(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    curl = operation.get("x-curl", "").replace("{base}", base)
    return (
        f'<h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>'
        f"<p>{_prose(operation.get('summary', ''))}. {_prose(operation.get('description', ''))}</p>"
        f"<pre>{escape(curl)}</pre><table>{''.join(cells)}</table>"
    )


def _prose(text: str) -> str:
    """Escaped text in which `backticks` mark code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
