"""Sentences about single differences: which value, shape or name was expected."""

from __future__ import annotations

from math import isfinite

from rnnparity.problem.shapes import axis_letters
from rnnparity.problem.verdicts import Difference, DifferenceType, FactType, Value, Witness

_FACTS = {
    FactType.PARAMETERS: "count_params()",
    FactType.SYMBOLIC_SHAPES: "symbolic shapes",
    FactType.SUMMARY: "summary()",
    FactType.RETURNED: "number of returned values",
    FactType.SHAPE: "shape",
}


def describe(difference: Difference, threshold: float) -> list[str]:
    """Return one to three lines about a difference; `threshold` is the allowed one in sigma."""
    if difference.type in (DifferenceType.VALUES, DifferenceType.FINITENESS):
        return _values(difference, threshold)
    if difference.type is DifferenceType.FACT:
        return [_fact(difference)]
    return [_structure(difference)]


def _values(difference: Difference, threshold: float) -> list[str]:
    letters = axis_letters(difference.output, len(difference.shape))
    sizes = zip(letters, difference.shape, strict=True)
    shape = ", ".join(f"{letter}={size}" if letter else str(size) for letter, size in sizes)
    counts = f"{difference.differing} of {difference.total} values differ"
    distance = f"{sigma_text(difference.sigma)} sigma ({threshold:g} allowed)"
    if difference.type is DifferenceType.FINITENESS:
        distance = "not finite"
    lines = [
        f"{difference.output} ({shape}): {counts}",
        f"worst: {element(difference)}{_off_by(difference)}; {distance}",
    ]
    if difference.first_step is not None:
        lines.append(f"first mismatch: index {difference.first_step} of axis T")
    return lines


def _off_by(difference: Difference) -> str:
    """Return the absolute difference of the worst element, where it is a number."""
    actual, expected = difference.actual, difference.expected
    if not isinstance(actual, float | int) or not isinstance(expected, float | int):
        return ""
    size = abs(actual - expected)
    return f", off by {size:.2g}" if isfinite(size) else ""


def element(difference: Difference) -> str:
    """Return the worst element of an output with its actual and its expected value."""
    owner = "golden " if difference.of is Witness.GOLDEN else ""
    index = ", ".join(map(str, difference.index))
    # With fewer digits two values that differ may look alike.
    digits = ".17g" if difference.dtype == "float64" else ".9g"
    actual = _value(difference.actual, digits)
    expected = _value(difference.expected, digits)
    source = " (source)" if difference.fact else ""
    return f"{owner}{difference.output}[{index}]: got {actual}, expected {expected}{source}"


def _structure(difference: Difference) -> str:
    actual, expected = difference.actual, difference.expected
    what = "gradients" if difference.gradients else "outputs"
    if difference.type is DifferenceType.COUNT:
        names = f" ({_names(actual)})" if actual else ""
        return (
            f"{what}: got {_count(actual)}{names}, expected {_count(expected)}: {_names(expected)}"
        )
    if difference.type is DifferenceType.NAMES:
        return f"{what}: got {_names(actual)}; expected {_names(expected)}"
    line = (
        f"{difference.output}: got {difference.type} {_value(actual)}, expected {_value(expected)}"
    )
    values_agree = difference.total and not difference.differing
    return f"{line}; its values agree" if values_agree else line


def _fact(difference: Difference) -> str:
    if difference.fact is FactType.DIGITS:
        return element(difference)
    if difference.fact is FactType.RELATION:
        return f"relation {difference.expected}: does not hold"
    name = _FACTS[difference.fact or FactType.SHAPE]
    owner = f"{difference.output}: " if difference.output else ""
    printed = difference.fact in (FactType.RETURNED, FactType.SHAPE)
    source = " (source)" if printed else ""
    actual, expected = _value(difference.actual), _value(difference.expected)
    return f"{owner}{name}: got {actual}, expected {expected}{source}"


def _count(names: Value) -> int:
    return len(names) if isinstance(names, tuple) else 0


def _names(names: Value) -> str:
    return ", ".join(map(str, names)) if isinstance(names, tuple) else str(names)


def _value(value: Value, digits: str = ".9g") -> str:
    return f"{value:{digits}}" if isinstance(value, float) else str(value)


def sigma_text(sigma: float) -> str:
    """Return a distance in sigma: 0.42, 12, 3.1e5; any error of an exact value is over 1e9."""
    if sigma > 1e9:
        return "over 1e9"
    if 10 <= sigma < 1e5:
        return f"{sigma:.0f}"
    mantissa, exponent_sign, exponent = f"{sigma:.2g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent_sign else mantissa
