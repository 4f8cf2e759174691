"""The OpenAPI document: what FastAPI finds by itself, and what it cannot know."""

from functools import cache, partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from mooring.dialects.native.problems import MEDIA_TYPE, TABLE, Problem

_METHODS = {"get", "put", "post", "delete"}
_ETAG = "The version of the thing: it changes with what of it can be changed, not with how much of it is in use."
_ABOUT = """
Everything that mooring can do. Tokens come from {log_in}.

What can be shown alone has an `ETag`. A change or deletion that names it in `If-Match` is done only if the thing still has that version, and is answered
with 412 if it was changed since; a route that has no version to compare answers 412 to any `If-Match`.

Errors are RFC 9457 problems; their `type` is one of these, or `about:blank` where the status says it all:
"""


def describe(api: FastAPI, elsewhere: str | None = None) -> None:
    """Let an application serve its own description at /openapi.json, and who it is at /; people log in here, or `elsewhere`."""
    # It takes a good part of a second, which few processes ever need.
    document = cache(partial(_document, api, elsewhere))
    about = {"name": "mooring", "version": version("mooring"), "api": "v1", "description": "/v1/openapi.json"}

    async def openapi(_request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(document))

    async def root(_request: Request) -> JSONResponse:
        return JSONResponse(about)

    api.add_route("/openapi.json", openapi, ["GET"], include_in_schema=False)
    api.add_route("/", root, ["GET"], include_in_schema=False)


def _document(api: FastAPI, elsewhere: str | None) -> dict[str, Any]:
    own = "its Keystone endpoint, `POST /identity/v3/auth/tokens`"
    about = _ABOUT.strip().format(log_in=own if elsewhere is None else f"the Keystone at {elsewhere}")
    kinds = "".join(f"- `urn:mooring:{kind.name}` ({kind.status}): {kind.title}\n" for kind in TABLE.values())
    document = get_openapi(
        title="mooring",
        version=version("mooring"),
        summary="The addresses of a VM cloud",
        description=f"{about}\n\n{kinds}",
        routes=api.routes,
        servers=[{"url": "/v1"}],
        tags=[
            {"name": name}
            for name in (
                "networks",
                "pools",
                "floating-ips",
                "egress",
                "port-forwardings",
                "instances",
                "security-groups",
                "hosts",
                "quotas",
                "accounts",
                "keys",
                "trace",
                "events",
            )
        ],
    )
    parts: dict[str, Any] = document["components"]
    parts["securitySchemes"] = {
        "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    document["security"] = [{"token": []}, {"bearer": []}]
    # FastAPI describes a form of errors that is not ours.
    for foreign in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(foreign, None)
    parts["schemas"]["Problem"] = _problem(parts["schemas"])
    parts["responses"] = {
        "Problem": {
            "description": "Not done, and why.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    for path in document["paths"].values():
        _tagged(path)
        for method in _METHODS & path.keys():
            answers: dict[str, Any] = path[method]["responses"]
            answers.pop("422", None)
            answers |= {code: {"$ref": "#/components/responses/Problem"} for code in ("4XX", "5XX")}
    return document


def _tagged(path: dict[str, Any]) -> None:
    """Say of what can be changed on a condition that its answers tell its version."""
    methods = [path[method] for method in _METHODS & path.keys()]
    if any(each["name"] == "If-Match" for method in methods for each in method.get("parameters", [])):
        for answers in (method["responses"] for method in methods):
            if "200" in answers:
                answers["200"]["headers"] = {"ETag": {"description": _ETAG, "schema": {"type": "string"}}}


def _problem(schemas: dict[str, Any]) -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    return schema
