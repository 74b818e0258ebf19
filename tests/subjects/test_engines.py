"""Engines outside of Keras: what they compute agrees, where they are installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from _support.random_problems import random_problem, spec_of

from rnnparity import check
from rnnparity.catalogue import catalogue
from rnnparity.problem.answer import Unsupported
from rnnparity.problem.keras_config import parse_layer
from rnnparity.problem.layers import halves
from rnnparity.problem.verdicts import Verdict
from rnnparity.reference import compute
from rnnparity.session.session import open_session
from rnnparity.subjects.engine_weights import check_plain, gru_weights

CASES = [
    *(f"{kind}-spread-sequences-state-initial" for kind in ("simple_rnn", "lstm", "gru")),
    *(f"bi_{kind}-spread-concat-last" for kind in ("simple_rnn", "lstm", "gru")),
    "bias-off-gru-forward-last",
    "edge-T1-gru-concat-last",
]
# What each must compute at least.
ENGINES = {
    "equinox": {"LSTM", "GRU"},
    "flax:linen": {"SimpleRNN", "LSTM", "GRU"},
    "flax:nnx": {"SimpleRNN", "LSTM", "GRU"},  # the GRU without biases
    "mlx": {"SimpleRNN", "LSTM", "GRU"},
    "ncnn": {"SimpleRNN", "LSTM", "GRU"},
    "litert:torch": {"SimpleRNN", "LSTM", "GRU"},
    "paddle": {"SimpleRNN", "LSTM", "GRU"},
    "paddle:cell": {"SimpleRNN", "LSTM", "GRU"},
    "tinygrad": {"LSTM"},
}


# The package of a subject whose name is not that of its package.
PACKAGES = {"litert:torch": "litert_torch"}


@pytest.mark.parametrize("subject", ENGINES)
def test_an_engine_agrees_with_what_it_computes(subject):
    package = PACKAGES.get(subject, subject.partition(":")[0])
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    with open_session(subject) as session:
        results = [
            session.judge(outcome)
            for outcome in session.ask_all([catalogue()[id_] for id_ in CASES])
        ]
        versions = session.versions
    verdicts = {result.id: result.verdict for result in results}
    assert set(verdicts.values()) <= {Verdict.AGREES, Verdict.UNSUPPORTED}
    agreeing = [catalogue()[id_] for id_, verdict in verdicts.items() if verdict is Verdict.AGREES]
    classes = {half.class_name for case in agreeing for _, half in halves(case.layer)}
    assert classes == ENGINES[subject]
    assert any(name.replace("-", "_").startswith(package) for name in versions)


def test_ncnn_reads_long_sequences_backwards():
    pytest.importorskip("ncnn", reason="ncnn is not installed")
    problem = random_problem(spec_of("simple_rnn", 5, go_backwards=True), 0, (1, 14, 28))
    with open_session("ncnn") as session:
        assert session.judge(session.ask(problem)).verdict is Verdict.AGREES


@pytest.mark.parametrize("api", ["linen", "nnx"])
def test_the_state_of_an_empty_row_in_flax_is_a_known_difference(api):
    if find_spec("flax") is None:
        pytest.skip("flax is not installed")
    (result,) = check(f"flax:{api}", k="simple_rnn-spread-state-mask_right_empty").subjects
    known = {case.id: case.known for case in result.cases}
    name = "flax-state-of-an-empty-row-is-that-of-its-padding"
    assert known["simple_rnn-spread-state-mask_right_empty"] == (name,)


def test_a_gru_with_one_recurrent_bias_is_that_with_two():
    """The recurrent bias of the gates is added to that of the inputs."""
    problem = random_problem(spec_of("gru", 5, dtype="float64"), 3)
    layer = problem.layer
    weights = {tensor.name: tensor.data.astype(np.float64) for tensor in problem.weights}
    gru = gru_weights(layer, weights)
    h = np.zeros((len(problem.inputs.data), 5))
    for x in problem.inputs.data.swapaxes(0, 1):
        a, b = x @ gru.W.T + gru.b, h @ gru.U.T
        r, z = (1 / (1 + np.exp(-(a + b)[:, k : k + 5])) for k in (0, 5))
        n = np.tanh(a[:, 10:] + r * (b[:, 10:] + gru.b_n))
        h = z * h + (1 - z) * n
    np.testing.assert_allclose(h, compute(problem)[0].data, rtol=1e-12)


@pytest.mark.parametrize(
    ("config", "mask", "reason"),
    [
        ({"class_name": "SimpleRNN"}, None, "no SimpleRNN"),
        ({"dtype": "float16"}, None, "no float16"),
        ({"activation": "relu"}, None, "only tanh, and sigmoid for the gates"),
        ({"recurrent_activation": "tanh"}, None, "only tanh, and sigmoid for the gates"),
        ({"class_name": "GRU", "reset_after": False}, None, "no GRU with reset_after=False"),
        ({}, np.ones((1, 2), bool), "no masks"),
    ],
)
def test_what_a_plain_cell_does_not_compute_is_refused(config, mask, reason):
    config = {"units": 2, **config}
    layer = parse_layer({"class_name": config.pop("class_name", "LSTM"), "config": config})
    with pytest.raises(Unsupported, match=reason):
        check_plain(layer, mask, ("LSTM", "GRU"), ("float32",))
