"""Debian's headless Chromium, and its data on a page: messages, requests, sizes, colours, accessibility."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from selenium import webdriver

BAD_LEVELS = {"WARNING", "SEVERE"}
_PALE = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Give a browser that fetches nothing by itself; it ends with the block.

    Raises FileNotFoundError where Chromium or its driver is missing.
    """
    binary, driver = _program("chromium"), _program("chromedriver")
    # Selenium would else ask for a driver of its own, and count its users.
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,900", "disable-gpu"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    running = webdriver.Chrome(options=options, service=service)
    running.set_script_timeout(300)  # axe takes longer than the usual 30 s where another test has the other core
    try:
        yield Browser(running)
    finally:
        running.quit()


def _program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is not on the path: `sh scripts/install_chromium.sh` installs it on Debian")
    return found


class Browser:
    """One window of Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(
        self, page: Path, *, width: int = 1280, dark: bool = False, script: bool = True, media: str = "screen"
    ) -> None:
        """Open a file in a window of `width` pixels, and forget the messages of earlier pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.say("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.say("Emulation.setScriptExecutionDisabled", value=not script)
        self.say("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(page.absolute().as_uri())

    def say(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command of Chromium's own protocol."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(command, arguments)
        return answer

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def unfold(self) -> None:
        """Open what is folded up."""
        self.run("for (const folded of document.querySelectorAll('details')) folded.open = true")

    def lay_out(self) -> None:
        """Lay out what is not in sight, too, which a page may put off until it is scrolled to."""
        self.run(
            "for (const part of document.querySelectorAll('section, details')) part.style.contentVisibility = 'visible'"
        )

    def complaints(self) -> list[str]:
        """Return what the console said since the page was opened, warnings and worse."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in BAD_LEVELS]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened, but for what stands in the page itself."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        asked += [event["params"]["url"] for event in events if event["method"] == "Network.webSocketCreated"]
        return [url for url in asked if not url.startswith("data:")]

    def violations(self) -> list[str]:
        """Return what axe-core finds against accessibility, with the first places of each rule."""
        script = Path(str(distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js")))
        self.run(script.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(_AXE)
        return [f"{rule['id']}: {rule['help']}: {', '.join(rule['places'])}" for rule in found]

    def pale(self) -> list[str]:
        """Return the texts and the parts of pictures whose contrast is too low, each with its contrast."""
        found: list[str] = self.run(_PALE)
        return found

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write the page as a PNG, whole or only what the window shows."""
        shot = self.say("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then((result) => done(result.violations.map((rule) => ({
  id: rule.id, help: rule.help, places: rule.nodes.slice(0, 3).map((node) => node.target.join(" ")),
}))));
"""
