"""REDIS_URL in the form that Feast reads."""

from urllib.parse import SplitResult, unquote, urlsplit

from feature_repo.core.errors import StoreUnavailable


def connection_string(url: str, default: str) -> str:
    """Feast's form of `url` (redis://user:password@host:port/database), with the time limits of `default`.

    Raises:
        StoreUnavailable: the address breaks its rule.
    """
    parts, port, database = _split(url)
    secrets = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    if any("," in secret for secret in secrets.values()):
        raise StoreUnavailable("REDIS_URL: Feast separates settings by commas, so a name or password must not hold one")
    limits = [part for part in default.split(",") if part.startswith(("retry=", "socket_"))]
    known = [f"{name}={secret}" for name, secret in secrets.items() if secret]
    tls = ["ssl=true"] if parts.scheme == "rediss" else []
    return ",".join([f"{parts.hostname}:{port}", f"db={database}", *limits, *tls, *known])


def with_time_limits(address: str, seconds: float) -> str:
    """A connection string whose every exchange, and connecting, ends within `seconds`."""
    kept = [part for part in address.split(",") if not part.startswith("socket_")]
    return ",".join([*kept, f"socket_connect_timeout={seconds}", f"socket_timeout={seconds}"])


def without_secrets(address: str) -> str:
    """A connection string that may be written down."""
    return ",".join(part for part in address.split(",") if not part.startswith(("username=", "password=")))


def _split(url: str) -> tuple[SplitResult, int, str]:
    rule = "REDIS_URL is redis://[user:password@]host[:port][/database]"
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise StoreUnavailable(f"{rule}; got {_shown(url)!r}") from None
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdigit():
        raise StoreUnavailable(f"{rule}; got {_shown(url)!r}")
    return parts, port, database


def _shown(url: str) -> str:
    return url.split("@")[-1]
