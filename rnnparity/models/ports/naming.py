"""What can be known of a port by its name, and of the source of a module, without importing it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from symtable import Class, Symbol, symtable

from rnnparity.problem.errors import RequestError
from rnnparity.problem.text import did_you_mean
from rnnparity.subjects.registry import check_installed

# The subject whose packages a file of each suffix needs.
SUFFIXES = {
    ".onnx": "onnxruntime",
    ".tflite": "litert",
    ".npz": "",
    ".pt": "torch",
    ".pth": "torch",
}
# Source with one of these may define names that its symbol table does not have.
DYNAMIC = ("import *", "global", "__getattr__", "exec(", "setattr(")
# An error names so many of the objects that a module has.
NAMED = 6


def check_port(name: str) -> None:
    """Check what can be known of a port by its name before anything slow starts.

    Raises:
        RequestError: it is neither a file of a known format nor a function, or a package is missing.
    """
    path = Path(name)
    if path.suffix in SUFFIXES:
        if not path.is_file():
            raise RequestError(f"{name}: file not found")
        if SUFFIXES[path.suffix]:
            check_installed(SUFFIXES[path.suffix])
        return
    module, colon, attribute = name.partition(":")
    if module.endswith(".py"):
        module = module.removesuffix(".py").removeprefix("./").replace("/", ".")
        raise RequestError(
            f"--against {name}: expected a module, not its file: {module}:{attribute or 'NAME'}, where "
            f"{attribute or 'NAME'} is an nn.Module or a function of the model's inputs in it"
        )
    if not colon or not all(part.isidentifier() for part in [*module.split("."), attribute]):
        raise RequestError(
            f"--against {name}: expected a file ({', '.join(SUFFIXES)}) or package.module:object, a "
            "function or an nn.Module"
        )
    check_installed(name)
    # To find a module inside a package would import the package.
    if "." not in module and module not in sys.modules:
        _check_source(name, module, attribute)


def _check_source(name: str, module: str, attribute: str) -> None:
    """Check that a module defines an object that is not a class, where its source shows that.

    Raises:
        RequestError: there is no such object, or it is a class, or the source is not Python.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    source = Path(spec.origin).read_text(errors="replace")
    try:
        table = symtable(source, spec.origin, "exec")
    except SyntaxError as error:
        where = f"{Path(spec.origin).name}, line {error.lineno}"
        raise RequestError(f"--against {name}: {error.msg} ({where})") from None
    if any(word in source for word in DYNAMIC):
        return
    symbols = {symbol.get_name(): symbol for symbol in table.get_symbols() if _is_defined(symbol)}
    if attribute not in symbols:
        own = [name for name, symbol in symbols.items() if not symbol.is_imported()]
        hint = did_you_mean(attribute, own, f"it defines {', '.join(own[:NAMED]) or 'nothing'}")
        raise RequestError(f"--against {name}: {module} has no {attribute!r}{hint}")
    if any(isinstance(scope, Class) for scope in symbols[attribute].get_namespaces()):
        raise class_error(name)


def _is_defined(symbol: Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported()


def class_error(name: str) -> RequestError:
    """Return the error that a port is a class."""
    module, colon, attribute = name.partition(":")
    example = f"; add NAME = {attribute}(...) to the module and pass {module}:NAME" if colon else ""
    return RequestError(f"{name}: got a class, expected an instance of it or a function{example}")
