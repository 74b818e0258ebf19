"""Rendering of the templates beside this file, as pages that need no network."""

from __future__ import annotations

from collections.abc import Mapping

from rnnparity.problem.text import visible, visible_lines

# What has a meaning in Markdown; "-", "+" and "#" have one only where a line begins.
MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<&|~"})


def render_template(name: str, words: Mapping[str, object]) -> str:
    """Return a template with `words` filled in; what would be HTML or Markdown in them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("rnnparity.report"),
        autoescape=select_autoescape(["html.j2"]),
        finalize=_markdown if name.endswith(".md.j2") else _without_controls,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(words)


def _markdown(value: object) -> object:
    """Return a filled-in value as one line of Markdown that has no other meaning."""
    if not isinstance(value, str):
        return value
    return visible(" ".join(value.split())).translate(MARKDOWN)


def _without_controls(value: object) -> object:
    """Return a filled-in value with line breaks, but no other control characters."""
    if not isinstance(value, str):
        return value
    text = visible_lines(value.split("\n"))
    # What the templates have escaped already stays Markup.
    return value if text == value else type(value)(text)
