"""Who may ask a device: tokens, digest, the clock, and the lock-out a client must not cause."""

from __future__ import annotations

import hashlib

import pytest

from camera_registry.secret import Secret
from streamhub.farm_onvif.auth import CHALLENGE_LIFE_S, LOCKOUT_S, Credentials, Gate, Verdict
from streamhub.farm_onvif.device import Device
from streamhub.farm_onvif.http_message import Answer
from streamhub.farm_onvif.soap import read
from support.onvif_client import NOW, OASIS, PASSWORD, call, device, post, request, text_of, token

INFORMATION = "<tds:GetDeviceInformation/>"
PATH = "/onvif/device_service"


def ask(asked: Device, security: str = "", now: float = NOW, **headers: str) -> Answer:
    return post(asked, request(INFORMATION, security), path=PATH, now=now, **headers)


def test_the_digest_is_that_of_the_profiles_published_vector() -> None:
    """Nonce, time, password and digest of ONVIF's application programmer's guide."""
    gate = Gate(Credentials("user", Secret("userpassword")), ("MD5",), 5, b"key")
    header = (
        f'<w:Security xmlns:w="{OASIS}-wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{OASIS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        "<w:Username>user</w:Username>"
        f'<w:Password Type="{OASIS}-username-token-profile-1.0#PasswordDigest">'
        "tuOSpGlFlIXsozq4HFNeeGeFLEI=</w:Password><w:Nonce>LKqI6G/AikKCQrN0zqZFlg==</w:Nonce>"
        "<u:Created>2010-09-16T07:50:45Z</u:Created></w:UsernameToken></w:Security>"
    )
    made = 1_284_623_445.0
    assert gate.token(read(header.encode()), made, made) is Verdict.ALLOWED


def test_who_brings_nothing_is_challenged_and_no_try_is_counted() -> None:
    asked = device()
    answer = ask(asked)
    challenges = [value for name, value in answer.headers if name == "WWW-Authenticate"]
    assert answer.status == 401
    assert ["SHA-256" in each for each in challenges] == [True, False]
    assert "ter:NotAuthorized" in answer.body.decode()
    assert asked.gate.failed_tries == 0


@pytest.mark.parametrize("operation", ["GetSystemDateAndTime", "GetServices", "GetCapabilities"])
def test_what_a_client_needs_before_signing_in_is_open(operation: str) -> None:
    assert post(device(), request(f"<tds:{operation}/>"), path=PATH).status == 200


@pytest.mark.parametrize("off_s", [-6.0, 6.0, 3600.0])
def test_a_token_of_another_time_is_refused_but_no_failed_try(off_s: float) -> None:
    asked = device()
    answer = ask(asked, token(NOW + off_s))
    assert (answer.status, asked.gate.off_clock, asked.gate.failed_tries) == (400, 1, 0)
    assert "ter:NotAuthorized" in answer.body.decode()
    assert ask(asked, token(NOW + off_s / abs(off_s) * 4)).status == 200


def test_a_token_is_good_once() -> None:
    asked = device()
    used = token(NOW)
    assert [ask(asked, used).status for _ in range(2)] == [200, 400]
    assert asked.gate.failed_tries == 0


@pytest.mark.parametrize(
    "wrong",
    [
        token(NOW, password="guess"),
        token(NOW, username="root"),
        token(NOW).replace("#PasswordDigest", "#PasswordText"),
        token(NOW).replace("<w:Nonce>", "<w:Nonce>!"),
    ],
    ids=["password", "username", "plain", "nonce"],
)
def test_a_wrong_token_is_a_failed_try(wrong: str) -> None:
    asked = device()
    answer = ask(asked, wrong)
    assert (answer.status, asked.gate.failed_tries) == (400, 1)
    assert PASSWORD not in answer.body.decode()


def test_too_many_failed_tries_lock_out_the_right_password_too() -> None:
    asked = device(lockout_tries=3)
    for _ in range(3):
        assert ask(asked, token(NOW, password="guess")).status == 400
    refused = ask(asked, token(NOW + 10), NOW + 10)
    assert "ter:NotAuthorized" in refused.body.decode()
    assert (asked.gate.failed_tries, asked.gate.lockouts) == (3, 1)
    later = NOW + LOCKOUT_S
    assert ask(asked, token(later), later).status == 200


def test_the_right_password_in_between_starts_the_count_anew() -> None:
    asked = device(lockout_tries=2)
    for password in ("guess", PASSWORD, "guess", PASSWORD):
        ask(asked, token(NOW, password=password))
    assert (asked.gate.failed_tries, asked.gate.lockouts) == (2, 0)


def authorization(
    answer: Answer, password: str = PASSWORD, *, qop: bool = True, path: str = PATH
) -> str:
    """The answer to the last challenge, MD5, as RFC 7616 section 3.4 (or RFC 2617) says."""
    challenge = [value for name, value in answer.headers if name == "WWW-Authenticate"][-1]
    nonce = challenge.partition('nonce="')[2].partition('"')[0]

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1, ha2 = md5(f"admin:onvif:{password}"), md5(f"POST:{path}")
    tail, extra = (
        ("00000001:abc:auth:", 'qop=auth, nc=00000001, cnonce="abc", ') if qop else ("", "")
    )
    response = md5(f"{ha1}:{nonce}:{tail}{ha2}")
    return (
        f'Digest username="admin", realm="onvif", nonce="{nonce}", uri="{path}", {extra}'
        f'algorithm=MD5, response="{response}"'
    )


@pytest.mark.parametrize("qop", [True, False])
def test_http_digest_is_taken_and_its_failures_are_counted(qop: bool) -> None:
    asked = device()
    challenge = ask(asked)
    assert ask(asked, authorization=authorization(challenge, qop=qop)).status == 200
    wrong = ask(asked, authorization=authorization(challenge, "guess", qop=qop))
    assert (wrong.status, asked.gate.failed_tries) == (401, 1)


def test_an_old_challenge_is_stale_and_no_failed_try() -> None:
    asked = device()
    answered = authorization(ask(asked))
    late = ask(asked, now=NOW + CHALLENGE_LIFE_S + 1, authorization=answered)
    assert late.status == 401
    assert all("stale=true" in value for _, value in late.headers)
    assert asked.gate.failed_tries == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [('nonce="', 'nonce="1'), (f'uri="{PATH}"', 'uri="/"'), ("MD5", "SHA-512"), ("admin", "ädmin")],
)
def test_a_digest_answer_to_something_else_is_a_failed_try(old: str, new: str) -> None:
    asked = device()
    header = authorization(ask(asked)).replace(old, new)
    assert ask(asked, authorization=header).status == 401
    assert asked.gate.failed_tries == 1


def test_an_answer_for_another_address_is_of_no_use_here() -> None:
    asked = device()
    header = authorization(ask(asked), path="/onvif/media")
    assert ask(asked, authorization=header).status == 401


def test_another_devices_challenge_is_of_no_use() -> None:
    header = authorization(ask(device()))
    assert ask(device(), authorization=header).status == 401


def test_a_device_that_takes_digest_alone_does_not_look_at_tokens() -> None:
    asked = device()
    asked.faults = asked.faults.adding("digest-only")
    assert ask(asked, token(NOW)).status == 401
    assert ask(asked, token(NOW, password="guess")).status == 401
    assert asked.gate.failed_tries == 0
    assert ask(asked, authorization=authorization(ask(asked))).status == 200


def test_a_device_without_users_asks_nobody() -> None:
    asked = device(credentials=())
    assert text_of(ask(asked), "tds:SerialNumber") == "DS-2CD000000001"


def test_a_device_whose_clock_is_off_wants_its_own_time() -> None:
    asked = device()
    asked.faults = asked.faults.adding("clock-hour-off")
    assert ask(asked, token(NOW)).status == 400
    assert ask(asked, token(NOW + 3600)).status == 200
    shown = call(asked, "<tds:GetSystemDateAndTime/>").body.decode()
    # 2026-09-21 14:13:20 UTC is NOW.
    assert "<tt:Hour>15</tt:Hour><tt:Minute>13</tt:Minute><tt:Second>20</tt:Second>" in shown


def test_no_secret_is_in_what_prints() -> None:
    assert PASSWORD not in repr(device())
