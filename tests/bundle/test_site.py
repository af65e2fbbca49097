"""The documentation site: it builds without a warning, is complete, and asks for nothing from elsewhere."""

import importlib.util
import re
import subprocess
import sys

import pytest
from tests.bundle.running import BUNDLE
from tests.documentation.reference import components, config_keys, config_names

pytestmark = pytest.mark.long

ROOT = BUNDLE.parent
DOCS = BUNDLE / "docs"
NO_SPHINX = "the extra 'docs' (Sphinx, myst-parser, furo) is not installed"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built in a process of its own: Sphinx changes logging and locales."""
    if any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")):
        pytest.skip(NO_SPHINX)
    folder = tmp_path_factory.mktemp("site") / "html"
    done = subprocess.run(
        [sys.executable, "-m", "tests.documentation.build", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr == ""
    return folder


def test_the_site_has_every_page_and_component(site):
    assert [page.stem for page in DOCS.glob("*.md") if not (site / f"{page.stem}.html").is_file()] == []
    for name in config_names():
        html = (site / "reference" / f"config_{name}.html").read_text()
        for path in {path for value in config_keys(name).values() for path in components(value)}:
            assert re.search(rf'href="[^"]*#{re.escape(path)}"', html), (name, path)
    html = (site / "reference" / "transforms.html").read_text()
    assert 'id="scripts.transforms.LoadZarrPatchd"' in html
    assert (site / "searchindex.js").stat().st_size > 10_000


def test_the_site_asks_for_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        html = page.read_text()
        assert re.findall(r'<(?:script|img|iframe|source)[^>]*src="(?:https?:)?//[^"]*', html) == [], page
        assert re.findall(r'<link[^>]*href="(?:https?:)?//[^"]*', html) == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"""(?:@import|url\()\s*['"]?(?:https?:)?//[^)]*""", style.read_text()) == [], style
