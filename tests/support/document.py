"""Holds answers against the OpenAPI document: nothing may be sent that the document does not say."""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from httpx2 import Response

_PROBLEM = "application/problem+json"
# Not operations of the API, or the same answer under a second address.
_OUTSIDE = frozenset({"/api/v1", "/openapi.json", "/docs"})


@dataclass
class Document:
    """``faults`` collects what is wrong with each answer that :meth:`check` was shown."""

    document: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A member that the schema does not name is a fault too, so every object of the service's own is closed here.
        self._closed = copy.deepcopy(self.document)
        for schema in self._closed["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        templates = sorted(self.document["paths"], key=lambda template: ("{" in template, template))
        self._templates = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in templates]

    def template(self, path: str) -> str | None:
        """The path of the document that an address belongs to; a literal one before one with parameters."""
        address = path.rstrip("/") or "/"
        return next((path for pattern, path in self._templates if pattern.fullmatch(address)), None)

    async def check(self, response: Response) -> None:
        """A response hook of httpx: notes each fault and lets the answer pass."""
        await response.aread()
        request = response.request
        found = list(self._faults(request.method, request.url.path, response))
        self.faults += [f"{request.method} {request.url.path} {response.status_code}: {fault}" for fault in found]

    def errors(self, schema: dict[str, Any], instance: Any) -> list[str]:
        """What a value breaks of a schema, which may refer to the document's components."""
        whole = {**schema, "components": self._closed["components"]}
        validator = jsonschema_rs.Draft202012Validator(whole)
        return [
            f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(instance)
        ]

    def _faults(self, method: str, path: str, response: Response) -> list[str]:
        template = self.template(path)
        operation = self.document["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
        if operation is not None:
            return self._unlike(operation, response, has_body=method != "HEAD")
        if method == "OPTIONS" or path.rstrip("/") in _OUTSIDE:
            return []
        expected = 404 if template is None else 405
        faults = [] if method == "HEAD" else self._problem(response)
        if response.status_code not in (expected, 413, 431):
            faults.append(f"expected {expected} for what is not documented")
        return faults

    def _unlike(self, operation: dict[str, Any], response: Response, *, has_body: bool) -> list[str]:
        """Where an answer differs from what its operation documents."""
        documented = operation["responses"].get(str(response.status_code))
        if documented is None:
            return ["the status is not documented"]
        if not has_body or not response.content:
            return []
        media = _media(response)
        if media not in documented.get("content", {}):
            return [f"the content type {media} is not documented"]
        faults = self.errors(documented["content"][media]["schema"], response.json())
        if media == _PROBLEM:
            faults += self._problem(response)
            code = response.json()["code"]
            if code not in documented["content"][media]["examples"]:
                faults.append(f"the code {code} has no example")
        return faults

    def _problem(self, response: Response) -> list[str]:
        if _media(response) != _PROBLEM:
            return [f"a failure of type {_media(response)}"]
        body = response.json()
        faults = self.errors({"$ref": "#/components/schemas/Problem"}, body)
        if body["status"] != response.status_code or body["detail"] != body["message"]:
            faults.append("status or detail do not agree with the answer")
        if ("traceId" in body) != (response.status_code >= 500):
            faults.append("a trace id belongs to 5xx, and to nothing else")
        return faults


def _media(response: Response) -> str:
    media: str = response.headers.get("content-type", "").partition(";")[0]
    return media
