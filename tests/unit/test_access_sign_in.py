"""Passwords, tokens, cookies and the limit on guessing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from camera_registry.credentials import ApiKey, SignIn
from streamhub.access.departed import MAX_DEPARTED, Departed
from streamhub.access.errors import Known, TooManyAttempts, Unauthenticated
from streamhub.access.password_rules import PasswordTooWeak
from streamhub.access.passwords import Passwords, hash_password
from streamhub.access.principal import Principal
from streamhub.access.rate_limit import (
    MAX_ENTRIES,
    OF_ADDRESS,
    OF_NAME,
    OF_NAME_AND_ADDRESS,
    SignInLimiter,
)
from streamhub.access.sign_in import (
    MAX_SIGN_INS_OF_SUBJECT,
    RENEW_EVERY,
    SIGN_IN_ENDS_AFTER,
    SIGN_IN_IDLE,
)
from streamhub.access.token_sign_ins import MAX_TOKEN_SIGN_INS, REMEMBERED
from streamhub.access.tokens import AUDIENCE, TOKEN_LIFETIME_S, Tokens, load_key
from support.http_kit import CHEAP
from support.sign_in_kit import BY, HOME, Clock, a_kit


async def test_a_cookie_is_renewed_while_it_is_used_and_ends_when_it_is_not(
    tmp_path: Path,
) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("Yongshun ", "yongshun-pass", HOME)
        assert (opened.principal.username, opened.principal.via) == ("yongshun", "cookie")
        _, renewed = await kit.sign_ins.from_cookie(opened.cookie, HOME)
        assert not renewed
        for _ in range(5):  # a shift of 40 hours
            kit.clock.pass_s(8 * 3600)
            _, renewed = await kit.sign_ins.from_cookie(opened.cookie, HOME)
            assert renewed
        kit.clock.pass_s(RENEW_EVERY.total_seconds() - 1)
        assert not (await kit.sign_ins.from_cookie(opened.cookie, HOME))[1]
        kit.clock.pass_s(SIGN_IN_IDLE.total_seconds())
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(opened.cookie, HOME)


async def test_a_sign_in_ends_however_much_it_is_used(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        hours = SIGN_IN_ENDS_AFTER // timedelta(hours=6)
        for _ in range(hours - 1):
            kit.clock.pass_s(6 * 3600)
            await kit.sign_ins.from_cookie(opened.cookie, HOME)
        kit.clock.pass_s(6 * 3600)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(opened.cookie, HOME)


async def test_a_subject_has_so_many_sign_ins_and_the_oldest_gives_way(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        first = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        for _ in range(MAX_SIGN_INS_OF_SUBJECT - 1):
            kit.clock.pass_s(1)
            last = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        await kit.sign_ins.from_cookie(first.cookie, HOME)
        await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(first.cookie, HOME)
        await kit.sign_ins.from_cookie(last.cookie, HOME)
        assert len(kit.facts.current.sign_ins_of("su_yongshun")) == MAX_SIGN_INS_OF_SUBJECT


async def test_a_sign_in_that_was_ended_is_not_brought_back_by_its_renewal(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        sign_in_id = opened.principal.credential_id
        assert sign_in_id is not None
        async with kit.store.write() as tx:
            await tx.sign_ins.delete([sign_in_id])
            await tx.sign_ins.extend(sign_in_id, kit.clock.now + timedelta(hours=1))
            assert await tx.sign_ins.get(sign_in_id) is None


async def test_the_store_does_not_hold_the_cookie(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
    files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert files
    for file in files:
        assert opened.cookie.encode() not in file.read_bytes(), file


async def test_a_signed_out_cookie_is_worth_nothing(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        principal, _ = await kit.sign_ins.from_cookie(opened.cookie, HOME)
        await kit.sign_ins.close(principal)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(opened.cookie, HOME)
        assert len(await kit.rows("sign_out")) == 1


async def test_disabling_ends_cookies_and_tokens_at_once(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        token = await kit.sign_ins.token("yongshun", "yongshun-pass", HOME)
        await kit.sign_ins.from_cookie(opened.cookie, HOME)
        await kit.people.update_subject("su_yongshun", {"enabled": False}, BY)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(opened.cookie, HOME)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_bearer(token, HOME)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)


async def test_a_new_password_ends_what_the_old_one_opened(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        opened = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        token = await kit.sign_ins.token("yongshun", "yongshun-pass", HOME)
        await kit.people.set_password_hash("su_yongshun", CHEAP.hash("new-password"), BY)
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.from_cookie(opened.cookie, HOME)
        with pytest.raises(Unauthenticated, match="ended"):
            await kit.sign_ins.from_bearer(token, HOME)
        assert await kit.sign_ins.token("yongshun", "new-password", HOME)


async def test_refused_sign_ins_are_written_down_alike_for_the_caller(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        said = set()
        for name, password in (("yongshun", "wrong"), ("nobody", "wrong")):
            with pytest.raises(Unauthenticated) as refused:
                await kit.sign_ins.open(name, password, HOME)
            said.add((refused.value.code, str(refused.value)))
        assert len(said) == 1
        rows = await kit.rows("sign_in")
        assert [(row.outcome, row.subject_name, row.detail["reason"]) for row in rows] == [
            ("refused", "nobody", "unknown_name"),
            ("refused", "yongshun", "wrong_password"),
        ]
        assert "wrong" not in str([row.detail | {"reason": ""} for row in rows])


async def test_guessing_is_limited_even_when_done_at_once(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:

        async def guess() -> str:
            try:
                await kit.sign_ins.open("yongshun", "wrong-guess", HOME)
            except TooManyAttempts:
                return "limited"
            except Unauthenticated:
                return "refused"
            return "in"

        results = await asyncio.gather(*(guess() for _ in range(12)))
        assert (
            sorted(results)
            == ["limited"] * (12 - OF_NAME_AND_ADDRESS.at_once)
            + ["refused"] * OF_NAME_AND_ADDRESS.at_once
        )
        # From elsewhere its owner gets in all the same.
        assert await kit.sign_ins.open("yongshun", "yongshun-pass", "198.51.100.1")
        kit.clock.pass_s(OF_ADDRESS.per_s)
        assert await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)


def test_the_limiter_is_bounded_and_says_how_long() -> None:
    clock = Clock()
    limiter = SignInLimiter(clock.seconds)
    for number in range(OF_ADDRESS.at_once):
        limiter.attempt(f"name{number}", HOME)
    with pytest.raises(TooManyAttempts) as limited:
        limiter.attempt("another", HOME)
    assert limited.value.retry_after_s == OF_ADDRESS.per_s
    for number in range(MAX_ENTRIES):
        limiter.attempt("name", f"address{number}", is_known=True)
    assert len(limiter.buckets) == MAX_ENTRIES


def test_guessing_from_many_addresses_does_not_lock_the_owner_out() -> None:
    clock = Clock()
    limiter = SignInLimiter(clock.seconds)
    limiter.attempt("ada", HOME)
    limiter.succeeded("ada", HOME)
    for number in range(OF_NAME.at_once):
        limiter.attempt("ada", f"stranger{number}")
    with pytest.raises(TooManyAttempts) as limited:
        limiter.attempt("ada", "another stranger")
    assert (limited.value.limit, limited.value.is_first) == ("name", True)
    with pytest.raises(TooManyAttempts) as limited:
        limiter.attempt("ada", "yet another")
    assert not limited.value.is_first
    limiter.attempt("ada", HOME)
    limiter.attempt("ada", "where ada is signed in", is_known=True)
    limiter.attempt("bob", "another stranger")
    clock.pass_s(OF_NAME.per_s)
    limiter.attempt("ada", "another stranger")


async def test_a_lock_is_told_once_and_spares_where_the_owner_sits(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        for number in range(OF_NAME.at_once + 3):
            with pytest.raises((Unauthenticated, TooManyAttempts)):
                await kit.sign_ins.open("yongshun", "guess", f"198.51.100.{number}")
        rows = [row for row in await kit.rows("sign_in") if row.detail.get("reason") == "locked"]
        assert [(row.subject_name, row.detail["limit"]) for row in rows] == [("yongshun", "name")]
        # What this process has not seen itself it knows by the sign-ins that there are.
        kit.sign_ins._limiter._known.clear()
        assert await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        with pytest.raises(TooManyAttempts):
            await kit.sign_ins.open("yongshun", "yongshun-pass", "203.0.113.9")


def test_many_good_sign_ins_are_no_attack() -> None:
    limiter = SignInLimiter(Clock().seconds)
    for number in range(500):
        limiter.attempt(f"operator{number % 3}", HOME)
        limiter.succeeded(f"operator{number % 3}", HOME)


def test_tokens_expire_and_are_not_forged() -> None:
    clock = Clock()
    tokens = Tokens(b"k" * 32, clock)
    token = tokens.issue(subject_id="su_1", username="me", version=3, sign_in_id="si_1")
    principal = tokens.read(token, remote=HOME)
    assert (principal.subject_id, principal.version, principal.via) == ("su_1", 3, "bearer")
    assert principal.credential_id == "si_1"
    clock.pass_s(TOKEN_LIFETIME_S)
    with pytest.raises(Unauthenticated) as expired:
        tokens.read(token, remote=HOME)
    assert expired.value.code == "token_expired"
    claims = {"sub": "su_1", "name": "me", "ver": 3, "sid": "si_1", "aud": AUDIENCE, "exp": 4e9}
    forged = [
        "rubbish",
        token[:-4] + "AAAA",
        jwt.encode(claims, b"other-key" * 4, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode({**claims, "aud": "another"}, b"k" * 32, algorithm="HS256"),
        jwt.encode({**claims, "ver": "x"}, b"k" * 32, algorithm="HS256"),
        jwt.encode(
            {each: claims[each] for each in claims if each != "sid"}, b"k" * 32, algorithm="HS256"
        ),
        jwt.encode({"sub": "su_1", "aud": AUDIENCE}, b"k" * 32, algorithm="HS256"),
    ]
    for each in forged:
        with pytest.raises(Unauthenticated) as invalid:
            tokens.read(each, remote=HOME)
        assert invalid.value.code == "token_invalid"


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    key = load_key(tmp_path)
    assert load_key(tmp_path) == key
    assert len(key) == 32
    file = tmp_path / "token.key"
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        load_key(tmp_path)


async def test_passwords() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("correct horse", "ada")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "wrong horse")
    assert not await passwords.verify("not a hash", "x" * 10)
    assert not await passwords.verify(None, "anything")
    assert not await passwords.verify(stored, "x" * 1000)
    for bad in ("short", "x" * 257):
        with pytest.raises(PasswordTooWeak):
            await passwords.hash(bad, "ada")
        with pytest.raises(PasswordTooWeak):
            hash_password(bad)


async def test_a_script_that_asks_for_token_after_token_shares_a_sign_in(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        page = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)

        async def ask(remote: str = HOME) -> tuple[str, Principal]:
            token = await kit.sign_ins.token("yongshun", "yongshun-pass", remote)
            return token, await kit.sign_ins.from_bearer(token, remote)

        asked = []
        for _ in range(MAX_TOKEN_SIGN_INS):
            kit.clock.pass_s(1)
            asked.append(await ask())
        assert len({who.credential_id for _, who in asked}) == MAX_TOKEN_SIGN_INS
        _, newest = asked[-1]
        await ask()  # one that is shared lasts as long as all its tokens
        before = await kit.store.latest_change_seq()
        for remote in (HOME, HOME, "198.51.100.1"):
            assert (await ask(remote))[1].credential_id == newest.credential_id
        assert await kit.store.latest_change_seq() == before
        # Nobody was put out by them.
        for token, _ in asked:
            await kit.sign_ins.from_bearer(token, HOME)
        await kit.sign_ins.from_cookie(page.cookie, HOME)
        assert len(kit.facts.current.sign_ins_of("su_yongshun")) == MAX_TOKEN_SIGN_INS + 1
        kit.clock.pass_s(60)
        token, _ = await ask()
        kit.clock.pass_s(TOKEN_LIFETIME_S - 1)
        assert (await kit.sign_ins.from_bearer(token, HOME)).credential_id == newest.credential_id
        # Those that are over give their places back.
        kit.clock.pass_s(REMEMBERED.total_seconds())
        await ask()
        kit.clock.pass_s(REMEMBERED.total_seconds())
        _, last = await ask()
        rows = kit.facts.current.sign_ins_of("su_yongshun")
        assert {row.id for row in rows} >= {last.credential_id, page.principal.credential_id}
        assert len(rows) < 5


async def test_a_page_has_room_beside_scripts(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        token = await kit.sign_ins.token("yongshun", "yongshun-pass", HOME)
        for _ in range(MAX_SIGN_INS_OF_SUBJECT + 1):
            await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        await kit.sign_ins.from_bearer(token, HOME)
        assert len(kit.facts.current.sign_ins_of("su_yongshun")) == MAX_SIGN_INS_OF_SUBJECT + 1


async def test_signing_out_with_a_key_writes_nothing(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        program = Principal("su_yongshun", "yongshun", HOME, "key", 1, "ak_1")
        await kit.sign_ins.close(program)
        assert await kit.rows("sign_out") == []


async def test_who_shows_what_ended_of_late_is_known(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        ended = await kit.sign_ins.open("yongshun", "yongshun-pass", HOME)
        await kit.sign_ins.close(ended.principal)
        disabled = await kit.sign_ins.open("lister", "lister-pass", HOME)
        await kit.people.update_subject("su_lister", {"enabled": False}, BY)
        for opened in (ended, disabled):
            with pytest.raises(Unauthenticated) as refused:
                await kit.sign_ins.from_cookie(opened.cookie, HOME)
            principal = opened.principal
            assert refused.value.known == Known(principal.subject_id, principal.credential_id)
        with pytest.raises(Unauthenticated) as refused:
            await kit.sign_ins.from_cookie("made up", HOME)
        assert refused.value.known is None


def test_what_ended_is_remembered_so_far() -> None:
    departed, at = Departed(), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(MAX_DEPARTED + 5):
        row = SignIn(f"si_{number}", f"{number:064}", "su_1", at, at, at)
        departed.compare_sign_ins({row.id: row}, {})
    assert len(departed) == MAX_DEPARTED
    assert departed.by_hash(f"{4:064}") is None
    assert departed.by_hash(f"{5:064}") == Known("su_1", "si_5")


def test_keys_that_ended_are_remembered_by_id_so_far() -> None:
    departed, at = Departed(), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(MAX_DEPARTED + 5):
        row = ApiKey(f"ak_{number}", f"{number:064}", "shk_", "su_1", "k", None, None, at, at)
        departed.compare_keys({row.id: row}, {})
    assert departed.key("ak_4") is None
    assert departed.key("ak_5") == departed.by_hash(f"{5:064}") == Known("su_1", "ak_5")
