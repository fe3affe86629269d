"""A container's health check: ends with status 0 when the service in it answers that it is ready."""

import http.client
import os
import sys

from serving.container.main import PORT

SECONDS = 2.0


def is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_healthy(int(os.environ.get("PORT") or PORT)) else 1)
