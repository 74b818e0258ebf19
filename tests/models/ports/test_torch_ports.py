"""PyTorch modules by forward hooks, and state dicts by their weights."""

from dataclasses import replace

import numpy as np
import pytest
from _support.ported_models import call_of, outputs_of, recorded_model, run_model
from _support.random_problems import random_problem

from rnnparity.models.calls import Recording
from rnnparity.models.port_comparison import compare_port
from rnnparity.models.ports.naming import check_port
from rnnparity.models.ports.opening import open_port
from rnnparity.models.ports.state_dict import read_state_dict
from rnnparity.problem.errors import RequestError
from rnnparity.problem.layers import halves
from rnnparity.problem.tensor import Tensor
from rnnparity.problem.verdicts import Verdict
from rnnparity.report.text.port import port_headline
from rnnparity.subjects.torch_layers import packed

torch = pytest.importorskip("torch")
nn = torch.nn
AGREES, DIVERGES = Verdict.AGREES, Verdict.DIVERGES


class Port(nn.Module):
    """The model of `ported_models`, batch first."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(4, 6, batch_first=True)
        self.hidden = nn.Linear(6, 5, bias=False)
        self.second = nn.GRU(5, 3, batch_first=True, bidirectional=True)
        self.head = nn.Linear(6, 2, bias=False)

    def forward(self, x):
        x = torch.tanh(self.hidden(self.first(x)[0]))
        _, last = self.second(x)
        return torch.tanh(self.head(torch.cat([last[0], last[1]], -1)))


def ported():
    """The port with the model's weights."""
    first, _, second, *_ = run_model()
    module = Port()
    with torch.no_grad():
        for inner, problem in ((module.first, first), (module.second, second)):
            weights = {tensor.name: tensor.data for tensor in problem.weights}
            for (prefix, half), suffix in zip(
                halves(problem.layer), ("", "_reverse"), strict=False
            ):
                for name, array in packed(half, weights, prefix).items():
                    getattr(inner, f"{name}_l0{suffix}").copy_(torch.tensor(array))
        for inner, shape, seed in ((module.hidden, (6, 5), 2), (module.head, (6, 2), 3)):
            W = np.random.default_rng(seed).standard_normal(shape)
            inner.weight.copy_(torch.tensor(W.T))
    return module


def use_one_bias_twice(module):
    with torch.no_grad():
        module.second.bias_hh_l0.copy_(module.second.bias_ih_l0)


def result_of(port):
    return compare_port("port", recorded_model(), open_port(port, recorded_model())[1])


def test_layers_of_a_module_are_found_by_hooks():
    module = ported().train()
    result = result_of(module)
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert [output.differs for output in result.outputs] == [False]
    assert module.training
    assert not module.first._forward_hooks


def test_fault_of_a_module_is_explained():
    module = ported()
    use_one_bias_twice(module)
    result = result_of(module)
    assert [call.result.verdict for call in result.calls] == [AGREES, DIVERGES]
    assert result.explanation.cause.names == ("bias-row-repeated",)


def test_weights_of_a_state_dict_are_compared_layer_by_layer():
    module = ported()
    result = result_of(module.state_dict())
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert result.outputs == ()
    assert result.weights["first/kernel"] == "first.weight_ih_l0"
    assert result.weights["encoder/second/backward/bias"] == (
        "second.bias_ih_l0_reverse and second.bias_hh_l0_reverse"
    )
    use_one_bias_twice(module)
    result = result_of(module.state_dict())
    assert [call.result.verdict for call in result.calls] == [AGREES, DIVERGES]
    assert result.explanation.cause.names == ("bias-row-repeated",)


def test_state_dict_of_other_shapes_is_refused():
    with pytest.raises(RequestError, match="none of its weights have the shapes of a layer"):
        result_of(nn.LSTM(9, 9).state_dict())


BIDIRECTIONAL = {
    "class_name": "Bidirectional",
    "config": {"layer": {"class_name": "LSTM", "config": {"units": 6, "return_sequences": True}}},
}


def chain():
    """What is recorded of a Bidirectional(LSTM) and of a GRU that gets its output."""
    first = random_problem(BIDIRECTIONAL, 1, (3, 7, 4))
    outputs = outputs_of(first)
    gru = random_problem({"class_name": "GRU", "config": {"units": 3}}, 2, (3, 7, 12))
    gru = replace(gru, id="gru", inputs=Tensor("inputs", outputs[0].data))
    calls = call_of(replace(first, id="bi"), outputs), call_of(gru, outputs_of(gru))
    return Recording(calls, (first.inputs,), ())


def chain_weights(*modules):
    """A state dict with the halves of the layers of `chain` under these names, each a module."""
    parts = [
        packed(half, {tensor.name: tensor.data for tensor in call.problem.weights}, prefix)
        for call in chain().calls
        for prefix, half in halves(call.problem.layer)
    ]
    return {
        f"{module}.{name}_l0": array
        for module, arrays in zip(modules, parts, strict=True)
        for name, array in arrays.items()
    }


def chain_result(weights, names=None):
    return compare_port("port", chain(), open_port(weights, chain(), names)[1], names)


def test_layer_without_weights_is_not_compared_and_the_keys_are_listed():
    result = chain_result(chain_weights("fwd", "bwd", "gru"))
    assert [call.result.verdict for call in result.calls] == [Verdict.UNSUPPORTED, AGREES]
    assert result.status == 2
    assert port_headline(result) == (
        "1 of 2 calls of recurrent layers agree, but the state dict has no weights for bi"
    )
    reason = result.calls[0].result.reason
    assert "keys without a layer: fwd.weight_ih_l0, fwd.weight_hh_l0" in reason
    assert reason.endswith("--map bi/forward=MODULE --map bi/backward=MODULE")
    renamed = {f"{key}x": array for key, array in chain_weights("fwd", "bwd", "gru").items()}
    gru = {key: array for key, array in chain_weights("f", "b", "gru").items() if key[0] == "g"}
    assert "other keys: fwd.weight_ih_l0x" in chain_result(renamed | gru).calls[0].result.reason


def test_module_of_each_half_may_be_named():
    weights = chain_weights("fwd", "bwd", "gru")
    result = chain_result(weights, {"bi/forward": "fwd", "bi/backward": "bwd"})
    assert [call.result.verdict for call in result.calls] == [AGREES, AGREES]
    assert result.weights["bi/backward/kernel"] == "bwd.weight_ih_l0"
    result = chain_result(weights, {"bi/forward": "bwd", "bi/backward": "fwd"})
    assert [call.result.verdict for call in result.calls] == [DIVERGES, AGREES]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"bi/forward": "fwd"}, "--map bi/backward=MODULE is missing"),
        (
            {"bi": "gru"},
            r"--map bi/forward=gru: got weight_ih \(9, 12\).*expected weight_ih \(24, 4",
        ),
        ({"bi": "fwt"}, "no recurrent module of this name is left; did you mean fwd?"),
    ],
)
def test_module_that_does_not_fit_is_refused(names, message):
    with pytest.raises(RequestError, match=message):
        chain_result(chain_weights("fwd", "bwd", "gru"), names)


def test_wrong_weights_of_a_layer_directly_before_another_one_are_found():
    weights = chain_weights("fwd", "bwd", "gru")
    weights["fwd.weight_hh_l0"] = weights["fwd.weight_hh_l0"] * 1.01
    result = chain_result(weights, {"bi/forward": "fwd", "bi/backward": "bwd"})
    assert [call.result.verdict for call in result.calls] == [DIVERGES, AGREES]


def test_state_dict_is_read_from_a_file_without_pickles(tmp_path):
    module, path = ported(), tmp_path / "port.pt"
    torch.save({"state_dict": module.state_dict()}, path)
    check_port(str(path))
    assert set(read_state_dict(str(path))) == set(module.state_dict())
    torch.save(module, path)
    with pytest.raises(RequestError, match=r"weights_only=True: .*; save module.state_dict\(\)"):
        read_state_dict(str(path))
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(RequestError, match=r"no weights of nn.RNN, nn.LSTM or nn.GRU"):
        read_state_dict(str(path))
