"""Random models of Keras: `PYTHONPATH=tests python -m validation.healthy_models BACKEND --seeds A..B`.

Nothing is wrong with them: a call that differs is a false alarm, or a difference of the backend. A call
that is not compared counts too.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnparity import from_model
from rnnparity.problem.verdicts import Verdict

CELLS = ("SimpleRNN", "LSTM", "GRU")
MERGE_MODES = ("concat", "sum", "mul", "ave")


@dataclass(frozen=True)
class Failure:
    """A call that differs or is not compared."""

    seed: int
    call: str
    class_name: str
    verdict: Verdict
    reason: str


def random_layer(layers: Any, rng: np.random.Generator, is_last: bool) -> Any:
    """Return a recurrent layer, one in three Bidirectional; only the last may return no sequence."""
    cell = rng.choice(CELLS)
    options: dict[str, object] = {
        "units": int(rng.integers(1, 9)),
        "return_sequences": not is_last or bool(rng.integers(2)),
        "use_bias": bool(rng.integers(4)),
    }
    if cell == "GRU":
        options["reset_after"] = bool(rng.integers(3))
    if rng.integers(3) == 0:
        merge_mode = str(rng.choice(MERGE_MODES))
        return layers.Bidirectional(getattr(layers, cell)(**options), merge_mode=merge_mode)
    return getattr(layers, cell)(**options, go_backwards=bool(rng.integers(4) == 0))


def first_layers(keras: Any, rng: np.random.Generator) -> list[Any]:
    """Return what comes before the recurrent layers: words, with a mask or without, or numbers."""
    layers = keras.layers
    features = int(rng.integers(2, 7))
    match rng.integers(3):
        case 0:
            words = layers.Embedding(20, features, mask_zero=bool(rng.integers(2)))
            return [keras.Input((None,), dtype="int32"), words]
        case 1:
            return [keras.Input((None, features)), layers.Masking()]
        case _:
            return [keras.Input((None, features)), layers.Dense(4)]


def random_model(keras: Any, seed: int) -> Any:
    """Return a Sequential of one to three recurrent layers with others around them."""
    rng, layers = np.random.default_rng(seed), keras.layers
    keras.utils.set_random_seed(seed)
    parts = first_layers(keras, rng)
    depth = int(rng.integers(1, 4))
    for index in range(depth):
        is_last = index == depth - 1
        parts.append(random_layer(layers, rng, is_last))
        if not is_last and rng.integers(2):
            parts.append(layers.Dropout(0.3))
        if not is_last and rng.integers(3) == 0:
            parts.append(layers.TimeDistributed(layers.Dense(3)))
    model = keras.Sequential([*parts, layers.Dense(2)])
    model.set_weights(
        [weight + 0.3 * rng.standard_normal(weight.shape) for weight in model.get_weights()]
    )
    return model


def results(keras: Any, seeds: Iterable[int]) -> Iterator[tuple[Verdict, Failure | None]]:
    """Yield the verdict on each call of the models with these seeds, and what failed."""
    for seed in seeds:
        for call in from_model(random_model(keras, seed)).calls:
            verdict = call.result.verdict
            failure = Failure(seed, call.call.id, call.call.class_name, verdict, call.result.reason)
            healthy = verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE)
            yield verdict, None if healthy else failure


def main() -> None:
    """Run the models with a range of seeds on one backend, and print what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=("tensorflow", "jax", "torch", "numpy", "openvino"))
    parser.add_argument("--seeds", metavar="A..B", default="0..40")
    words = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": words.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    warnings.simplefilter("ignore")
    import keras

    first, last = map(int, words.seeds.split(".."))
    found = list(results(keras, range(first, last)))
    verdicts = Counter(str(verdict) for verdict, _ in found)
    print(f"{words.backend}: {last - first} models, {dict(verdicts)}")
    for _, failure in found:
        if failure is not None:
            print(failure)


if __name__ == "__main__":
    main()
