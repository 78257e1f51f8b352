from service.kit.problems import NotSignedIn


class WrongCredentials(NotSignedIn):
    """One answer for an unknown e-mail and a wrong password: it must not tell who has an account."""

    code, message = "wrong_credentials", "Invalid email or password"
