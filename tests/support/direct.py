"""The database of a client's process, past the service: to age rows, and to look at what is left of them."""

from typing import Any, LiteralString

import psycopg

from tests.support.client import Client


def execute(client: Client, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one statement, committed at once; none for a statement that answers none."""
    url = client.parts.settings.database.url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description is not None else []
