"""A module of several layers shows each of them, not only its last."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import call_of, dense, outputs_of
from _support.random_problems import random_problem

from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.opening import open_port
from rnnparity.models.ports.torch_stacks import inner_outputs
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import halves
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.subjects.torch_layers import packed

torch = pytest.importorskip("torch")
nn = torch.nn
AGREES, DIVERGES = Verdict.AGREES, Verdict.DIVERGES
B, T, D, H = 3, 7, 4, 6
OPTIONS = [("LSTM", False), ("GRU", True), ("SimpleRNN", False), ("LSTM", True)]


def recorded_stack(class_name, bidirectional):
    """What is recorded of two layers and a Dense layer."""
    spec = {"class_name": class_name, "config": {"units": H, "return_sequences": True}}
    if bidirectional:
        spec = {"class_name": "Bidirectional", "config": {"layer": spec}}
    first = replace(random_problem(spec, 1, (B, T, D)), id="l1")
    outputs = outputs_of(first)
    second = random_problem(spec, 2, (B, T, outputs[0].shape[-1]))
    second = replace(second, id="l2", inputs=Tensor("inputs", outputs[0].data))
    last = outputs_of(second)
    calls = call_of(first, outputs), call_of(second, last)
    final = Tensor("0", dense(last[0].data[:, -1], 2, 3))
    return Recording(calls, (Tensor("x", first.inputs.data),), (final,))


class Port(nn.Module):
    """Two layers in one module, and the Dense layer; `packs` the sequences, which have equal lengths."""

    def __init__(self, recording, packs=False):
        super().__init__()
        layer = recording.calls[0].problem.layer
        (_, half), *others = halves(layer)
        name = {"SimpleRNN": "RNN"}.get(half.class_name, half.class_name)
        self.packs = packs
        self.rnn = getattr(nn, name)(D, H, 2, batch_first=True, bidirectional=bool(others))
        self.head = nn.Linear(H * (1 + len(others)), 2, bias=False)
        with torch.no_grad():
            for index, call in enumerate(recording.calls):
                weights = {tensor.name: tensor.data for tensor in call.problem.weights}
                for prefix, half in halves(call.problem.layer):
                    suffix = "_reverse" if prefix == "backward/" else ""
                    for key, array in packed(half, weights, prefix).items():
                        getattr(self.rnn, f"{key}_l{index}{suffix}").copy_(torch.tensor(array))
            W = np.random.default_rng(3).standard_normal((self.head.in_features, 2))
            self.head.weight.copy_(torch.tensor(W.T))

    def forward(self, x):
        if self.packs:
            lengths = torch.full((len(x),), x.shape[1])
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        y, _ = self.rnn(x)
        if self.packs:
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return torch.tanh(self.head(y[:, -1]))


def result_of(recording, port, names=None):
    return compare_port("port", recording, open_port(port, recording)[1], names)


def swap_gates(module, layer):
    """Swap the first two gates of a layer's weights."""
    with torch.no_grad():
        for name, parameter in module.rnn.named_parameters():
            if name.endswith((f"_l{layer}", f"_l{layer}_reverse")):
                i, f, *others = parameter.split(H)
                parameter.copy_(torch.cat([f, i, *others]))


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize(("class_name", "bidirectional"), OPTIONS)
def test_every_layer_of_a_healthy_module_agrees(class_name, bidirectional, packs):
    recording = recorded_stack(class_name, bidirectional)
    result = result_of(recording, Port(recording, packs))
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert [call.tensor for call in result.calls] == ["rnn.l0.output.0", "rnn.output.0"]
    assert result.status == 0


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize(("class_name", "bidirectional"), OPTIONS)
def test_layer_with_a_fault_is_named(class_name, bidirectional, layer):
    recording = recorded_stack(class_name, bidirectional)
    module = Port(recording)
    if class_name == "SimpleRNN":
        with torch.no_grad():
            getattr(module.rnn, f"bias_ih_l{layer}").zero_()
    else:
        swap_gates(module, layer)
    result = result_of(recording, module)
    expected = [AGREES, AGREES]
    expected[layer] = DIVERGES
    assert [call.result.verdict for call in result.calls] == expected
    cause = "bias-missing" if class_name == "SimpleRNN" else "gate-order"
    assert result.explanation.cause.names == (cause,)


def test_initial_states_reach_each_layer():
    module = nn.GRU(D, H, num_layers=2, bidirectional=True)
    x, states = torch.randn(T, B, D), torch.randn(4, B, H)
    with torch.no_grad():
        output = module(x, states)
        (first,) = inner_outputs(torch, module, (x,), {"hx": states}, output)
        assert torch.equal(first[1], output[1][:2])
        assert first[0].shape == (T, B, 2 * H)


def test_module_that_computes_otherwise_shows_no_layers():
    class Doubled(nn.LSTM):
        def forward(self, x):
            y, states = super().forward(x)
            return 2 * y, states

    module, x = Doubled(D, H, num_layers=2), torch.randn(T, B, D)
    with torch.no_grad():
        assert inner_outputs(torch, module, (x,), {}, module(x)) == []
        assert inner_outputs(torch, nn.Linear(D, H), (x,), {}, x) == []


def test_module_that_projects_its_states_is_refused():
    recording = recorded_stack("LSTM", False)
    module = Port(recording)
    module.rnn = nn.LSTM(D, 9, 2, batch_first=True, proj_size=H)
    with pytest.raises(
        RequestError, match="Port: rnn: proj_size: got 6, expected 0: Keras projects"
    ):
        result_of(recording, module)
