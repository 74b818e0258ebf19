"""The conventions of docs/gradients.md: what frameworks do where a gradient is not determined."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from _support.frameworks import keras  # noqa: F401 - a fixture

from rnnparity.session.outcome import ask_in_this_process
from rnnparity.session.session import open_session
from rnnparity.subjects import make_subject

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from gradient_conventions import COLUMNS, NAME, STORED, column, conventions  # noqa: E402

TABLE = json.loads(STORED.read_text("utf-8"))[NAME]


def stored(name):
    index = TABLE["header"].index(COLUMNS[name])
    return [row[index] for row in TABLE["rows"]]


def test_the_table_has_every_convention_and_column():
    assert [row[0] for row in TABLE["rows"]] == [row.question for row in conventions()]
    assert TABLE["header"] == ["gradient", *COLUMNS.values()]


@pytest.mark.parametrize("name", ["reference", "keras", "torch", "tf-keras"])
def test_the_column_is_what_the_framework_does(name):
    module = {"keras": "tensorflow", "tf-keras": "tf_keras", "torch": "torch"}.get(name, "numpy")
    pytest.importorskip(module)
    if name == "reference":
        with open_session(name) as session:
            assert column(session.ask) == stored(name)
        return
    subject = make_subject(name)
    assert column(lambda problem: ask_in_this_process(subject, problem)) == stored(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras:xla", "keras-jax", "keras-torch"])
def test_the_column_of_another_backend(name):
    packages = {"keras:xla": "tensorflow", "keras-jax": "jax", "keras-torch": "torch"}
    pytest.importorskip(packages[name])
    with open_session(name) as session:
        assert column(session.ask) == stored(name)


def test_tensorflow_has_no_gradient_through_kept_states(keras):  # noqa: F811 - the fixture
    import tensorflow as tf

    layer = keras.layers.GRU(2, stateful=True)
    first, second = tf.ones((1, 2, 3)), tf.ones((1, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        layer(first)
        output = layer(second)
    gradients = tape.gradient(output, [first, second])
    assert gradients[0] is None
    assert np.abs(gradients[1].numpy()).max() > 0


def test_selu_at_zero_has_another_slope_under_xla_than_tensorflow_documents():
    tf = pytest.importorskip("tensorflow")

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.selu(x)
        return tape.gradient(y, x)

    documented = " ".join(tf.nn.selu.__doc__.replace("`", "").split())
    assert "scale * alpha * (exp(features) - 1) if < 0, scale * features otherwise" in documented
    scale, alpha, zero = 1.0507009, 1.6732632, tf.zeros(1)
    assert slope(zero).numpy() == pytest.approx(scale)
    assert tf.function(slope)(zero).numpy() == pytest.approx(scale)
    assert tf.function(slope, jit_compile=True)(zero).numpy() == pytest.approx(scale * alpha)


def test_tensorflow_has_no_gradient_of_what_is_not_used(keras):  # noqa: F811
    import tensorflow as tf

    layer = keras.layers.Bidirectional(keras.layers.LSTM(2), merge_mode=None)
    with tf.GradientTape() as tape:
        forward, _ = layer(tf.ones((1, 3, 2)))
    gradients = tape.gradient(forward, layer.trainable_weights)
    assert [gradient is None for gradient in gradients] == [False] * 3 + [True] * 3


def test_torch_has_no_gradient_of_what_is_not_used():
    torch = pytest.importorskip("torch")
    cell = torch.nn.LSTMCell(2, 3)
    linear = torch.nn.Linear(3, 1)
    h, c = torch.zeros(1, 3), torch.zeros(1, 3, requires_grad=True)
    _, new_c = cell(torch.ones(1, 2), (h, c))
    unused = next(linear.parameters())
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(new_c.sum(), [c, unused], retain_graph=True)
    found = torch.autograd.grad(new_c.sum(), [c, unused], allow_unused=True)
    assert found[0] is not None
    assert found[1] is None


def test_jax_has_zeros_of_what_is_not_used():
    jax = pytest.importorskip("jax")
    gradients = jax.grad(lambda x, unused: (x * x).sum(), argnums=(0, 1))(3.0, 4.0)
    assert [float(gradient) for gradient in gradients] == [6.0, 0.0]


def test_keras_averages_the_loss_of_a_sequence_over_used_steps(keras):  # noqa: F811
    x = keras.Input((3, 2))
    mask = keras.Input((3,), dtype="bool")
    output = keras.layers.SimpleRNN(1, return_sequences=True)(x, mask=mask)
    model = keras.Model([x, mask], output)
    model.compile(loss="mean_squared_error")
    numbers = np.arange(6, dtype=np.float32).reshape(1, 3, 2) / 6
    used = np.array([[True, True, False]])
    values = model.predict([numbers, used], verbose=0)[:, :, 0]
    loss = model.evaluate([numbers, used], np.zeros((1, 3, 1)), verbose=0)
    assert loss == pytest.approx((values[used] ** 2).mean(), rel=1e-5)
    assert loss != pytest.approx((values**2).mean(), rel=1e-3)
