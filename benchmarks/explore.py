"""From a key on a slider to the changed page, in a headless browser: ``python -m benchmarks.explore``.

For every slider of ``bayesmoe explore`` on the demo's fit: milliseconds from the key to the next frame after all charts have changed, median and
largest over steps, for each problem of the shipped scenario, without and with a latency target.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

STEPS = 12
CHARTS = 4
LISTEN = """
() => {
  window.changed = 0;
  for (const model of Bokeh.documents[0].all_models)
    if (model.type === 'ColumnDataSource') model.properties.data.change.connect(() => { window.changed += 1; });
  window.addEventListener('keydown', () => { window.pressed = performance.now(); window.changed = 0; }, true);
}
"""
ANSWERED = f"() => window.changed >= {CHARTS} ? performance.now() - window.pressed : null"


@contextmanager
def address(fit: Path) -> Iterator[str]:
    """The running page."""
    command = [sys.executable, "-m", "bayesmoe", "explore", str(fit), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield running.stdout.readline().split()[0]
        running.terminate()


def pressed(page: Page, number: int, key: str) -> float:
    """Milliseconds from a key on a slider to the first frame in which all charts have changed."""
    page.locator(".noUi-handle").nth(number).press(key)
    return page.wait_for_function(ANSWERED, polling="raf", timeout=120_000).json_value()


def main() -> None:
    """Measure and print."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        subprocess.run([sys.executable, "-m", "bayesmoe", "demo", "--out", folder], check=True, capture_output=True)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with address(Path(folder) / "fit.nc") as url:
            page = browser.new_page(viewport={"width": 1280, "height": 1200})
            page.goto(url)
            page.get_by_text("answered in").wait_for(timeout=120_000)
            page.evaluate(LISTEN)
            titles = page.locator("select").first.locator("option").all_inner_texts()
            for title in titles:
                page.locator("select").first.select_option(label=title)
                page.get_by_text(title, exact=True).last.wait_for()
                page.wait_for_timeout(15_000)
                for target in ("no latency target", "a latency target"):
                    timed = []
                    for number in (0, 1, 2, 3, 5):
                        times = [pressed(page, number, key) for key in ("ArrowLeft", "ArrowRight") * (STEPS // 2)]
                        timed += times
                    draws = page.get_by_text("answered in").inner_text().partition(",")[0]
                    print(
                        f"{title}, {target}, {draws}: median {np.median(timed):.0f} ms, largest {max(timed):.0f} ms of {len(timed)} steps"
                    )
                    # The first step from no target to the loosest compiles a program of its own.
                    pressed(page, 4, "ArrowRight" if target == "no latency target" else "ArrowLeft")
        browser.close()


if __name__ == "__main__":
    main()
