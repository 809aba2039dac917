"""The API's description (OpenAPI) as it is answered: every operation with its errors as they are.

The framework describes only its own 422, in a shape that no answer of ours has: every error is
`application/problem+json` with a stable code (`problems`), and which ones there are stands in the
documents, not at each operation.
"""

from __future__ import annotations

from typing import Any, Final

from .problems import MEDIA_TYPE

_FRAMEWORK_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")
_PROBLEM: Final = {
    "title": "Problem",
    "description": "An error (RFC 9457). `code` is stable, `detail` a sentence for people.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "What is wrong with the input, if one is."},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
        "reason": {"type": "string"},
        "purposes": {
            "type": "array",
            "description": "Where a purpose is asked for: one of these is to be named.",
            "items": {"$ref": "#/components/schemas/PurposeOut"},
        },
        "codec": {"type": "string"},
        "quota": {
            "type": "object",
            "description": "With `quota_exceeded`: which, and who holds it as far as one may know.",
            "required": ["of", "name", "what", "limit", "used", "asked", "held_by"],
            "properties": {
                "of": {"type": "string", "enum": ["area", "subject", "rtsp"]},
                "name": {"type": "string"},
                "what": {"type": "string", "enum": ["views", "bit_rate"]},
                "limit": {"type": "integer", "description": "Views, or bits per second."},
                "used": {"type": "integer"},
                "asked": {"type": "integer"},
                "held_by": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["of", "name", "used"],
                        "properties": {
                            "of": {"type": "string", "enum": ["subject", "area", "others"]},
                            "name": {"type": ["string", "null"]},
                            "used": {"type": "integer"},
                        },
                    },
                },
            },
        },
        "held_by": {"type": "string", "description": "Who steers the camera."},
        "held_until": {"type": "string", "format": "date-time"},
    },
}
_ERROR: Final = {
    "description": "An error",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """The framework's description with our errors in place of its own; changes and gives it."""
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR
    schemas = document["components"]["schemas"]
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    return document
