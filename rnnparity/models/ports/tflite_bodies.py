"""Tensors inside of TFLite's WHILE loops, with their values at every step.

The interpreter keeps the tensors of a loop's body with their values at the last step only. So the
model gets a signature for the condition and the body of each loop of its main graph, and each loop
is run once more, step by step, from what entered it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnnparity.problem.dtypes import Array
from rnnparity.subjects.litert import file_schema

# A module, an object of the file's schema, or an interpreter of the package ai_edge_litert.
LiteRT: TypeAlias = Any
Runner: TypeAlias = Callable[..., Mapping[str, Array]]


@dataclass(frozen=True)
class Part:
    """The condition or the body of a loop: its index, and the key of its signature.

    `inputs` are the positions of the loop's variables that it uses, which are its arguments "i0",
    ... `tensors` are what its operators return, index and name, in the order of execution, and
    `of_loops` those of them that a loop inside of it takes or returns.
    """

    index: int
    key: str
    inputs: tuple[int, ...]
    tensors: tuple[tuple[int, str], ...]
    of_loops: frozenset[int]

    def run(self, runner: Runner, variables: Sequence[Array]) -> list[Array]:
        """Return its outputs."""
        outputs = runner(**{f"i{number}": variables[number] for number in self.inputs})
        return [outputs[f"o{number}"] for number in range(len(outputs))]


@dataclass(frozen=True)
class Loop:
    """A WHILE of the main graph; `inputs` and `outputs` are tensors of that graph.

    `used` are the outputs that something uses: the interpreter computes no others.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    used: frozenset[int]
    condition: Part
    body: Part


def with_signatures(content: bytes) -> tuple[bytes, list[Loop]]:
    """Return a model with signatures for the parts of its loops, and the loops."""
    import flatbuffers

    schema = file_schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    loops = list(_loops(schema, model))
    parts = {part.key: part for loop in loops for part in (loop.condition, loop.body)}
    added = [_signature(schema, model, part) for part in parts.values()]
    model.signatureDefs = [*(model.signatureDefs or []), *added]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), loops


def _loops(schema: LiteRT, model: LiteRT) -> Iterator[Loop]:
    used = _used(model.subgraphs[0])
    for operator in _whiles(schema, model, model.subgraphs[0]):
        options = operator.builtinOptions
        yield Loop(
            tuple(map(int, operator.inputs)),
            tuple(map(int, operator.outputs)),
            used & set(map(int, operator.outputs)),
            _part(schema, model, options.condSubgraphIndex),
            _part(schema, model, options.bodySubgraphIndex),
        )


def _whiles(schema: LiteRT, model: LiteRT, graph: LiteRT) -> list[LiteRT]:
    """Return the operators of a graph that are loops."""
    code = schema.BuiltinOperator.WHILE
    return [
        operator
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == code
    ]


def _used(graph: LiteRT) -> frozenset[int]:
    """Return the tensors that an operator uses, or that the graph returns."""
    used = {int(tensor) for operator in graph.operators for tensor in operator.inputs}
    return frozenset(used | set(map(int, graph.outputs)))


def _part(schema: LiteRT, model: LiteRT, index: int) -> Part:
    graph = model.subgraphs[index]
    used = _used(graph)
    # The interpreter allocates no memory for an input that nothing uses.
    inputs = [number for number, tensor in enumerate(graph.inputs) if int(tensor) in used]
    computed = [int(tensor) for operator in graph.operators for tensor in operator.outputs]
    names = [graph.tensors[tensor].name.decode(errors="replace") for tensor in computed]
    loops = _whiles(schema, model, graph)
    of_loops = frozenset(int(tensor) for loop in loops for tensor in (*loop.inputs, *loop.outputs))
    tensors = tuple(zip(computed, names, strict=True))
    return Part(index, f"rnnparity/{index}", tuple(inputs), tensors, of_loops)


def _signature(schema: LiteRT, model: LiteRT, part: Part) -> LiteRT:
    graph = model.subgraphs[part.index]

    def named(name: str, tensor: int) -> LiteRT:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, int(tensor)
        return entry

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = part.key, part.index
    signature.inputs = [named(f"i{number}", graph.inputs[number]) for number in part.inputs]
    signature.outputs = [named(f"o{number}", tensor) for number, tensor in enumerate(graph.outputs)]
    return signature


def tensors_of_steps(
    interpreter: LiteRT,
    loop: Loop,
    main: Mapping[int, Array],
    sizes: frozenset[int],
    check_bytes: Callable[[int], None],
) -> Iterator[tuple[str, Array]]:
    """Run a loop once more, and yield the tensors of its body, joined along a first axis of steps.

    What a loop inside of it takes or returns is yielded step by step too, "NAME[0]", ...: each may be
    what a call of a layer does.

    The interpreter must not have run the main graph, whose memory the body would then use. `main` are
    the tensors of the main graph. Tensors that cannot have one of these sizes are left out. Nothing is
    yielded if the loop's results are other than in the main graph. `check_bytes` is called with the
    size of what is kept so far.
    """
    condition = interpreter.get_signature_runner(loop.condition.key)
    body = interpreter.get_signature_runner(loop.body.key)
    variables = [main[index] for index in loop.inputs]
    steps: dict[tuple[int, str], list[Array]] = {}
    kept = 0
    while loop.condition.run(condition, variables)[0]:
        variables = loop.body.run(body, variables)
        for index, name in loop.body.tensors:
            array = _value(interpreter, index, loop.body.index)
            if array is not None and any(size % array.size == 0 for size in sizes):
                steps.setdefault((index, name), []).append(array)
                kept += array.nbytes
        check_bytes(kept)
    if _same_results(loop, main, variables):
        for (index, name), arrays in steps.items():
            if index in loop.body.of_loops:
                yield from ((f"{name}[{step}]", array) for step, array in enumerate(arrays))
            if len({array.shape for array in arrays}) == 1:
                yield name, np.stack(arrays)


def _value(interpreter: LiteRT, index: int, part: int) -> Array | None:
    """Return a tensor of a part that holds floating-point numbers, else None."""
    try:
        array: Array = interpreter.get_tensor(index, part)
    except ValueError:  # it has no data: a resource, or an array without elements
        return None
    return array if array.size and array.dtype.kind == "f" else None


def _same_results(loop: Loop, main: Mapping[int, Array], variables: Sequence[Array]) -> bool:
    """Return whether a loop ends as in the main graph."""
    return all(
        np.array_equal(main[index], value, equal_nan=True)
        for index, value in zip(loop.outputs, variables, strict=True)
        if index in loop.used
    )
