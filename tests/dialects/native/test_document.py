"""The OpenAPI document: valid, complete, and changed only on purpose."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi.openapi.models import OpenAPI


@pytest.fixture
def document(http: httpx2.Client) -> Any:
    answer = http.get("/v1/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def _references(part: Any) -> Iterator[str]:
    match part:
        case dict():
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for inner in part.values():
                yield from _references(inner)
        case list():
            for inner in part:
                yield from _references(inner)
        case _:
            pass


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPI.model_validate(document)


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Any) -> None:
    used = set(_references(document))
    for reference in used:
        part = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert schemas <= used


def test_every_operation_is_described_and_says_how_it_fails(document: Any) -> None:
    identities = []
    for _, path, operation in _operations(document):
        identities.append(operation["operationId"])
        assert operation["description"].endswith("."), operation["operationId"]
        assert operation["tags"], path
        assert {"4XX", "5XX"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]
    assert len(identities) == len(set(identities))


def test_every_post_that_makes_something_takes_an_idempotency_key(document: Any) -> None:
    for method, path, operation in _operations(document):
        if method == "POST" and path != "/trace":
            assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}, path


def test_no_body_takes_a_field_that_is_not_known(document: Any) -> None:
    schemas = document["components"]["schemas"]
    bodies = [name for name in schemas if name.endswith("Wish")]
    assert bodies
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)


def test_the_contract_in_short(document: Any, golden: Callable[[str, str], None]) -> None:
    golden("contract.txt", "".join(_outline(document)))


def _outline(document: Any) -> Iterator[str]:
    for method, path, operation in _operations(document):
        asked = [each["name"] + ("" if each["required"] else "?") for each in operation.get("parameters", [])]
        body = _named(operation["requestBody"]["content"]) if "requestBody" in operation else ""
        answers = [f"{code} {_named(each.get('content', {}))}".strip() for code, each in operation["responses"].items()]
        yield f"{method} {path}\n"
        yield f"    asks     {' '.join([*asked, body]).strip() or '-'}\n"
        yield f"    answers  {', '.join(answer for answer in answers if not answer.endswith('XX'))}\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"\n{name}\n"
        for title, each in schema.get("properties", {}).items():
            needed = "" if title in schema.get("required", []) else "?"
            yield f"    {title}{needed}: {_kind(each)}\n"
        if "enum" in schema:
            yield f"    {' | '.join(schema['enum'])}\n"


def _named(content: Any) -> str:
    return " | ".join(_kind(each["schema"]) for each in content.values())


def _kind(schema: Any) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema.get("type") == "array":
        return f"[{_kind(schema['items'])}]"
    return str(schema.get("format") or schema["type"])
