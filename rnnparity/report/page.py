"""Rendering of the templates beside this file, as pages that need no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def render_template(name: str, words: Mapping[str, object], **filters: Callable[[str], str]) -> str:
    """Return a template with `words` filled in; HTML templates escape them."""
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


def markdown_text(text: str) -> str:
    """Return text for a cell of a Markdown table: in one line, without HTML and cell ends."""
    line = " ".join(text.split())
    for character in "\\|<":
        line = line.replace(character, f"\\{character}")
    return line
