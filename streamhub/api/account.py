"""One's own account: the password, the second factor."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, SecretStr

from camera_registry.domain import Subject
from streamhub.access.errors import Forbidden
from streamhub.access.password_rules import PasswordTooWeak
from streamhub.access.permit import Permit
from streamhub.access.principal import Action, Principal

from .newest import ByNewestRights
from .problems import Problem
from .rights import in_person, requires_in_person, the_district
from .services import Provided, Services

router = APIRouter(prefix="/api/v1", tags=["sign-in"], route_class=ByNewestRights)

Own = Annotated[Principal, in_person()]
Manages = Annotated[Permit, requires_in_person(Action.MANAGE, the_district)]


class PasswordAgain(BaseModel):
    password: SecretStr


class PasswordChange(BaseModel):
    current: SecretStr
    new: SecretStr


class Code(BaseModel):
    code: Annotated[SecretStr, Field(max_length=64)]


class SecondFactorOut(BaseModel):
    confirmed: bool
    required: bool
    recovery_codes_left: int


class EnrolmentOut(BaseModel):
    secret: str = Field(description="Base32; not shown again.")
    uri: str = Field(description="The same for an authenticator: otpauth://totp/…")


class RecoveryCodes(BaseModel):
    recovery_codes: list[str] = Field(description="Each counts once; not shown again.")


@router.put("/me/password", status_code=204)
async def change_password(services: Provided, who: Own, body: PasswordChange) -> Response:
    """Ends one's other sign-ins, and one's tokens and views; API keys stay."""
    subject = await _password_again(services, who, body.current)
    new = body.new.get_secret_value()
    if new == body.current.get_secret_value():
        raise PasswordTooWeak("That is the password it was; choose another.")
    hashed = await services.passwords.hash(new, subject.username)
    # The page stays signed in; a token is of the password that was.
    but = who.credential_id if who.via == "cookie" else None
    await services.people.set_password_hash(subject.id, hashed, who.actor(), but=but)
    return Response(status_code=204)


@router.get("/me/second-factor")
async def second_factor(services: Provided, who: Own) -> SecondFactorOut:
    subject = _account(services, who)
    status = await services.second_factors.status(subject.id)
    return SecondFactorOut(
        confirmed=status.confirmed,
        required=subject.second_factor_required,
        recovery_codes_left=status.recovery_codes_left,
    )


@router.post("/me/second-factor", status_code=201)
async def enrol(services: Provided, who: Own, body: PasswordAgain) -> EnrolmentOut:
    """A secret for an authenticator (TOTP). It counts once a code of it was confirmed."""
    subject = await _password_again(services, who, body.password)
    made = await services.second_factors.enrol(subject, who.actor())
    return EnrolmentOut(secret=made.secret.reveal(), uri=made.uri.reveal())


@router.post("/me/second-factor/confirm")
async def confirm(services: Provided, who: Own, body: Code) -> RecoveryCodes:
    """From now on signing in asks for a code. Keep the recovery codes elsewhere."""
    subject = _account(services, who)
    codes = await services.second_factors.confirm(
        subject, body.code.get_secret_value(), who.actor()
    )
    if codes is None:
        raise Forbidden("The code is wrong; look at the clocks.", code="wrong_code")
    return RecoveryCodes(recovery_codes=[each.reveal() for each in codes])


@router.post("/me/second-factor/remove", status_code=204)
async def remove(services: Provided, who: Own, body: PasswordAgain) -> Response:
    subject = await _password_again(services, who, body.password)
    await services.second_factors.remove(subject, who.actor())
    return Response(status_code=204)


@router.delete("/subjects/{subject_id}/second-factor", status_code=204)
async def reset(services: Provided, permit: Manages, subject_id: str) -> Response:
    """For who has lost authenticator and recovery codes: signing in asks for no code any more."""
    subject = await services.people.get_subject(subject_id)
    await services.second_factors.remove(subject, permit.principal.actor())
    return Response(status_code=204)


def _account(services: Services, who: Principal) -> Subject:
    subject = services.facts.current.subject(who.subject_id)
    if subject is None:
        raise Problem(409, "no_account", "The local operator has no account; sign in with one.")
    return subject


async def _password_again(services: Services, who: Principal, password: SecretStr) -> Subject:
    _account(services, who)
    return await services.sign_ins.confirm_password(who, password.get_secret_value())
