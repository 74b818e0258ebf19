"""from_torch: the reference computes from the problem what the module computes."""

import doctest
from types import SimpleNamespace

import numpy as np
import pytest

from rnnparity import Verdict, run
from rnnparity.models import from_torch, torch_module
from rnnparity.problem.answer import Answer
from rnnparity.problem.errors import FormatError
from rnnparity.problem.problem import Tensor
from rnnparity.reference.tolerance import expect
from rnnparity.verdict.judge import judge

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
B, T, D, H = 3, 6, 4, 5
KINDS = [
    (torch.nn.RNN, {"nonlinearity": "tanh"}),
    (torch.nn.RNN, {"nonlinearity": "relu"}),
    (torch.nn.LSTM, {}),
    (torch.nn.GRU, {}),
]


def assert_equal_outputs(problem, y, ends, dtype="float32"):
    """Compare the module's own sequence (B, T, ...) and last states with the reference."""
    names = [slot.name for slot in problem.output_slots()]
    states = [state for side in zip(*ends, strict=True) for state in side][1 - len(names) :]
    arrays = [array.detach().float().numpy().astype(dtype) for array in (y, *states)]
    if dtype == "float64":
        arrays = [array.detach().numpy() for array in (y, *states)]
    tensors = [Tensor.of(name, array, dtype) for name, array in zip(names, arrays, strict=True)]
    result = judge(problem, Answer(tuple(tensors)), expect(problem))
    assert result.differences == ()
    assert result.verdict is Verdict.AGREES


def drawn(module, shape, seed):
    """Random inputs and states of a module: h_0, and c_0 of an LSTM."""
    generator = torch.Generator().manual_seed(seed)
    dtype = module.weight_ih_l0.dtype
    sizes = (module.num_layers * (1 + module.bidirectional), B, H)
    count = 2 if module.mode == "LSTM" else 1
    states = [torch.randn(sizes, generator=generator, dtype=dtype) for _ in range(count)]
    return torch.randn(shape, generator=generator, dtype=dtype), states


def called(module, inputs, states):
    y, ends = module(inputs, tuple(states) if len(states) > 1 else states[0])
    return y, ends if isinstance(ends, tuple) else (ends,)


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.nn.RNNCell, {"nonlinearity": "relu"}),
        (torch.nn.LSTMCell, {}),
        (torch.nn.GRUCell, {"bias": False}),
    ],
)
def test_cell_is_one_step_of_its_layer(kind, options, with_states, scripted):
    torch.manual_seed(1)
    cell = kind(D, H, **options)
    x = torch.randn(B, D)
    states = [torch.randn(B, H) for _ in range(1 + (kind is torch.nn.LSTMCell))]
    argument = tuple(states) if len(states) > 1 else states[0]
    ends = cell(x, argument) if with_states else cell(x)
    ends = ends if isinstance(ends, tuple) else (ends,)
    module = torch.jit.script(cell) if scripted else cell
    problem = from_torch(module, x, argument if with_states else None)
    assert_equal_outputs(problem, ends[0][:, None], [end[None] for end in ends])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_random_module_of_every_kind(kind, options, bidirectional, seed):
    torch.manual_seed(seed)
    batch_first = seed % 2 == 0
    module = kind(
        D,
        H,
        1 + seed % 3,
        batch_first=batch_first,
        bidirectional=bidirectional,
        bias=seed != 3,
        **options,
    )
    shape = (B, T, D) if batch_first else (T, B, D)
    inputs, states = drawn(module, shape, seed)
    y, ends = called(module, inputs, states)
    problem = from_torch(module, inputs, states if len(states) > 1 else states[0])
    assert_equal_outputs(problem, y if batch_first else y.transpose(0, 1), ends)


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_packed_sequence_has_a_mask(kind, options, enforce_sorted):
    # A Bidirectional has zeros at masked steps by itself.
    module = kind(D, H, 2, bidirectional=enforce_sorted, **options)
    inputs, states = drawn(module, (T, B, D), 1)
    lengths = [6, 4, 1] if enforce_sorted else [2, 6, 3]
    packing = torch.nn.utils.rnn
    packed = packing.pack_padded_sequence(inputs, lengths, enforce_sorted=enforce_sorted)
    y, ends = called(module, packed, states)
    y, _ = packing.pad_packed_sequence(y, batch_first=True)
    problem = from_torch(module, packed, states)
    assert problem.mask.sum(axis=1).tolist() == lengths
    assert_equal_outputs(problem, y, ends)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_module_of_another_type(dtype):
    module = torch.nn.LSTM(D, H, batch_first=True, dtype=getattr(torch, dtype))
    inputs, states = drawn(module, (B, T, D), 2)
    y, ends = called(module, inputs, states)
    problem = from_torch(module, inputs, states)
    assert problem.layer.dtype == dtype
    # Two ends would be inconclusive in bfloat16: the outputs are compared as they are.
    if dtype == "float64":
        assert_equal_outputs(problem, y, ends, dtype)
    else:
        expected = run(problem).outputs[0].data
        assert np.allclose(y.detach().float().numpy(), expected, atol=0.02)


def test_row_without_a_batch_axis():
    module = torch.nn.GRU(D, H, num_layers=2)
    inputs, states = torch.randn(T, D), torch.randn(2, H)
    y, ends = module(inputs, states)
    problem = from_torch(module, inputs, states)
    assert_equal_outputs(problem, y[None], (ends[:, None],))


def projecting():
    return torch.nn.LSTM(D, H, proj_size=2)


def dropping():
    return torch.nn.GRU(D, H, num_layers=2, dropout=0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (projecting, "module: proj_size: got 2, expected 0"),
        (dropping, "module: dropout: got 0.5 between layers in training; call module.eval()"),
        (
            lambda: torch.nn.LSTMCell(D, H),
            r"inputs: got shape \(6, 3, 4\), expected \(B, D\), one step of a cell",
        ),
        (lambda: "model.pt", "module: got str, expected"),
    ],
)
def test_module_that_keras_cannot_express_is_refused(make, message):
    with pytest.raises(FormatError, match=message):
        from_torch(make(), torch.ones(T, B, D))


def test_dropout_outside_training_is_no_obstacle():
    assert from_torch(dropping().eval(), torch.ones(T, B, D)).layer.return_sequences


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (torch.zeros(1, B, H), r"states: got 1, expected h_0, c_0"),
        (
            [torch.zeros(1, B, H), torch.zeros(1, H)],
            r"c_0: got shape \(1, 5\), expected \(1, 3, 5\)",
        ),
    ],
)
def test_states_of_a_wrong_number_or_shape_are_refused(states, message):
    with pytest.raises(FormatError, match=message):
        from_torch(torch.nn.LSTM(D, H), torch.ones(T, B, D), states)


def test_inputs_of_a_wrong_width_are_refused():
    with pytest.raises(
        FormatError, match=r"weights: kernel: got shape \(4, 20\), expected \(7, 20\)"
    ):
        from_torch(torch.nn.LSTM(D, H), torch.ones(T, B, 7))


def test_examples_of_the_docstrings_run():
    assert doctest.testmod(torch_module).failed == 0


@pytest.mark.parametrize(
    "cell",
    [
        SimpleNamespace(weight_ih=torch.ones(6, 3)),
        SimpleNamespace(
            weight_ih=torch.ones(6, 3), weight_hh=torch.ones(6, 3), bias_ih=None, bias_hh=None
        ),
        SimpleNamespace(
            weight_ih=torch.ones(3, 3), weight_hh=torch.ones(3, 3), bias_ih=None, bias_hh=None
        ),
    ],
    ids=["no recurrent weights", "two blocks", "no nonlinearity"],
)
def test_module_that_only_looks_like_a_cell_is_refused(cell):
    with pytest.raises(FormatError, match=r"module: got SimpleNamespace, expected nn.RNN"):
        from_torch(cell, torch.ones(2, 3))
