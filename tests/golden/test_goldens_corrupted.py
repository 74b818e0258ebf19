"""Fixtures damaged at random are refused, each with one clear line; none is read as something
else."""

import random
from collections import Counter

import pytest
from _support.fixture_folders import small_catalogue, write_folder

from rnnparity.golden.goldens import read_goldens
from rnnparity.golden.manifest import MANIFEST
from rnnparity.problem.errors import FormatError


def flip_a_bit(content, rng):
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def put_a_byte(content, rng):
    place = rng.randrange(len(content))
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def put_a_digit(content, rng):
    place = rng.choice([place for place, byte in enumerate(content) if chr(byte).isdigit()])
    return content[:place] + b"%d" % rng.randrange(10) + content[place + 1 :]


def take_out(content, rng):
    start, length = _chunk(content, rng)
    return content[:start] + content[start + length :]


def put_in(content, rng):
    start, length = _chunk(content, rng)
    return content[:start] + rng.randbytes(length) + content[start:]


def put_in_twice(content, rng):
    start, length = _chunk(content, rng)
    return content[: start + length] + content[start:]


def put_in_a_sign(content, rng):
    place = rng.randrange(len(content))
    return (
        content[:place]
        + rng.choice([b" ", b"\n", b",", b"-", b"0", b'"', b"]", b"}", b"\\"])
        + content[place:]
    )


def cut_off(content, rng):
    return content[: rng.randrange(len(content))]


def swap(content, rng):
    length = rng.randint(1, 40)
    one = rng.randrange(len(content) - 2 * length)
    other = rng.randrange(one + length, len(content) - length)
    end = other + length
    return (
        content[:one]
        + content[other:end]
        + content[one + length : other]
        + content[one : one + length]
        + content[end:]
    )


def swap_lines(content, rng):
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _chunk(content, rng):
    length = rng.choice([1, 2, 10, 100])
    return rng.randrange(len(content) - length), length


DAMAGES = (
    flip_a_bit,
    put_a_byte,
    put_a_digit,
    take_out,
    put_in,
    put_in_twice,
    put_in_a_sign,
    cut_off,
    swap,
    swap_lines,
)


def damaged(content, rng):
    """The content with one damage that left a trace."""
    while True:
        kind = rng.choice(DAMAGES)
        changed = kind(content, rng)
        if changed != content:
            return kind.__name__, changed


def assert_refused(folder, path, changed, cases):
    """One clear line, with the file's content put back afterwards."""
    original = path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(FormatError) as caught:
        read_goldens(folder, cases)
    path.write_bytes(original)
    assert str(caught.value).startswith(str(folder))
    assert str(caught.value).isprintable()


def corrupt(folder, seed, count):
    """That many corruptions, a third of them the manifest's, the rest of files drawn at random; how
    often each kind."""
    rng = random.Random(seed)
    cases = small_catalogue()
    files = sorted(path for path in folder.glob("*.json") if path.name != MANIFEST)
    tried = Counter()
    for _ in range(count):
        path = folder / MANIFEST if rng.random() < 1 / 3 else rng.choice(files)
        kind, changed = damaged(path.read_bytes(), rng)
        assert_refused(folder, path, changed, cases)
        tried[kind, path.name == MANIFEST] += 1
    assert read_goldens(folder, cases).outputs
    assert set(tried) == {
        (kind.__name__, of_manifest) for kind in DAMAGES for of_manifest in (True, False)
    }
    return tried.total()


def test_five_hundred_corruptions_are_refused(tmp_path):
    assert corrupt(write_folder(tmp_path), 1, 500) == 500


@pytest.mark.slow
def test_ten_thousand_corruptions_are_refused(tmp_path):
    assert corrupt(write_folder(tmp_path), 2, 10_000) == 10_000


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"null", b"[]", b"{}", b"\xff\xfe[]", b"[" * 100_000, b"1" * 10_000]
)
@pytest.mark.parametrize("name", [MANIFEST, "edge.json"])
def test_a_file_without_content_is_refused(tmp_path, name, content):
    assert_refused(tmp_path, write_folder(tmp_path) / name, content, small_catalogue())


def test_swapped_files_are_refused(tmp_path):
    folder = write_folder(tmp_path)
    one, other = folder / "edge.json", folder / "dtype.json"
    content = other.read_bytes()
    other.write_bytes(one.read_bytes())
    assert_refused(folder, one, content, small_catalogue())
