"""What a container runs: the version that its Bento holds, on every address of the container."""

import os
import sys

from feature_repo.core.errors import RecommenderError
from feature_repo.core.workspace import Workspace

PORT = 3000
# A container's own loopback can be reached by nobody: who may connect is decided where its port is published.
HOST = "0.0.0.0"


def main() -> None:
    from serving.server import serve

    # As for every command: Feast reports usage to its makers unless told not to.
    os.environ.setdefault("FEAST_USAGE", "False")
    try:
        serve(Workspace.from_env(), host=HOST, port=int(os.environ.get("PORT") or PORT))
    except RecommenderError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
