"""Pages for people: HTML and Markdown from the templates beside this file, each one file that needs
no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any


def render_template(name: str, words: Mapping[str, Any], **filters: Callable[[Any], str]) -> str:
    """A template with its words filled in; in HTML whatever they hold is text, unless it is said to
    be safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("rnnparity.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment.get_template(name).render(words)


def words_of_markdown(text: str) -> str:
    """Words for Markdown: no HTML, and no cell or line ends within."""
    return re.sub(r"([\\|<])", r"\\\1", " ".join(text.split()))
