"""What distinguishes the recurrent cells: the one table that drives every list of class names.

Adding a cell that has a kernel, a recurrent kernel and a bias, as an LSTM has them, takes one
`CellSpec` here and its equations in `reference`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class CellSpec:
    """One of Keras' recurrent layers.

    `gates` are the letters of the blocks along the last axis of `kernel`, in Keras' order (the
    candidate included). `options` are the arguments that not every cell has. `variants` are the
    configurations that have equations or weights of their own, each with its short name.
    `candidate` is the gate that is activated by `activation`, not by `recurrent_activation`.
    `two_biases` names the option that adds a second row to the bias, `initial_ones` the gate whose
    bias starts at 1 (`unit_forget_bias`).
    """

    class_name: str
    states: tuple[str, ...]
    gates: str
    candidate: str
    variants: Mapping[str, Mapping[str, bool]]
    options: frozenset[str] = field(default_factory=frozenset)
    two_biases: str = ""
    initial_ones: str = ""

    @property
    def gated(self) -> bool:
        """Whether gates scale the states, so that there is a recurrent activation."""
        return "recurrent_activation" in self.options

    def bias_rows(self, option: bool) -> int:
        """The number of rows of the bias; `option` is the value of the option `two_biases`."""
        return 2 if self.two_biases and option else 1


_SPECS = (
    CellSpec(
        class_name="SimpleRNN",
        states=("h",),
        gates="h",
        candidate="h",
        variants={"simple_rnn": {}},
    ),
    CellSpec(
        class_name="LSTM",
        states=("h", "c"),
        gates="ifco",
        candidate="c",
        variants={"lstm": {}},
        options=frozenset({"recurrent_activation"}),
        initial_ones="f",
    ),
    CellSpec(
        class_name="GRU",
        states=("h",),
        gates="zrh",
        candidate="h",
        variants={"gru": {}, "gru_before": {"reset_after": False}},
        options=frozenset({"recurrent_activation", "reset_after"}),
        two_biases="reset_after",
    ),
)
CELLS: Mapping[str, CellSpec] = MappingProxyType({spec.class_name: spec for spec in _SPECS})
