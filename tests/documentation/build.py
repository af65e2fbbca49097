"""Builds the documentation site: the pages of bundle/docs, and a reference made from the configs and the code.

Run: python -m tests.documentation.build [FOLDER]     (in the checkout; default: site)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.documentation.reference import write_reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "bundle" / "docs"

_BESIDE = ("benchmarks/results",)
"""Folders outside of the bundle from which pages show pictures."""


def build(site: Path) -> int:
    """Build the site.

    Pages are copied first, so that what is generated does not lie among them.

    Args:
        site: folder for the HTML; what a former build left there is removed.

    Returns:
        exit status: 1 where there is a warning.
    """
    from sphinx.cmd.build import main

    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch) / DOCS.relative_to(ROOT)
        shutil.copytree(DOCS, docs, ignore=shutil.ignore_patterns("__pycache__"))
        for folder in _BESIDE:
            shutil.copytree(ROOT / folder, Path(scratch) / folder, ignore=shutil.ignore_patterns("*.json"))
        readme = docs / "README.md"  # the Model Zoo's form has two titles, a page of a site one
        readme.write_text(readme.read_text().replace("\n# License\n", "\n## License\n"))
        write_reference(docs / "reference")
        shutil.rmtree(site, ignore_errors=True)
        doctrees = str(Path(scratch) / "doctrees")
        return main(["-W", "--keep-going", "-q", "-b", "html", "-d", doctrees, str(docs), str(site)])


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
