"""SOAP envelopes: written from templates, read by local names. No I/O.

SOAP 1.2 (W3C, part 1), WS-Addressing 1.0. Prefixes and namespaces are those of ONVIF Core section
5.3. Answers are foreign bytes: no document type, no entity, no network, and what the parser
refuses is `BadAnswer`, whatever came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from lxml import etree

from gateways.onvif.errors import BadAnswer, Fault

SOAP = "http://www.w3.org/2003/05/soap-envelope"
NAMESPACES = {
    "s": SOAP,
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wsa": "http://www.w3.org/2005/08/addressing",
}
_DECLARED = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())

# What cameras write, besides UTF-8; all of them show "<!DOCTYPE" as ASCII, and none is executable.
_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "latin-1",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
}
_BOM = b"\xef\xbb\xbf"
_DECLARATION = re.compile(rb"\s*<\?xml[^>]{0,200}\?>")
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
_PREFIX_USED = re.compile(r"</?([A-Za-z_][\w.-]{0,40}):")
_PREFIX_DECLARED = re.compile(r"xmlns:([A-Za-z_][\w.-]{0,40})\s*=")
_FIRST_NAME = re.compile(r"<[A-Za-z_][\w.:-]*")
# What is mended is addresses and subscriptions; in 2 MB it would hold up the loop for 150 ms.
MAX_MENDED_CHARS = 256 << 10
# More undeclared prefixes than this is no oversight of a firmware.
MAX_MENDED_PREFIXES = 16
# XML 1.0 section 2.2: what no document may hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Operation:
    """A request: the action URI, and the XML of its body with our prefixes."""

    action: str
    body: str


def operation(prefix: str, name: str, content: str = "") -> Operation:
    """`<prefix:Name>content</prefix:Name>` with the action that ONVIF's WSDLs give it."""
    body = f"<{prefix}:{name}>{content}</{prefix}:{name}>"
    return Operation(f"{NAMESPACES[prefix]}/{name}", body)


def xml(text: str) -> str:
    """Text for an element or an attribute: escaped, without what XML can't hold."""
    return escape(_ILLEGAL.sub("", text))


def envelope(request: Operation, header: str = "") -> bytes:
    """The whole message, UTF-8."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<s:Envelope{_DECLARED}>{head}<s:Body>{request.body}</s:Body></s:Envelope>"
    ).encode()


# --- reading --------------------------------------------------------------------------------------


def parse(message: bytes) -> etree._Element:
    """The root of a foreign document. Raises `BadAnswer` for anything else.

    Bare ampersands in URIs and prefixes that are not declared, as firmwares write them, are
    mended; all other errors of form are errors.
    """
    text = _decoded(message)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadAnswer("doctype_refused")
    try:
        return _strict(text)
    except etree.XMLSyntaxError as error:
        if len(text) > MAX_MENDED_CHARS:
            raise BadAnswer("bad_answer", f"Not XML: {error.msg}") from None
    try:
        return _strict(_mended(text))
    except etree.XMLSyntaxError as error:
        raise BadAnswer("bad_answer", f"Not XML: {error.msg}") from None


def body_of(message: bytes) -> etree._Element | Fault:
    """The first element in the body of an envelope, or the fault in it. Raises `BadAnswer`."""
    root = parse(message)
    if name_of(root) != "Envelope":
        raise BadAnswer("bad_answer", f"Not a SOAP envelope but <{name_of(root)}>")
    body = find(root, "Body")
    first = next(iter(body), None) if body is not None else None
    if first is None:
        raise BadAnswer("bad_answer", "The SOAP body is empty")
    return _fault(first) if name_of(first) == "Fault" else first


def name_of(element: etree._Element) -> str:
    """The local name."""
    return str(element.tag).rpartition("}")[2]


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """Direct children by local name."""
    if element is not None:
        yield from element.iterchildren(f"{{*}}{name}")


def find(element: etree._Element | None, path: str) -> etree._Element | None:
    """The first element at `A/B/C`, by local names."""
    for step in path.split("/"):
        element = next(children(element, step), None)
    return element


def text_of(element: etree._Element | None, path: str = "") -> str:
    """The text at `path`, trimmed; "" if there is none."""
    found = find(element, path) if path else element
    return ((found.text if found is not None else None) or "").strip()


def attribute(element: etree._Element | None, name: str) -> str:
    """An attribute by local name, as it is: tokens may hold spaces. "" if there is none."""
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return ""


def number(text: str) -> float | None:
    """A finite number, or None; cameras put spaces around it."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def integer(text: str) -> int | None:
    value = number(text)
    return None if value is None else round(value)


def flag(text: str) -> bool:
    """xs:boolean: `true` or `1`."""
    return text.strip().lower() in ("true", "1")


# --- inside ---------------------------------------------------------------------------------------


def _decoded(message: bytes) -> str:
    """Without the declaration: what follows is parsed as UTF-8."""
    message = message.removeprefix(_BOM).rstrip(b"\0")  # some send the end of their C string too
    declared = _DECLARATION.match(message)
    named = _ENCODING.search(declared[0]) if declared else None
    encoding = _ENCODINGS.get(named[1].decode().lower()) if named else "utf-8"
    if encoding is None or b"\0" in message:  # UTF-16 and the like may hide a DOCTYPE
        raise BadAnswer("encoding_refused")
    return message[declared.end() if declared else 0 :].decode(encoding, "replace")


def _strict(text: str) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        encoding="utf-8",
    )
    return etree.fromstring(_ILLEGAL.sub("", text).strip().encode(), parser)


def _mended(text: str) -> str:
    text = _BARE_AMPERSAND.sub("&amp;", text)
    missing = set(_PREFIX_USED.findall(text)) - set(_PREFIX_DECLARED.findall(text)) - {"xml"}
    first = _FIRST_NAME.search(text)
    if not missing or first is None or len(missing) > MAX_MENDED_PREFIXES:
        return text
    declared = "".join(f' xmlns:{prefix}="urn:undeclared:{prefix}"' for prefix in sorted(missing))
    return text[: first.end()] + declared + text[first.end() :]


def _fault(element: etree._Element) -> Fault:
    code = find(element, "Code")
    if code is None:  # SOAP 1.1
        return Fault(
            _unprefixed(text_of(element, "faultcode")), (), text_of(element, "faultstring")
        )
    subcodes: list[str] = []
    inner = find(code, "Subcode")
    while inner is not None and len(subcodes) < 8:
        subcodes.append(_unprefixed(text_of(inner, "Value")))
        inner = find(inner, "Subcode")
    reason = text_of(element, "Reason/Text")
    return Fault(_unprefixed(text_of(code, "Value")), tuple(subcodes), reason)


def _unprefixed(name: str) -> str:
    return name.rpartition(":")[2].strip()
