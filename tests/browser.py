"""A headless Chromium, driven over its own protocol (DevTools): real keys, the accessibility tree, screenshots."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --remote-debugging-port=0"
)
# What DevTools wants to know of a key: its code, its number and the text that it types.
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
    "Backspace": (8, ""),
    " ": (32, " "),
}
SHIFT = 8


@dataclass
class Page:
    """One tab. `complaints` are errors of scripts and of the content policy; `asked` every address it fetched."""

    socket: ClientConnection
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; what the browser tells meanwhile is kept."""
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=30))
            if message.get("id") == self.sent:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
            self._hear(message)

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, *, seconds: float = 15) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < deadline, f"never true: {script}; complaints {self.complaints}"
            time.sleep(0.02)

    def press(self, key: str, *, times: int = 1, shift: bool = False) -> None:
        code, text = KEYS[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        common |= {"modifiers": SHIFT if shift else 0}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def focused(self) -> tuple[str, str]:
        """Role and name of the focused element, as a screen reader is told them."""
        node = self.call("Runtime.evaluate", expression="document.activeElement")["result"]["objectId"]
        found = self.call("Accessibility.getPartialAXTree", objectId=node, fetchRelatives=False)["nodes"][0]
        return role_and_name(found)

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader meets, in its order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [role_and_name(node) for node in nodes if not node["ignored"]]

    def screen(self, *, width: int, height: int, zoom: float = 1, mobile: bool = False) -> None:
        """A screen of `width` by `height` pixels; zoomed in, fewer CSS pixels fit onto it."""
        size = {"width": round(width / zoom), "height": round(height / zoom)}
        self.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=zoom, mobile=mobile)

    def prefer(self, **features: str) -> None:
        """Media features that a person has set, as in prefer(color_scheme="dark")."""
        wanted = [{"name": f"prefers-{n.replace('_', '-')}", "value": value} for n, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=wanted)

    def screenshot(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _hear(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"])[:500])
        if message["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(told["entry"]["text"])
        if message["method"] == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])


def role_and_name(node: dict[str, Any]) -> tuple[str, str]:
    return str(node["role"]["value"]), str(node.get("name", {}).get("value", ""))


@contextmanager
def browser_page(folder: Path) -> Iterator[Page]:
    """A tab in a browser of its own, whose profile lies in `folder`."""
    assert PROGRAM is not None
    profile = folder / "profile"
    command = [PROGRAM, *OPTIONS.split(), f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port_of(profile / "DevToolsActivePort")
        with connect(f"ws://127.0.0.1:{port}/devtools/page/{_tab(port)}", max_size=None, proxy=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
                page.call(f"{domain}.enable")
            yield page
    finally:
        process.terminate()
        process.wait()


def _port_of(file: Path) -> int:
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < deadline, "chromium did not start"
        time.sleep(0.02)
    return int(file.read_text().splitlines()[0])


def _tab(port: int) -> str:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/json/list")
        tabs = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return str(next(tab["id"] for tab in tabs if tab["type"] == "page"))
