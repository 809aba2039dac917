"""The crates' edges point down, and `unsafe` stays where it was let in."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "core"

# Who may depend on which of our crates. The load generator judges the core, so it shares nothing
# of it but the formats.
ALLOWED = {
    "wire": set(),
    "fanout": {"wire"},
    "peer": {"wire"},
    "engine": {"wire", "fanout", "peer"},
    "py": {"engine"},
    "farm": {"wire", "peer"},
    "loadgen": {"wire"},
    # Tests only: nobody depends on it.
    "fuzz": {"wire", "fanout", "peer"},
}
# Files that may hold `unsafe`, each a quarantine of system calls.
UNSAFE_IN = {"engine/src/sys.rs", "loadgen/src/sys.rs", "farm/src/signals.rs"}

crates = sorted(p.parent.name for p in CORE.glob("*/Cargo.toml"))


@pytest.mark.parametrize("crate", crates)
def test_a_crate_depends_only_on_what_lies_below_it(crate: str) -> None:
    manifest = tomllib.loads((CORE / crate / "Cargo.toml").read_text())
    ours = set(manifest.get("dependencies", {})) & set(ALLOWED)
    assert ours <= ALLOWED[crate]


@pytest.mark.parametrize("crate", ["wire", "peer", "fanout"])
def test_pure_crates_forbid_unsafe(crate: str) -> None:
    assert "#![forbid(unsafe_code)]" in (CORE / crate / "src" / "lib.rs").read_text()


def test_unsafe_stands_only_in_its_quarantine() -> None:
    found = {
        str(path.relative_to(CORE))
        for path in CORE.glob("*/src/**/*.rs")
        if re.search(r"\bunsafe\b(?!_code)", re.sub(r"//.*", "", path.read_text()))
    }
    assert found <= UNSAFE_IN


def test_pure_crates_touch_no_clock_socket_or_thread() -> None:
    banned = re.compile(r"Instant::now|SystemTime::now|std::net::(Udp|Tcp)|std::thread|std::fs")
    for crate in ("wire", "peer", "fanout"):
        for path in (CORE / crate / "src").rglob("*.rs"):
            code = path.read_text().split("#[cfg(test)]")[0]
            assert not banned.search(code), path
