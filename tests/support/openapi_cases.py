"""Requests made from the OpenAPI document: what it allows, and what it does not.

A walk over its schemas with one seeded source of chance; no case depends on another's outcome.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

Schema = Mapping[str, Any]

# What breaks programs: lengths, signs, encodings, and words of other layers.
STRINGS = (
    "",
    " ",
    "x",
    "路口",
    "a\x00b",
    "\ud800",
    "\u2028",
    "../../etc/passwd",
    "' OR 1=1 --",
    "%s%n",
    "x" * 300,
    "9" * 40,
    "2026-11-26T00:00:00",
    "9999-12-31T23:59:59.999999-23:59",
    "eyJhIjoxfQ",
    "WzFd",
    "*",
)
NUMBERS = (0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 1.5, 1e308)
OTHERS: tuple[Any, ...] = (None, True, [], {}, [None], {"x": 1}, [[[]]], "text", 7)


@dataclass(frozen=True)
class Case:
    """One request."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.query} {self.headers} {(self.body or b'')[:200]!r}"


class Cases:
    """Makes cases. `known`: values of parameters and fields by name that mean something here."""

    def __init__(self, document: Schema, known: Mapping[str, tuple[Any, ...]], seed: int) -> None:
        self._document = document
        self._known = known
        self._dice = random.Random(seed)

    def of(self, path: str, method: str, number: int) -> Iterator[Case]:
        """`number` cases: about half of them as the document allows."""
        item = self._document["paths"][path]
        operation = item[method]
        parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
        content = operation.get("requestBody", {}).get("content", {})
        for at in range(number):
            yield self._case(path, method, parameters, content, wrong=at % 2 == 1)
        if "application/json" in content:
            headers = {"Content-Type": "application/json"}
            where = self._case(path, method, parameters, {}, wrong=False)
            for raw in (b"", b"{", b"[" * 100_000, b'"\xff"', b"NaN", b"null", b"[]"):
                yield Case(where.method, where.path, where.query, where.headers | headers, raw)

    def _case(
        self,
        path: str,
        method: str,
        parameters: list[Schema],
        content: Mapping[str, Schema],
        *,
        wrong: bool,
    ) -> Case:
        query: dict[str, str] = {}
        headers: dict[str, str] = {}
        for each in parameters:
            value = self._named(each["name"], each["schema"], wrong=wrong and self._chance(0.5))
            text = value if isinstance(value, str) else json.dumps(value)
            text = text.encode(errors="replace").decode()
            if each["in"] == "path":
                path = path.replace(f"{{{each['name']}}}", quote(text, safe="") or "x")
            elif each.get("required") or each["name"] in ONLY_KNOWN or self._chance(0.5):
                if each["in"] == "query":
                    query[each["name"]] = text
                elif each["in"] == "header":
                    plain = "".join(char for char in text if " " < char < "\x7f")
                    headers[each["name"]] = plain or "x"
        body = None
        if content:
            media_type = self._dice.choice(sorted(content))
            schema = content[media_type].get("schema", {})
            body = self._body(media_type, schema, wrong=wrong)
            headers["Content-Type"] = media_type
            if wrong and self._chance(0.1):
                headers["Content-Type"] = "text/plain"
        return Case(method.upper(), path, query, headers, body)

    def _body(self, media_type: str, schema: Schema, *, wrong: bool) -> bytes:
        if media_type == "application/json":
            # As a client in another language may write it: a lone surrogate is an escape.
            return json.dumps(self.value(schema, wrong=wrong)).encode()
        if media_type == "application/x-www-form-urlencoded":
            pairs = self.value(schema, wrong=False)
            return "&".join(
                f"{key}={quote(str(value).encode(errors='replace'))}"
                for key, value in pairs.items()
            ).encode()
        return self._dice.choice((b"", b"v=0\r\n", b"\x00\xff" * 50, b"{}", b"a,b\n1,2\n"))

    def value(self, schema: Schema, *, wrong: bool, depth: int = 0) -> Any:
        """A value of the schema, or one that is wrong somewhere."""
        schema = self._resolved(schema)
        if wrong and self._chance(0.15):
            return self._dice.choice((*OTHERS, *STRINGS, *NUMBERS))
        for word in ("anyOf", "oneOf", "allOf"):
            if word in schema:
                return self.value(self._dice.choice(schema[word]), wrong=wrong, depth=depth)
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        match schema.get("type"):
            case "object":
                return self._object(schema, wrong=wrong, depth=depth)
            case "array":
                return self._array(schema, wrong=wrong, depth=depth)
            case "integer":
                return self._number(schema, wrong=wrong, whole=True)
            case "number":
                return self._number(schema, wrong=wrong, whole=False)
            case "boolean":
                return self._chance(0.5)
            case "null":
                return None
        return self._string(schema, wrong=wrong)

    def _object(self, schema: Schema, *, wrong: bool, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        found = {}
        for name, each in schema.get("properties", {}).items():
            if name in required or name in ONLY_KNOWN or self._chance(0.6):
                bad = wrong and self._chance(0.4)
                found[name] = self._named(name, each, wrong=bad, depth=depth + 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and depth < 4:
            for key in self._dice.sample(STRINGS, 2):
                found[key] = self.value(more, wrong=wrong, depth=depth + 1)
        loose = sorted(found.keys() - ONLY_KNOWN)
        if wrong and loose and self._chance(0.2):
            del found[self._dice.choice(loose)]
        return found

    def _array(self, schema: Schema, *, wrong: bool, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(e, wrong=wrong, depth=depth + 1) for e in schema["prefixItems"]]
        least = max(schema.get("minItems", 0), 0)
        number = least + self._dice.choice((0, 1, 3))
        items = schema.get("items", {})
        return [self.value(items, wrong=wrong, depth=depth + 1) for _ in range(number)]

    def _number(self, schema: Schema, *, wrong: bool, whole: bool) -> int | float:
        if wrong:
            return self._dice.choice(NUMBERS)
        low = schema.get("minimum", schema.get("exclusiveMinimum", -5))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1_000))
        if not whole:
            return self._dice.uniform(low, high)
        return self._dice.choice((low, high, self._dice.randint(int(low), int(high))))

    def _string(self, schema: Schema, *, wrong: bool) -> str:
        if schema.get("format") == "date-time" and not wrong:
            return self._dice.choice(("2026-11-26T08:00:00+08:00", "2031-01-01T00:00:00Z"))
        text = self._dice.choice(STRINGS)
        if not wrong and schema.get("format") != "binary":
            text = text[: schema.get("maxLength", len(text))]
            text = text.ljust(schema.get("minLength", 0), "x")
        return text

    def _named(self, name: str, schema: Schema, *, wrong: bool, depth: int = 0) -> Any:
        known = self._known.get(name)
        if known is not None and (not wrong or name in ONLY_KNOWN):
            return self._dice.choice(known)
        return self.value(schema, wrong=wrong, depth=depth)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            at: Any = self._document
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                at = at[part]
            schema = at
        return schema

    def _chance(self, share: float) -> bool:
        return self._dice.random() < share


# Never made up or left out: a stream that goes on would hold the test up, and a second district
# takes from whoever manages the first the right to manage all there is.
ONLY_KNOWN = frozenset({"for_s", "parent_id"})
