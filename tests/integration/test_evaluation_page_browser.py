import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest
from evaluated_report import report_content

from training.evaluation.html import render
from training.evaluation.page_content import Report

pytestmark = pytest.mark.integration

HOSTILE = "<img src=x onerror=\"parent.document.title='owned'\">"
PHONE = 390  # CSS pixels


def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_hostile_name_does_nothing(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    page = render(Report.model_validate(report_content(model=HOSTILE)))
    script = (
        "const inside = document.querySelector('iframe').contentDocument.documentElement;"
        "document.body.append(`width ${inside.scrollWidth} plots ${inside.querySelectorAll('svg').length}`)"
    )
    around = tmp_path / "phone.html"
    around.write_text(
        f"<!doctype html><meta charset=utf-8><title>quiet</title><body>"
        f'<iframe width="{PHONE}" height="800" style="border:0" srcdoc="{escape(page)}"></iframe>'
        f'<script>addEventListener("load", () => {{ {script} }})</script>',
        encoding="utf-8",
    )

    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    run = subprocess.run([browser, *options, around.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    shown = run.stdout

    assert "<title>quiet</title>" in shown
    found = re.search(r"width (\d+) plots (\d+)</body>", shown)
    assert found is not None
    assert int(found[1]) <= PHONE
    assert int(found[2]) == 8
