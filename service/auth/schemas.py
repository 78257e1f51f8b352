from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints

from service.kit.answers import Body, Id, Text, Timestamp, Wire
from service.users.api import Profile, Role


def _email(value: str) -> str:
    try:
        # Form only: no look-up in the DNS, and addresses inside a company's own domain are addresses.
        checked = validate_email(value, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise ValueError("Email must be a valid e-mail address") from error
    if "." not in checked.domain:
        raise ValueError("Email must be a valid e-mail address")
    return checked.normalized.lower()


def _with_digit(value: str) -> str:
    if not any("0" <= character <= "9" for character in value):
        raise ValueError("Password must contain a digit")
    return value


Name = Annotated[Text, StringConstraints(min_length=2, max_length=50), Field(examples=["Ada Lovelace"])]
Email = Annotated[Text, StringConstraints(max_length=254), AfterValidator(_email), Field(examples=["ada@example.com"])]
NewPassword = Annotated[
    Text,
    StringConstraints(min_length=6, max_length=128),
    AfterValidator(_with_digit),
    Field(examples=["correct horse 7"], json_schema_extra={"format": "password"}),
]
Password = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=128),
    Field(examples=["correct horse 7"], json_schema_extra={"format": "password"}),
]


class Register(Body):
    """``role`` is taken for the old clients' sake; ADMIN is refused with 403."""

    name: Name
    email: Email
    password: NewPassword
    role: Role = "USER"


class Login(Body):
    email: Email
    password: Password


class RegisteredUser(Wire):
    id: Id
    email: str
    name: str
    role: Role
    created_at: Timestamp


class LoggedInUser(RegisteredUser):
    updated_at: Timestamp


class Registered(Wire):
    user: RegisteredUser
    token: str


class LoggedIn(Wire):
    user: LoggedInUser
    token: str


class Me(Wire):
    user: Profile
