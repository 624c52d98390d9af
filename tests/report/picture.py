"""Take the picture of a report that the README shows: `python -m tests.report.picture results/example`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def take(folder: Path) -> Path:
    path = folder / "report.png"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        view = browser.new_page(viewport={"width": 1060, "height": 1180}, color_scheme="light")
        view.goto((folder / "report.html").resolve().as_uri())
        view.screenshot(path=path)
        browser.close()
    return path


if __name__ == "__main__":
    print(take(Path(sys.argv[1])))
