"""Codes by time: the vectors of RFC 6238, drift, no code twice, recovery codes, guessing."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from camera_registry.domain import Actor, Subject
from camera_registry.errors import Conflict, NotFound
from streamhub.access.errors import TooManyAttempts, Unauthenticated
from streamhub.access.rate_limit import OF_CODES
from streamhub.access.second_factor import DIGITS, RECOVERY_CODES, STEP_S, _totp
from support.sign_in_kit import BY, HOME, Kit, a_kit

PASSWORD = "yongshun-pass"


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        # RFC 6238 appendix B, SHA-1, the last six of the eight digits.
        (59, b"287082"),
        (1111111109, b"081804"),
        (1111111111, b"050471"),
        (1234567890, b"005924"),
        (2000000000, b"279037"),
    ],
)
def test_the_vectors_of_the_standard(at_s: int, code: bytes) -> None:
    assert _totp(b"12345678901234567890").generate(at_s) == code


class Authenticator:
    """As on somebody's telephone."""

    def __init__(self, secret: str) -> None:
        self._totp = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)

    def code(self, kit: Kit, steps: int = 0) -> str:
        return self._totp.generate(int(kit.clock.seconds()) + steps * STEP_S).decode()


async def subject_of(kit: Kit) -> Subject:
    return await kit.people.get_subject("su_yongshun")


async def enrolled(kit: Kit) -> tuple[Authenticator, list[str]]:
    made = await kit.second_factors.enrol(await subject_of(kit), BY)
    phone = Authenticator(made.secret.reveal())
    codes = await kit.second_factors.confirm(await subject_of(kit), phone.code(kit), BY)
    assert codes is not None
    kit.clock.pass_s(2 * STEP_S)
    return phone, [each.reveal() for each in codes]


async def sign_in(kit: Kit, code: str | None) -> None:
    await kit.sign_ins.open("yongshun", PASSWORD, HOME, code=code)


async def refused(kit: Kit, code: str | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await sign_in(kit, code)
    [row, *_] = await kit.rows("sign_in")
    assert row.outcome == "refused"
    return f"{caught.value.code}: {row.detail['reason']}"


async def test_it_counts_once_it_is_confirmed(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        made = await kit.second_factors.enrol(await subject_of(kit), BY)
        assert len(base64.b32decode(made.secret.reveal())) == 20
        assert made.uri.reveal().startswith("otpauth://totp/StreamHub:yongshun?")
        assert f"secret={made.secret.reveal()}" in made.uri.reveal()
        await sign_in(kit, None)
        phone = Authenticator(made.secret.reveal())
        wrong = "000000" if phone.code(kit) != "000000" else "000001"
        assert await kit.second_factors.confirm(await subject_of(kit), wrong, BY) is None
        assert not (await subject_of(kit)).has_second_factor
        codes = await kit.second_factors.confirm(await subject_of(kit), phone.code(kit), BY)
        assert codes is not None
        assert len({each.reveal() for each in codes}) == RECOVERY_CODES
        assert (await subject_of(kit)).has_second_factor
        assert (await subject_of(kit)).version == 1  # what is open stays so
        for again in (
            kit.second_factors.enrol(await subject_of(kit), BY),
            kit.second_factors.confirm(await subject_of(kit), phone.code(kit, 1), BY),
        ):
            with pytest.raises(Conflict):
                await again


async def test_the_password_alone_signs_nobody_in_any_more(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        phone, _ = await enrolled(kit)
        assert await refused(kit, None) == "second_factor_needed: no_code"
        with pytest.raises(Unauthenticated):
            await kit.sign_ins.token("yongshun", PASSWORD, HOME)
        await sign_in(kit, phone.code(kit))
        kit.clock.pass_s(STEP_S)
        assert await kit.sign_ins.token("yongshun", PASSWORD, HOME, code=phone.code(kit))
        kit.clock.pass_s(60)
        # A right code does not make up for a wrong password.
        with pytest.raises(Unauthenticated) as caught:
            await kit.sign_ins.open("yongshun", "wrong", HOME, code=phone.code(kit))
        assert caught.value.code == "bad_credentials"


async def test_a_code_is_taken_once_and_none_before_it(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        phone, _ = await enrolled(kit)
        before, code = phone.code(kit, -1), phone.code(kit)
        await sign_in(kit, code)
        assert await refused(kit, code) == "second_factor_needed: wrong_code"
        assert await refused(kit, before) == "second_factor_needed: wrong_code"
        kit.clock.pass_s(STEP_S)
        await sign_in(kit, phone.code(kit))


async def test_the_same_code_at_once_signs_in_one(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        phone, _ = await enrolled(kit)
        subject, code = await subject_of(kit), phone.code(kit)
        taken = await asyncio.gather(*(kit.second_factors.check(subject, code) for _ in range(4)))
        assert sorted(taken) == [False, False, False, True]


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (1, True), (2, False)])
async def test_clocks_may_differ_by_a_step(steps: int, taken: bool, tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        phone, _ = await enrolled(kit)
        kit.clock.pass_s(10 * STEP_S)
        assert (
            await kit.second_factors.check(await subject_of(kit), phone.code(kit, steps)) == taken
        )


async def test_a_recovery_code_counts_once(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        _, codes = await enrolled(kit)
        await sign_in(kit, codes[0].upper().replace("-", " "))
        assert await refused(kit, codes[0]) == "second_factor_needed: wrong_code"
        status = await kit.second_factors.status("su_yongshun")
        assert (status.confirmed, status.recovery_codes_left) == (True, RECOVERY_CODES - 1)
        [row] = await kit.rows("recovery_code_used")
        assert row.detail["left"] == RECOVERY_CODES - 1


async def test_guessing_codes_is_limited_whatever_the_address(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        phone, _ = await enrolled(kit)
        for number in range(OF_CODES.at_once):
            with pytest.raises(Unauthenticated):
                await kit.sign_ins.open("yongshun", PASSWORD, f"192.0.2.{number}", code="x")
        for number in range(20, 23):
            with pytest.raises(TooManyAttempts):
                await kit.sign_ins.open(
                    "yongshun", PASSWORD, f"192.0.2.{number}", code=phone.code(kit)
                )
        locked = [row for row in await kit.rows("sign_in") if row.detail.get("reason") == "locked"]
        assert [row.detail["limit"] for row in locked] == ["codes"]
        kit.clock.pass_s(OF_CODES.per_s)
        await sign_in(kit, phone.code(kit))


async def test_taken_away_it_is_asked_for_no_more(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        await enrolled(kit)
        await kit.second_factors.remove(await subject_of(kit), Actor(None, "local:test"))
        assert not (await subject_of(kit)).has_second_factor
        await sign_in(kit, None)
        status = await kit.second_factors.status("su_yongshun")
        assert (status.confirmed, status.recovery_codes_left) == (False, 0)
        with pytest.raises(NotFound):
            await kit.second_factors.confirm(await subject_of(kit), "000000", BY)


async def test_neither_secret_nor_recovery_code_lies_in_the_store(tmp_path: Path) -> None:
    async with a_kit(tmp_path) as kit:
        made = await kit.second_factors.enrol(await subject_of(kit), BY)
        phone = Authenticator(made.secret.reveal())
        codes = await kit.second_factors.confirm(await subject_of(kit), phone.code(kit), BY)
        assert codes is not None
    told = [made.secret.reveal(), codes[0].reveal(), codes[0].reveal().replace("-", "")]
    secrets = [text.encode() for text in told] + [base64.b32decode(made.secret.reveal())]
    for file in await asyncio.to_thread(lambda: list(tmp_path.iterdir())):
        for secret in secrets:
            assert secret not in file.read_bytes(), file
