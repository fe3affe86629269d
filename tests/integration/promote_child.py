"""A process of its own that promotes: `promote_child.py ROOT FOLDER [hang]`. It prints how that ended.

With `hang` its deployer says so in FOLDER and never comes back: somebody has to kill it.
"""

import sys
import time
from pathlib import Path

from promotable_workspace import NOW, POLICY, RememberedDeployer

from feature_repo.core.workspace import Workspace
from training.promote import promote


class Hanging(RememberedDeployer):
    def deploy(self, version: str, *, fence: int) -> None:
        (Path(sys.argv[2]) / "deploying").write_text(f"{version} {fence}")
        time.sleep(600)


def main() -> None:
    root = Path(sys.argv[1])
    deployer = Hanging() if sys.argv[3:] == ["hang"] else RememberedDeployer()
    done = promote(Workspace(root=root, store=root / "store"), POLICY, deployer=deployer, now=NOW)
    sys.stdout.write(f"{'decided' if done.decided else 'up to date'} {done.moved}\n")


if __name__ == "__main__":
    main()
