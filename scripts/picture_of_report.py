"""The picture in the README: the upper part of a run's page, as a browser shows it.

    aftune quickstart model.precision=float32
    python scripts/picture_of_report.py runs/quickstart docs/figures/report.png

Needs Chromium and playwright (in the extra dev).
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

_COLOURS = 256  # a page of text has few, and the file is half the size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="A run directory with a report.html.")
    parser.add_argument("out", type=Path, help="The PNG file to write.")
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        parser.error("there is neither chromium nor google-chrome in PATH; install one")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1100, "height": 1240}).new_page()
        page.goto((arguments.run / "report.html").resolve().as_uri())
        page.screenshot(path=arguments.out)
        browser.close()
    with Image.open(arguments.out) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
