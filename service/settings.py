"""One frozen tree of settings from ``TASKS_<GROUP>_<NAME>`` variables, read once where a process starts."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.kit.limits.policy import Quota, QuotaSetting


def _words(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


# NoDecode: a list is written as a,b,c in the environment; JSON there is a quoting trap.
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Database(_Group):
    # The password belongs in a libpq passfile (`?passfile=`), so that neither argv, environment nor logs hold it.
    url: SecretStr
    read_pool_size: int = Field(default=6, ge=1, le=200)
    write_pool_size: int = Field(default=6, ge=1, le=200)
    pool_timeout_s: float = Field(default=2.0, gt=0)
    connect_timeout_s: int = Field(default=2, ge=1)
    statement_timeout_ms: int = Field(default=3_000, ge=1)
    lock_timeout_ms: int = Field(default=1_000, ge=1)

    @field_validator("url")
    @classmethod
    def _understood(cls, url: SecretStr) -> SecretStr:
        """Here and not where it is used: libpq's own message quotes the URL, password and all."""
        import psycopg.conninfo  # noqa: PLC0415 (--help answers at once)

        refused = PydanticCustomError("database_url", "is not a postgresql:// URL")
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise refused
        try:
            psycopg.conninfo.conninfo_to_dict(url.get_secret_value())
        except psycopg.ProgrammingError:
            raise refused from None
        return url


class Http(_Group):
    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=0, le=65535)
    body_limit_bytes: int = Field(default=64 * 1024, ge=1024)
    header_limit_bytes: int = Field(default=32 * 1024, ge=1024)
    # Longer than the database's own timeouts, so that their precise answers come first.
    deadline_s: float = Field(default=8.0, gt=0)
    # Above the think time of a person and the idle timeout of a balancer, else each request reconnects.
    keep_alive_s: int = Field(default=75, ge=1)
    drain_s: float = Field(default=0.0, ge=0)
    shutdown_s: int = Field(default=10, ge=1)
    docs: bool = True
    # Networks whose X-Forwarded-For is believed, and how many proxies of ours stand there.
    trusted_proxies: Words = ()
    proxy_hops: int = Field(default=1, ge=1, le=10)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)
        return value


class Limits(_Group):
    """Requests in any window of so many seconds, as COUNT/SECONDS."""

    on: bool = True
    # How many share a quota. Each lets a subject do a twentieth of it, divided by them all, in a window before it asks.
    processes: int = Field(default=3, ge=1, le=10_000)
    # By client address: what guesses passwords or makes accounts.
    credentials: QuotaSetting = Quota(100, 900)
    # By user.
    read: QuotaSetting = Quota(1200, 60)
    write: QuotaSetting = Quota(300, 60)
    # By client address, without a token that is valid.
    anonymous: QuotaSetting = Quota(600, 60)


class Metrics(_Group):
    host: str = "127.0.0.1"
    port: int = Field(default=5001, ge=0, le=65535)


class Cors(_Group):
    origins: Words = ("http://localhost:3000",)


class Tokens(_Group):
    folder: Path = Path(".local/secrets/tokens")
    issuer: str = "tasks"
    audience: str = "tasks-api"
    lifetime_s: int = Field(default=7 * 24 * 3600, ge=1)
    leeway_s: int = Field(default=5, ge=0, le=60)
    # Half of the promised bound, so that one late or lost read still keeps it.
    revocation_poll_s: float = Field(default=1.0, gt=0, le=2.0)
    cache_entries: int = Field(default=20_000, ge=0)


class Passwords(_Group):
    # argon2id, the OWASP minimum: 19 MiB, two passes, one lane.
    memory_kib: int = Field(default=19 * 1024, ge=8)
    passes: int = Field(default=2, ge=1)
    threads: int = Field(default=1, ge=1)
    queue: int = Field(default=64, ge=1)


class Valkey(_Group):
    """Without a URL there is no Valkey, and everything works from PostgreSQL and within the process."""

    url: str | None = None  # valkey://user@host:port
    # The password is in a file of its own, so that neither argv nor environment hold it.
    password_file: Path | None = None
    # What a request may wait for Valkey before it does without.
    budget_s: float = Field(default=0.05, gt=0, le=1.0)
    channel: str = "tasks:revoked"


class Cache(_Group):
    """``local_bytes`` bounds the tier in the process; 0 switches the cache off, whatever Valkey does."""

    local_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    ttl_s: float = Field(default=60.0, gt=0)


class Rooms(_Group):
    # In the order in which routes are tried: the hottest room first.
    names: Words = ("tasks", "auth", "users")


class Log(_Group):
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"


class Settings(BaseSettings):
    """Raises pydantic's ValidationError that names each wrong or unknown member of a group."""

    model_config = SettingsConfigDict(
        env_prefix="TASKS_", env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="forbid"
    )

    database: Database
    http: Http = Http()
    metrics: Metrics = Metrics()
    cors: Cors = Cors()
    tokens: Tokens = Tokens()
    passwords: Passwords = Passwords()
    valkey: Valkey = Valkey()
    cache: Cache = Cache()
    limits: Limits = Limits()
    rooms: Rooms = Rooms()
    log: Log = Log()
