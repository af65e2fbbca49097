"""Settings of the documentation site, which `make docs` builds: offline, from these pages and from the code."""

import inspect
import re
from typing import Any

from sphinx.util import inspect as sphinx_inspect

project = "Polytome"
copyright = "the Polytome authors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = False

myst_heading_anchors = 4  # the anchors that hosts of Markdown make: page.md#heading

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
maximum_signature_line_length = 60  # a parameter a line: readable on a phone
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = "Polytome"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def to_restructured_text(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain English with `code`; Sphinx reads reStructuredText, where that and * | _ differ."""
    parts = re.split(r"(`+[^`]+`+)", "\n".join(lines))
    for place, part in enumerate(parts):
        if part.startswith("`"):
            before, after = parts[place - 1][-1:], parts[place + 1][:1]
            code = re.sub(r"\s*\n\s*", " ", part.strip("`"))  # napoleon reads line by line
            literal = f"``{code}``"
            parts[place] = ("\\ " if before.isalnum() else "") + literal + ("\\ " if after.isalnum() else "")
        else:
            parts[place] = re.sub(r"([*|]|(?<=\w)_\b)", r"\\\1", part)
    lines[:] = "".join(parts).split("\n")


def signature_of_init(
    app: Any, what: str, name: str, item: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None] | None:
    """A class is called with the arguments of its `__init__`; Sphinx would show those of MONAI's `__new__`."""
    if what != "class" or not inspect.isfunction(item.__init__):
        return None
    arguments = sphinx_inspect.signature(item.__init__, bound_method=True).replace(
        return_annotation=inspect.Signature.empty
    )
    return sphinx_inspect.stringify_signature(arguments, unqualified_typehints=True), None


def setup(app: Any) -> None:
    """Before napoleon, which reads the sections of a docstring."""
    app.connect("autodoc-process-signature", signature_of_init)
    app.connect("autodoc-process-docstring", to_restructured_text, priority=400)
