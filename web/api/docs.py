"""`GET /docs`: a plain page made from the OpenAPI document. FastAPI's own page needs a content delivery network."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #8882; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin-bottom: .2em } h2 { margin: 2.2em 0 .2em; font-size: 1.1rem; font-weight: 600 }
code, pre { font-family: ui-monospace, monospace; font-size: .92em }
pre { background: var(--quiet); padding: .7em 1em; border-radius: 8px; overflow-x: auto }
.field { padding-left: 1.5em }
.method { display: inline-block; min-width: 4.2em; font-weight: 700 }
table { border-collapse: collapse; width: 100% } td { border-top: 1px solid var(--line); padding: .3em .8em .3em 0;
vertical-align: top } td:first-child { white-space: nowrap; width: 11em }
@media (max-width: 40rem) { td:first-child { white-space: normal; overflow-wrap: anywhere; width: 45% }
.field { display: inline-block; padding-left: .5em } }
"""


def docs_page(openapi: dict[str, Any], *, base: str) -> str:
    """Render an OpenAPI document as one HTML page without scripts or outside resources.

    Args:
        openapi: The document.
        base: The address of the service, for the curl examples.
    """
    info, schemas = openapi["info"], openapi["components"]["schemas"]
    routes = "".join(
        _operation(method, path, operation, schemas, base)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(info["title"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · API</title><style>{_STYLE}</style></head><body><h1>{title} · API</h1>"
        f"<p>{_prose(info['description'])}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Back to <a href="./">the page</a>.</p>'
        f"{routes}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any], base: str) -> str:
    curl = escape(operation.get("x-curl", "").replace("{base}", base))
    rows = "".join(f"<tr><td>{name}</td><td>{_prose(text)}</td></tr>" for name, text in _rows(operation, schemas))
    return (
        f'<h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>'
        f"<p>{_prose(operation.get('summary', ''))}. {_prose(operation.get('description', ''))}</p>"
        f"<pre>{curl}</pre>{_example(operation, schemas)}<table>{rows}</table>"
    )


def _example(operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    """What a response looks like, where the schema has an example."""
    for status, response in operation["responses"].items():
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        examples = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("examples")
        if status.startswith("2") and examples:
            return f"<pre>{escape(json.dumps(examples[0], indent=2))}</pre>"
    return ""


def _rows(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What goes in and what comes out: name as HTML, description as text."""
    for parameter in operation.get("parameters", []):
        mark = "?" if parameter["in"] == "query" else ""
        yield f"<code>{mark}{escape(parameter['name'])}</code>", parameter.get("description", "")
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", f"`{media_type}`"
        yield from _fields(content["schema"], schemas)
    explained: dict[str, Any] = {}
    for status, response in operation["responses"].items():
        yield escape(status), response["description"]
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if status.startswith("2") and schema != explained:  # several statuses may have the same body
            yield from _fields(schema, schemas)
            explained = schema


def _fields(schema: dict[str, Any], schemas: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a JSON object or a form, indented; those of a nested object follow it."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for name, field in schema.get("properties", {}).items():
        yield f'<code class="field">{escape(prefix + name)}</code>', field.get("description", "")
        if "$ref" in field:
            yield from _fields(field, schemas, f"{prefix}{name}.")


def _prose(text: str) -> str:
    """Escaped text in which `backticks` mark code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
