"""What the experiments have in common when they bring servers up."""

from collections.abc import Callable

from loadtests.rig import environment_of
from loadtests.servers import python_module, run_command

Say = Callable[[str], None]


def migrate(url: str, revision: str) -> None:
    """The product's own schema: 0001 is that of the old backend, without a secondary index; head has them."""
    environment = environment_of({"TASKS_DATABASE_URL": "{url}"}, {"url": url})
    run_command(python_module("service", "migrate", "--to", revision), environment)
