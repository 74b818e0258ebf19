"""An encoder and a decoder of two layers each, which Keras and a port run in different orders."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import call_of, dense, outputs_of
from _support.random_problems import random_problem, spec_of

from rnnparity.faults import lookup, mutate
from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.port_search import OPTIONS
from rnnparity.models.ports.port import Port
from rnnparity.problem.tensor import Tensor

B, T, H = 3, 5, 4
# Keras runs the first layer of the decoder before the second one of the encoder.
KERAS_ORDER = ("e1", "d1", "e2", "d2")
PORT_ORDER = ("e1", "e2", "d1", "d2")
SWAPPED = lookup("gate-order", "LSTM fico in the kernel")


def problems():
    """The problem of each layer, without the numbers that come from the others; each returns all."""
    spec = spec_of("lstm", H, return_sequences=True, return_state=True)
    features = {"e1": 3, "e2": H, "d1": 2, "d2": H}
    return {
        name: replace(random_problem(spec, seed, (B, T, features[name])), id=name)
        for seed, name in enumerate(PORT_ORDER)
    }


def run(wrong=""):
    """Every layer's problem and outputs, one of them with a fault."""
    made, found = problems(), {}
    for name in PORT_ORDER:
        problem = made[name]
        if name in ("e2", "d2"):
            problem = replace(problem, inputs=Tensor("inputs", found[f"{name[0]}1"][1][0].data))
        if name[0] == "d":
            _, h, c = found[f"e{name[1]}"][1]
            states = Tensor("h", h.data), Tensor("c", c.data)
            problem = replace(problem, initial_state=states)
        outputs = outputs_of(problem)
        if name == wrong:
            tensors = mutate(problem, SWAPPED)[0].outputs
            outputs = tuple(Tensor.of(tensor.name, tensor.data) for tensor in tensors)
        found[name] = problem, outputs
    return found


def as_in_keras(problem, outputs):
    """A call that returns what is used: no sequence of the encoder's last layer, no last states."""
    if problem.id == "e2":
        layer = replace(problem.layer, return_sequences=False)
        _, h, c = outputs
        return call_of(replace(problem, layer=layer), (Tensor("output", h.data), h, c))
    if problem.id == "e1":
        return call_of(problem, outputs)
    layer = replace(problem.layer, return_state=False)
    return call_of(replace(problem, layer=layer), outputs[:1])


def recorded():
    layers = run()
    calls = tuple(as_in_keras(*layers[name]) for name in KERAS_ORDER)
    inputs = tuple(Tensor(name, layers[name][0].inputs.data) for name in ("e1", "d1"))
    return Recording(calls, inputs, (Tensor("0", dense(layers["d2"][1][0].data, 2, 3)),))


def ported(wrong):
    layers = run(wrong)
    inputs = [Tensor(f"x{name}", layers[name][0].inputs.data) for name in ("e1", "d1")]
    shown = [
        Tensor(f"{name}.{output.name}", output.data)
        for name in PORT_ORDER
        for output in layers[name][1]
    ]
    final = Tensor("final", dense(layers["d2"][1][0].data, 2, 3))
    return Port((*inputs, *shown, final), (final,))


@pytest.mark.parametrize("wrong", ["", *KERAS_ORDER])
def test_only_the_layer_with_the_fault_differs(wrong):
    result = compare_port("port", recorded(), ported(wrong))
    differing = [call.call.id for call in result.calls if call.result.failing]
    assert differing == ([wrong] if wrong else [])
    assert all(call.result.verdict.compared for call in result.calls)
    assert {call.call.id: call.tensor.partition(".")[0] for call in result.calls} == {
        name: name for name in KERAS_ORDER
    }
    if wrong:
        assert result.explanation.cause.names == ("gate-order",)
    assert result.changed_inputs is None
    assert result.status == bool(wrong)


def test_states_are_those_with_which_the_next_layer_agrees():
    """Tensors that are nearer to the model's state than that of the layer with the fault are not it.

    So many run before that layer that the state is only tried once the layer is known.
    """
    port = ported("e1")
    (wrong,) = (tensor.data for tensor in port.tensors if tensor.name == "e1.h")
    right = recorded().calls[0].outputs[1].data
    decoys = [
        Tensor(f"decoy{part}", right + np.float32(part / 10) * (wrong - right))
        for part in range(1, 1 + OPTIONS)
    ]
    index = [tensor.name for tensor in port.tensors].index("e1.c") + 1
    tensors = (*decoys, *port.tensors[:index], replace(decoys[0]), *port.tensors[index:])
    result = compare_port("port", recorded(), replace(port, tensors=tensors))
    assert [call.call.id for call in result.calls if call.result.failing] == ["e1"]
