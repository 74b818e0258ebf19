"""Corruption of files, drawn from a seed: bytes, JSON and TOML."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

# What takes the place of a value, as JSON and TOML write it.
VALUES = [
    *("null", "true", "false", "0", "-1", "1", "3", "0.5", "-0.0", "1.5", "-5", "1e308"),
    *("1e999", "-1e999", "NaN", "Infinity", "nan", "inf", "2147483648", "9223372036854775808"),
    *("1" * 400, "1" * 5000, "0." + "1" * 5000, "1e-400"),
    *('""', '"x"', '"NaN"', '"1"', '"' + "x" * 5000 + '"', "'x'", '"../../x"', '"*"'),
    *(r'"\ud800"', r'"\u0000"', r'"\u001b[2J"', '"\u202e"', '"\x1b"', '"é"'),
    *("[]", "{}", "[[]]", "[null]", '{"a": 1}', "[1, 2, 3]", '[1, "2", null]', "[[[[1]]]]"),
    *("[" * depth + "]" * depth for depth in (40, 63, 100, 5000, 100_000)),
    '{"a":' * 100_000,
]
NAMES = [
    "",
    "x",
    "id",
    "name",
    "data",
    "format",
    "layer",
    "\u202e",
    r"\ud800",
    r"\u0000",
    "x" * 999,
]
HERE, AGAIN = '"@@here@@"', '"@@again@@"'


def corrupted(content: bytes, rng: Random) -> bytes:
    """Return content with one to three corruptions, most of which keep it readable as text."""
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        content = rng.choice([_structure, _structure, _structure, _bytes])(content, rng)
    return content


def _bytes(content: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice([1, 1, 2, 10, 100, 10_000]))
    before, part, after = content[:start], content[start:end], content[end:]
    changes: list[Callable[[], bytes]] = [
        lambda: before,
        lambda: before + after,
        lambda: before + part + part + after,
        lambda: before + bytes(byte ^ 1 << rng.randrange(8) for byte in part) + after,
        lambda: before + rng.randbytes(len(part)) + after,
        lambda: (
            before + rng.choice([b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b", b"\r"]) + after
        ),
        lambda: before + rng.choice([b" ", b"\n", b"\t", b"\xc2\xa0"]) + part + after,
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content + rng.choice([b"\0", b"x", b"{}", b"\n\n", content]),
        lambda: content.decode(errors="replace").encode(rng.choice(["utf-16", "utf-32", "utf-7"])),
        lambda: content.decode(errors="replace").encode("latin-1", "replace"),
        lambda: rng.choice([b"", b" ", b"\0" * 100, b"null", b"[]", b"{}"]),
    ]
    return rng.choice(changes)()


def _structure(content: bytes, rng: Random) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _lines(content, rng)
    parent, key = _random_part(value, rng)
    if parent is None:
        return rng.choice(VALUES).encode()
    text = _edited(value, parent, key, rng)
    return text.encode(errors="surrogatepass")


def _random_part(value: object, rng: Random) -> tuple[object, object]:
    """Return a list or an object and one of its keys: most often not the deepest."""
    parent, key = None, None
    while isinstance(value, dict | list) and value and (parent is None or rng.random() < 0.75):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        parent, key = value, rng.choice(keys)
        value = parent[key]
    return parent, key


def _edited(value: object, parent, key, rng: Random) -> str:
    """Return the text of `value`, changed in place at a key of one of its parts."""
    change = rng.choice(["value", "value", "value", "delete", "rename", "again", "swap", "indent"])
    here, again = "", ""
    if change == "value":
        parent[key], here = HERE.strip('"'), rng.choice(VALUES)
    elif change == "delete":
        del parent[key]
    elif change == "swap":
        other = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        parent[key], parent[other] = parent[other], parent[key]
    elif change in ("rename", "again") and isinstance(parent, dict):
        name = rng.choice(NAMES) if change == "rename" else key
        again = f'"{name}"'
        parent[AGAIN.strip('"')] = parent.pop(key) if change == "rename" else parent[key]
    text = json.dumps(value, indent=rng.choice([None, 1, 7]) if change == "indent" else None)
    return text.replace(HERE, here, 1).replace(AGAIN, again, 1)


def _lines(content: bytes, rng: Random) -> bytes:
    """Change a line of what is not JSON, such as TOML."""
    lines = content.decode(errors="surrogateescape").split("\n")
    number = rng.randrange(len(lines))
    name, separator, value = lines[number].partition("=")
    lines[number : number + 1] = rng.choice(
        [
            [],
            [lines[number]] * 2,
            [f"{rng.choice(NAMES)} {separator}{value}"],
            [f"{name}{separator} {rng.choice(VALUES)}"],
            [lines[number], f"{rng.choice(NAMES)} = {rng.choice(VALUES)}"],
            [lines[number].replace("[[", "[").replace("]]", "]")],
            [f"  {lines[number]}  # {rng.choice(NAMES)}"],
        ]
    )
    return "\n".join(lines).encode(errors="surrogateescape")
