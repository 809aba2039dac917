"""How a device is signed on to, what is a failed try, and when the trying stops."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_registry.secret import Secret
from gateways.onvif.clock import ClockReading, read_clock
from gateways.onvif.credentials import CredentialSet, TryLedger
from gateways.onvif.errors import NEXT_STEP, AuthRefused, Fault
from gateways.onvif.sign_on import (
    Login,
    Next,
    Scheme,
    SignOn,
    password_digest,
    username_token,
)
from gateways.onvif.soap import body_of, envelope, operation, parse, text_of
from support import onvif_shapes as shapes

NOW = datetime(2026, 11, 26, 8, 0, 0, tzinfo=UTC)
LOGIN = Login("admin", Secret("pass word"))
DENIED = Fault("Sender", ("NotAuthorized",), "Sender not Authorized")


def digest(nonce: str = "n1", **more: str) -> list[str]:
    fields = {"realm": "cam", "nonce": nonce, "qop": "auth", **more}
    return ["Digest " + ", ".join(f'{key}="{value}"' for key, value in fields.items())]


# --- the token ------------------------------------------------------------------------------------


def test_the_digest_is_that_of_onvifs_programmers_guide() -> None:
    nonce = b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    made = password_digest(nonce, "2010-09-16T07:50:45Z", "userpassword")
    assert made == "tuOSpGlFlIXsozq4HFNeeGeFLEI="


def test_a_token_holds_the_digest_and_never_the_password() -> None:
    login = Login("<admin>", Secret("secret-7"))
    header = username_token(
        login, datetime(1970, 1, 1, 0, 0, 9, 5, tzinfo=UTC), b"0123456789abcdef"
    )
    token = parse(envelope(operation("tds", "GetScopes"), header))
    path = "Header/Security/UsernameToken"
    assert text_of(token, f"{path}/Username") == "<admin>"
    assert text_of(token, f"{path}/Created") == "1970-01-01T00:00:09Z"
    assert b64decode(text_of(token, f"{path}/Nonce")) == b"0123456789abcdef"
    assert "secret-7" not in header
    assert "secret-7" not in repr(SignOn(login))


def test_each_request_has_a_nonce_of_its_own_and_the_devices_time() -> None:
    sign_on = SignOn(LOGIN, clock_offset_s=-3600, scheme=Scheme.TOKEN)
    tokens = {sign_on.token(NOW) for _ in range(3)}
    assert len(tokens) == 3
    assert all("<wsu:Created>2026-11-26T07:00:00Z<" in token for token in tokens)


# --- what the device wants ------------------------------------------------------------------------


def test_the_first_request_is_unsigned_and_a_fault_asks_for_a_token() -> None:
    sign_on = SignOn(LOGIN)
    assert sign_on.token(NOW) == ""
    assert sign_on.authorization("/x") is None
    assert sign_on.answered(400, [], DENIED) is Next.AGAIN
    assert sign_on.scheme is Scheme.TOKEN
    assert "UsernameToken" in sign_on.token(NOW)
    assert sign_on.authorization("/x") is None
    assert sign_on.answered(200, [], None) is Next.DONE
    assert sign_on.served


def test_a_challenge_asks_for_digest_and_no_token_goes_beside_it() -> None:
    sign_on = SignOn(LOGIN)
    assert sign_on.answered(401, digest(), DENIED) is Next.AGAIN
    assert sign_on.token(NOW) == ""
    answered = sign_on.authorization("/onvif/media")
    assert answered is not None
    assert answered.startswith("Digest ")
    assert 'uri="/onvif/media"' in answered
    assert "pass word" not in answered
    assert sign_on.answered(200, [], None) is Next.DONE


def test_a_token_is_added_where_the_digest_passed_and_soap_still_refuses() -> None:
    sign_on = SignOn(LOGIN)
    sign_on.answered(401, digest(), None)
    assert sign_on.answered(400, [], DENIED) is Next.AGAIN
    assert sign_on.scheme is Scheme.BOTH
    assert sign_on.token(NOW)
    assert sign_on.authorization("/x")


def test_a_refusal_of_what_was_signed_is_a_failed_try_and_not_repeated() -> None:
    sign_on = SignOn(LOGIN)
    sign_on.answered(401, digest("n1"), None)
    with pytest.raises(AuthRefused) as caught:
        sign_on.answered(401, digest("n2"), None)  # each 401 has a fresh nonce
    assert caught.value.code == "auth_failed"


def test_a_nonce_gone_stale_is_no_wrong_password() -> None:
    sign_on = SignOn(LOGIN)
    sign_on.answered(401, digest("n1"), None)
    assert sign_on.answered(401, digest("n2", stale="true"), None) is Next.AGAIN
    with pytest.raises(AuthRefused):
        sign_on.answered(401, digest("n3", stale="true"), None)  # it says so for ever


def test_a_device_that_has_let_us_in_may_change_its_nonce_without_a_word() -> None:
    sign_on = SignOn(LOGIN)
    sign_on.answered(401, digest("n1"), None)
    sign_on.answered(200, [], None)
    sign_on.began()
    assert sign_on.answered(401, digest("n2"), None) is Next.AGAIN
    with pytest.raises(AuthRefused) as caught:
        sign_on.answered(401, digest("n3"), None)
    assert caught.value.code == "not_permitted"


def test_the_next_password_answers_a_challenge_of_its_own() -> None:
    sign_on = SignOn(LOGIN)
    sign_on.answered(401, digest("n1"), None)
    with pytest.raises(AuthRefused):
        sign_on.answered(401, digest("n2"), None)
    sign_on.use(Login("admin", Secret("other")))
    assert sign_on.authorization("/x") is None
    assert sign_on.answered(401, digest("n3"), None) is Next.AGAIN
    with pytest.raises(AuthRefused):
        sign_on.answered(401, digest("n4"), None)


def test_a_clock_that_was_set_meanwhile_is_believed_once() -> None:
    sign_on = SignOn(LOGIN, clock_offset_s=0.0, scheme=Scheme.TOKEN)
    assert sign_on.answered(400, [], DENIED) is Next.READ_CLOCK
    assert sign_on.clock_read(-1e9) is Next.AGAIN
    assert "<wsu:Created>1995-" in sign_on.token(NOW)
    with pytest.raises(AuthRefused) as caught:
        sign_on.answered(400, [], DENIED)
    assert caught.value.code == "auth_failed"


@pytest.mark.parametrize("offset_s", [None, 0.0, 3.0])
def test_a_clock_that_was_not_set_is_no_reason_to_try_again(offset_s: float | None) -> None:
    sign_on = SignOn(LOGIN, scheme=Scheme.TOKEN)
    assert sign_on.answered(400, [], DENIED) is Next.READ_CLOCK
    with pytest.raises(AuthRefused):
        sign_on.clock_read(offset_s)


@pytest.mark.parametrize(
    ("status", "challenges", "fault", "code"),
    [
        (401, ['Basic realm="x"'], None, "auth_scheme_unsupported"),
        (
            401,
            ['Digest realm="x", nonce="n", algorithm=SHA-512-256'],
            None,
            "auth_scheme_unsupported",
        ),
        (401, [], None, "auth_scheme_unsupported"),
    ],
)
def test_a_password_is_never_sent_in_the_clear(
    status: int, challenges: list[str], fault: Fault | None, code: str
) -> None:
    with pytest.raises(AuthRefused) as caught:
        SignOn(LOGIN).answered(status, challenges, fault)
    assert caught.value.code == code


def test_a_basic_challenge_beside_a_fault_is_a_web_servers_habit() -> None:
    sign_on = SignOn(LOGIN)
    assert sign_on.answered(401, ['Basic realm="gSOAP"'], DENIED) is Next.AGAIN
    assert sign_on.scheme is Scheme.TOKEN


def test_a_locked_account_is_told_from_a_wrong_password() -> None:
    locked = Fault("Sender", ("NotAuthorized",), "The account is locked")
    for status, fault in ((400, locked), (403, None)):
        sign_on = SignOn(LOGIN, scheme=Scheme.TOKEN)
        with pytest.raises(AuthRefused) as caught:
            sign_on.answered(status, [], fault)
        assert caught.value.code == "account_locked"


def test_without_a_password_it_is_asked_for() -> None:
    with pytest.raises(AuthRefused) as caught:
        SignOn(None).answered(400, [], DENIED)
    assert caught.value.code == "auth_required"


ANSWERS = st.tuples(
    st.sampled_from([200, 400, 401, 403, 500]),
    st.sampled_from([[], digest("a"), digest("b", stale="true"), ['Basic realm="x"'], ["Digest"]]),
    st.sampled_from([None, DENIED, Fault("Receiver", ("Action",), "busy")]),
)


@settings(deadline=None)
@given(st.lists(ANSWERS, min_size=8, max_size=8), st.lists(st.floats(-1e12, 1e12), min_size=8))
def test_whatever_a_device_answers_a_request_ends_within_six(
    answers: list[tuple[int, list[str], Fault | None]], offsets: list[float]
) -> None:
    sign_on = SignOn(LOGIN)
    ended = 0
    for count, (answer, offset_s) in enumerate(zip(answers, offsets, strict=False)):
        sign_on.token(NOW), sign_on.authorization("/x")
        try:
            following = sign_on.answered(*answer)
            if following is Next.READ_CLOCK:
                following = sign_on.clock_read(offset_s)
        except AuthRefused:
            following = Next.DONE
        if following is Next.DONE:
            ended = count + 1
            break
    assert 1 <= ended <= 6


# --- the clock ------------------------------------------------------------------------------------


def reading(message: bytes) -> ClockReading | None:
    answer = body_of(message)
    assert not isinstance(answer, Fault)
    return read_clock(answer, NOW)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (shapes.clock(NOW + HOUR), ClockReading(3600.0, False)),
        (shapes.clock(datetime(1970, 1, 1)), ClockReading(-1795680000.0, False)),
        # No UTC: local time, by POSIX (west) or as firmwares count (east), whichever fits.
        (shapes.clock(None, NOW + 8 * HOUR, "CST-8"), ClockReading(0.0, True)),
        (shapes.clock(None, NOW + 8 * HOUR, "GMT+08:00"), ClockReading(0.0, True)),
        (shapes.clock(None, NOW - 4 * HOUR, "EST5EDT", "true"), ClockReading(0.0, True)),
        (shapes.clock(None, NOW + 5.5 * HOUR, "<+0530>-5:30"), ClockReading(0.0, True)),
        # UTC that is local time by mistake, while the clock is right.
        (shapes.clock(NOW + 10 * HOUR, NOW + 10 * HOUR, "AEST-10"), ClockReading(0.0, True)),
        (shapes.clock(NOW + HOUR / 60, NOW + 8 * HOUR, "CST-8"), ClockReading(60.0, False)),
        # An honest clock that is wrong stays what it is.
        (shapes.clock(NOW + HOUR, NOW + 9 * HOUR, "CST-8"), ClockReading(3600.0, False)),
        (shapes.clock(None, None), None),
    ],
)
def test_the_offset_of_a_device_is_found(message: bytes, wanted: ClockReading | None) -> None:
    assert reading(message) == wanted


@settings(deadline=None)
@given(
    st.lists(st.integers(-5, 99999), min_size=6, max_size=6),
    st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=12),
)
def test_any_clock_is_an_offset_or_none(numbers: list[int], zone: str) -> None:
    fields = ("year", "month", "day", "hour", "minute", "second")
    moment = SimpleNamespace(**dict(zip(fields, numbers, strict=True)))
    found = reading(shapes.clock(moment, moment, zone))
    assert found is None or abs(found.offset_s) < 1e12


@settings(deadline=None)
@given(st.datetimes(), st.from_regex(r"[A-Z]{3}[+-]?\d{1,2}(:\d\d)?", fullmatch=True))
def test_a_clock_that_agrees_with_itself_is_read_from_utc(utc: datetime, zone: str) -> None:
    whole = utc.replace(microsecond=0)
    found = reading(shapes.clock(whole, whole, zone))
    assert (
        found is None
        or found.from_local
        or found.offset_s == (whole.replace(tzinfo=UTC) - NOW).total_seconds()
    )


# --- the ledger -----------------------------------------------------------------------------------

CAMERA = "10.0.0.7"
SETS = [CredentialSet(name, "admin", Secret(name * 4)) for name in "abcde"]


def test_each_set_is_tried_once_and_only_a_few_in_all() -> None:
    ledger = TryLedger()
    tried = []
    while (one := ledger.next_set(CAMERA, SETS)) is not None:
        tried.append(one.name)
        ledger.failed(CAMERA, one)
    assert tried == ["a", "b", "c"]
    assert ledger.spent(CAMERA)
    other = ledger.next_set("10.0.0.8", SETS)
    assert other is not None
    assert other.name == "a"


def test_the_set_that_served_comes_first_until_it_is_refused() -> None:
    ledger = TryLedger()
    ledger.served(CAMERA, SETS[2])
    first = ledger.next_set(CAMERA, SETS)
    ledger.failed(CAMERA, SETS[2])
    then = ledger.next_set(CAMERA, SETS)
    assert [one and one.name for one in (first, then)] == ["c", "a"]


def test_the_set_that_served_is_tried_however_many_others_failed() -> None:
    ledger = TryLedger()
    ledger.served(CAMERA, SETS[4])
    for one in SETS[:3]:
        ledger.failed(CAMERA, one)
    assert ledger.next_set(CAMERA, SETS[:4]) is None
    assert ledger.next_set(CAMERA, SETS) is SETS[4]
    ledger.failed(CAMERA, SETS[4])
    assert ledger.next_set(CAMERA, SETS) is None


def test_a_locked_device_is_left_alone_until_a_person_says_so() -> None:
    ledger = TryLedger()
    ledger.failed(CAMERA, SETS[0])
    ledger.locked(CAMERA)
    assert ledger.next_set(CAMERA, SETS) is None
    assert ledger.failures(CAMERA) == 1
    ledger.forget(CAMERA)
    assert ledger.next_set(CAMERA, SETS) is SETS[0]


def test_a_ledger_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.onvif.credentials.MAX_DEVICES", 2)
    ledger = TryLedger()
    for host in "123":
        ledger.failed(host, SETS[0])
    assert [ledger.failures(host) for host in "123"] == [0, 1, 1]


def test_a_corrected_password_is_another_set_and_a_new_name_is_not() -> None:
    ledger = TryLedger()
    ledger.failed(CAMERA, CredentialSet("line 1", "admin", Secret("wrong")))
    renamed = CredentialSet("line 2", "admin", Secret("wrong"))
    corrected = CredentialSet("line 1", "admin", Secret("right"))
    assert ledger.next_set(CAMERA, [renamed, corrected]) is corrected


def test_what_was_tried_outlives_the_ledger_and_holds_no_password() -> None:
    kept = TryLedger(key=b"k" * 32)
    for one in SETS[:3]:
        kept.failed(CAMERA, one)
    told = kept.unsaved(CAMERA)
    assert told is not None
    assert not any(one.password.reveal() in str(told) for one in SETS)
    ledger = TryLedger(key=b"k" * 32)
    ledger.restore(CAMERA, told)
    assert ledger.next_set(CAMERA, SETS) is None
    assert ledger.unsaved(CAMERA) is None
    assert ledger.has_failed(CAMERA, SETS[1])
    assert not ledger.has_failed(CAMERA, SETS[3])


def test_only_what_was_tried_before_is_forgotten() -> None:
    now = 100.0
    ledger = TryLedger(clock=lambda: now)
    ledger.failed(CAMERA, SETS[0])
    assert not ledger.forget(CAMERA, before=100.0)
    assert ledger.failures(CAMERA) == 1
    assert ledger.forget(CAMERA, before=100.5)
    assert ledger.failures(CAMERA) == 0


def test_every_sentence_ends_with_its_next_step() -> None:
    for code, sentence in NEXT_STEP.items():
        assert sentence.endswith("."), code
        assert str(AuthRefused(code, "seen")) == f"seen. {sentence}"
