"""SOAP 1.2 as a device reads and writes it: hostile-safe requests in, envelopes and faults out.

Requests are read by expat event by event, so that a document type ends the reading before any
entity of it exists. Answers are text: their shapes stand beside the operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

SOAP = "http://www.w3.org/2003/05/soap-envelope"
TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
TR2 = "http://www.onvif.org/ver20/media/wsdl"
TPTZ = "http://www.onvif.org/ver20/ptz/wsdl"
TEV = "http://www.onvif.org/ver10/events/wsdl"
TT = "http://www.onvif.org/ver10/schema"
WSA = "http://www.w3.org/2005/08/addressing"
WSNT = "http://docs.oasis-open.org/wsn/b-2"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE = f"{_OASIS}-wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}-wssecurity-utility-1.0.xsd"
DIGEST_TYPE = f"{_OASIS}-username-token-profile-1.0#PasswordDigest"
PREFIXES = {
    "s": SOAP, "ter": "http://www.onvif.org/ver10/error", "tt": TT, "tds": TDS, "trt": TRT,
    "tr2": TR2, "tptz": TPTZ, "tev": TEV, "wsa5": WSA, "wsnt": WSNT,
    "tns1": "http://www.onvif.org/ver10/topics",
}  # fmt: skip
_DECLARATIONS = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())

# A request of a real client is a dozen elements, four deep in the body.
MAX_ELEMENTS = 500
MAX_DEPTH = 32

__all__ = ["Element", "Fault", "Malformed", "Request", "envelope", "escape", "parse", "quoteattr"]


class Malformed(Exception):
    """What came is no SOAP request; the message says why."""


class Fault(Exception):
    """A SOAP fault (SOAP 1.2 part 1, section 5.4) with the subcodes of ONVIF Core, section 5.8.

    `code` is `Sender` or `Receiver`, `subcodes` are qualified names with the prefix `ter`.
    """

    def __init__(self, code: str, reason: str, *subcodes: str) -> None:
        super().__init__(reason)
        self.code = code
        self.subcodes = subcodes

    @property
    def status(self) -> int:
        """As SOAP 1.2 part 2 (table 20) binds it to HTTP."""
        return 400 if self.code == "Sender" else 500

    def body(self) -> str:
        nested = ""
        for subcode in reversed(self.subcodes):
            nested = f"<s:Subcode><s:Value>{subcode}</s:Value>{nested}</s:Subcode>"
        return (
            f"<s:Fault><s:Code><s:Value>s:{self.code}</s:Value>{nested}</s:Code>"
            f'<s:Reason><s:Text xml:lang="en">{escape(str(self))}</s:Text></s:Reason></s:Fault>'
        )


@dataclass(slots=True)
class Element:
    """One element; names are `(namespace, local)`, attributes without a namespace have ''."""

    name: tuple[str, str]
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def child(self, namespace: str, local: str) -> Element | None:
        return next((each for each in self.children if each.name == (namespace, local)), None)

    def find(self, *path: tuple[str, str]) -> Element | None:
        """The element at the end of a path of children, or None."""
        found: Element | None = self
        for namespace, local in path:
            if found is None:
                return None
            found = found.child(namespace, local)
        return found

    def value(self, *path: tuple[str, str]) -> str | None:
        """The stripped text at the end of a path; None when there is no such element."""
        found = self.find(*path)
        return None if found is None else found.text.strip()


@dataclass(frozen=True, slots=True)
class Request:
    """One call: the operation's element, and the header (empty when there was none)."""

    operation: Element
    header: Element

    @property
    def message_id(self) -> str | None:
        return self.header.value((WSA, "MessageID"))


def parse(body: bytes) -> Request:
    """Read a SOAP 1.2 request. Raises Malformed for all else, and for a document type."""
    root = read(body)
    if root.name != (SOAP, "Envelope"):
        raise Malformed("the root is no SOAP 1.2 envelope")
    inside = root.child(SOAP, "Body")
    if inside is None or len(inside.children) != 1:
        raise Malformed("the body must hold one operation")
    return Request(inside.children[0], root.child(SOAP, "Header") or Element((SOAP, "Header")))


def read(document: bytes) -> Element:
    """The tree of a small XML document. Raises Malformed, never follows a reference outside."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = Element(("", ""))
    stack = [top]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS or len(stack) > MAX_DEPTH:
            raise Malformed("too many elements, or too deep")
        element = Element(_name(name), {_name(key)[1]: value for key, value in attributes.items()})
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].text += data

    def doctype(*_: object) -> None:
        raise Malformed("a document type is not taken")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise Malformed(f"no XML: {error}") from None
    except (ValueError, LookupError) as error:  # an encoding that expat or Python has not
        raise Malformed(f"no XML that can be read: {error}") from None
    return top.children[0]


def envelope(body: str, header: str = "") -> bytes:
    """A whole answer in UTF-8; the prefixes of `PREFIXES` are declared."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {_DECLARATIONS}>'
        f"{head}<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _name(name: str) -> tuple[str, str]:
    namespace, _, local = name.rpartition(" ")
    return namespace, local
