"""One step of each cell, forward and backward by hand.

Axis letters: B batch, D inputs, H units. A cell has W (D, G*H), U (H, G*H) and b (R, G*H); `forward` returns
the states after a step and what the backward pass needs, `backward` the gradients of x (B, D), of the
states before, and of W, U and b.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from rnnparity.problem.layers import Recurrent
from validation.backward.mistakes import Mistake
from validation.backward.ops import Arrays, Ops, T

Saved: TypeAlias = dict[str, T]


class Cell:
    """A cell of `layer` with a mistake in its backward pass."""

    def __init__(self, ops: Ops, layer: Recurrent, W: T, U: T, b: T, mistake: Mistake) -> None:
        self.ops, self.layer, self.mistake = ops, layer, mistake
        self.W, self.U, self.b = W, U, b

    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        raise NotImplementedError

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        raise NotImplementedError

    def d_act(self, y: T, where: str = "") -> T:
        """Return the slope of tanh from its result."""
        m = self.mistake
        if m.kind == "no slope" and m.array in ("act", where or "act"):
            return 0 * y + 1
        if m.kind == "slope of the result" and m.array == "act":
            return 1 - self.ops.tanh(y) ** 2
        return 1 - y * y

    def d_ract(self, y: T) -> T:
        """Return the slope of sigmoid from its result."""
        m = self.mistake
        if m.kind == "no slope" and m.array == "ract":
            return 0 * y + 1
        if m.kind == "slope of the result" and m.array == "ract":
            y = self.ops.sigmoid(y)
        return y * (1 - y)

    def weights(self, saved: Saved, dz: T) -> Arrays:
        """Return the gradients of W, U and b from that of x W + h U + b."""
        return [self.outer(saved["x"], dz), self.outer(saved["h"], dz), self.ops.sum_rows(dz)]

    def outer(self, x: T, dz: T) -> T:
        """Return x.T @ dz."""
        return self.ops.transpose(x) @ dz

    def through(self, gate: str, gradient: T) -> T:
        """Return what flows back through a gate."""
        stops = self.mistake.kind == "no gate" and self.mistake.array == gate
        return 0 * gradient if stops else gradient


class SimpleRNNCell(Cell):
    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        (h,) = states
        new = self.ops.tanh(x @ self.W + h @ self.U + self.b[0])
        return [new], {"x": x, "h": h, "new": new}

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        dz = d_states[0] * self.d_act(saved["new"])
        T = self.ops.transpose
        return dz @ T(self.W), [dz @ T(self.U)], self.weights(saved, dz)


class LSTMCell(Cell):
    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        h, c = states
        z_i, z_f, z_g, z_o = self.ops.split(x @ self.W + h @ self.U + self.b[0], 4)
        i, f, o = self.ops.sigmoid(z_i), self.ops.sigmoid(z_f), self.ops.sigmoid(z_o)
        g = self.ops.tanh(z_g)
        new_c = f * c + i * g
        y = self.ops.tanh(new_c)
        saved = {"x": x, "h": h, "c": c, "i": i, "f": f, "g": g, "o": o, "y": y}
        return [o * y, new_c], saved

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        dh, dc = d_states
        i, f, g, o, y = (saved[name] for name in "ifgoy")
        dc = dc + dh * o * self.d_act(y, "output")
        d_gates = [
            self.through("i", dc * g * self.d_ract(i)),
            self.through("f", dc * saved["c"] * self.d_ract(f)),
            dc * i * self.d_act(g, "candidate"),
            self.through("o", dh * y * self.d_ract(o)),
        ]
        dz, T = self.ops.join(d_gates), self.ops.transpose
        return dz @ T(self.W), [dz @ T(self.U), dc * f], self.weights(saved, dz)


class GRUCell(Cell):
    """Both forms: the reset gate acts on the projected state (`reset_after`) or on the state."""

    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        (h,) = states
        H = self.layer.units
        a = x @ self.W + self.b[0]
        if self.layer.reset_after:
            q = h @ self.U + self.b[1]
            z, r = self.ops.split(self.ops.sigmoid(a[:, : 2 * H] + q[:, : 2 * H]), 2)
            q_h = q[:, 2 * H :]
            g = self.ops.tanh(a[:, 2 * H :] + r * q_h)
        else:
            projected = h @ self.U[:, : 2 * H]
            z, r = self.ops.split(self.ops.sigmoid(a[:, : 2 * H] + projected), 2)
            q_h = r * h
            g = self.ops.tanh(a[:, 2 * H :] + q_h @ self.U[:, 2 * H :])
        return [z * h + (1 - z) * g], {"x": x, "h": h, "z": z, "r": r, "g": g, "q_h": q_h}

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        (dh,) = d_states
        x, h, z, r, g, q_h = (saved[name] for name in ("x", "h", "z", "r", "g", "q_h"))
        H, T, join = self.layer.units, self.ops.transpose, self.ops.join
        da_h = dh * (1 - z) * self.d_act(g)
        da_z = self.through("z", dh * (h - g) * self.d_ract(z))
        U_zr, U_h = self.U[:, : 2 * H], self.U[:, 2 * H :]
        if self.layer.reset_after:
            da_r = self.through("r", da_h * q_h * self.d_ract(r))
            da = join([da_z, da_r, da_h])
            dq = join([da_z, da_r, da_h * r])
            d_projected, dU = dq @ T(self.U), self.outer(h, dq)
            db = self.ops.stack([self.ops.sum_rows(da)[0], self.ops.sum_rows(dq)[0]], 0)
        else:
            d_rh = da_h @ T(U_h)
            da_r = self.through("r", d_rh * h * self.d_ract(r))
            da = join([da_z, da_r, da_h])
            d_projected = da[:, : 2 * H] @ T(U_zr) + d_rh * r
            dU = join([self.outer(h, da[:, : 2 * H]), self.outer(q_h, da_h)])
            db = self.ops.sum_rows(da)
        missing = self.mistake.array if self.mistake.kind == "no path" else ""
        kept = 0 * dh if missing == "z*h'" else dh * z
        before = kept if missing == "projection" else kept + d_projected
        return da @ T(self.W), [before], [self.outer(x, da), dU, db]


CELLS: dict[str, Any] = {"SimpleRNN": SimpleRNNCell, "LSTM": LSTMCell, "GRU": GRUCell}
