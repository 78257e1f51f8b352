from service.kit.problems import Forbidden, NotFound, Problem


class UserNotFound(NotFound):
    code, message = "user_not_found", "User not found"


class EmailTaken(Problem):
    status, code, message = 400, "email_taken", "User already exists with this email"


class CannotDeleteYourself(Problem):
    status, code, message = 400, "cannot_delete_yourself", "You cannot delete your own account"


class RoleNotAllowed(Forbidden):
    code = "role_not_allowed"
    message = "An administrator account cannot be registered; ask an operator to make one"
