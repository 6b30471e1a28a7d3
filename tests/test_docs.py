"""The Python blocks of each page under docs/ run as they stand, in order, as one program.

A YAML block that starts with a file's name in a comment is that file, in the folder where they run. Links lead to what
is there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
LINKED = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
# What a page's program ends with, where it says something.
LAST_LINES = {
    "data.md": r"\(1, 26\) \{'item': 0, 'history': 1, 'tags': 0\}",
    "keras.md": r"AUC 0\.(79|8\d)\d*",
    "sweeps.md": r"18 points, then 40 with seeds \[1, 2\]",
    "training.md": r"test AUC 0\.[67]\d*",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_blocks_run(page, tmp_path):
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / re.match(r"# (\w+\.yaml)\n", block)[1]).write_text(block)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    program = tmp_path / "page.py"
    program.write_text("".join(blocks))
    # Without the switch, as a reader's shell is: the page's imports must select Keras 2 themselves.
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last_line = done.stdout.strip().splitlines()[-1:] or [""]
    assert re.fullmatch(LAST_LINES.get(page.name, ".*"), last_line[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_readme_links_the_page(page):
    assert f"(docs/{page.name})" in (ROOT / "README.md").read_text()


def test_links_lead_to_files_and_headings():
    lost = []
    for page in LINKED:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if link.startswith("http"):
                continue
            file, _, heading = link.partition("#")
            target = page.parent / file if file else page
            if not target.exists() or (heading and heading not in anchors(target.read_text())):
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert lost == []


def anchors(text):
    """Of a page's headings, as GitHub makes them; comments in code blocks are no headings."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
