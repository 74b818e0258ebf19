"""Results as text, HTML, Markdown and JSON."""
