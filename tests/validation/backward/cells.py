"""One step of each cell in PyTorch, forward and backward by hand.

Axis letters: B batch, D inputs, H units. A cell has W (D, G*H), U (H, G*H) and b (R, G*H); `forward` returns
the states after a step and what the backward pass needs, `backward` the gradients of x (B, D), of the
states before, and of W, U and b.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch

from rnnparity.problem.layers import Recurrent
from validation.backward.mistakes import Mistake

T: TypeAlias = torch.Tensor
Arrays: TypeAlias = list[T]
Saved: TypeAlias = dict[str, T]


class Cell:
    """A cell of `layer` with a mistake in its backward pass."""

    def __init__(self, layer: Recurrent, W: T, U: T, b: T, mistake: Mistake) -> None:
        self.layer, self.W, self.U, self.b, self.mistake = layer, W, U, b, mistake

    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        raise NotImplementedError

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        raise NotImplementedError

    def d_act(self, y: T, where: str = "") -> T:
        """Return the slope of tanh from its result."""
        m = self.mistake
        if m.kind == "no slope" and m.array in ("act", where or "act"):
            return torch.ones_like(y)
        if m.kind == "slope of the result" and m.array == "act":
            return 1 - torch.tanh(y) ** 2
        return 1 - y * y

    def d_ract(self, y: T) -> T:
        """Return the slope of sigmoid from its result."""
        m = self.mistake
        if m.kind == "no slope" and m.array == "ract":
            return torch.ones_like(y)
        if m.kind == "slope of the result" and m.array == "ract":
            y = torch.sigmoid(y)
        return y * (1 - y)

    def through(self, gate: str, gradient: T) -> T:
        """Return what flows back through a gate."""
        stops = self.mistake.kind == "no gate" and self.mistake.array == gate
        return torch.zeros_like(gradient) if stops else gradient


class SimpleRNNCell(Cell):
    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        (h,) = states
        new = torch.tanh(x @ self.W + h @ self.U + self.b[0])
        return [new], {"x": x, "h": h, "new": new}

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        dz = d_states[0] * self.d_act(saved["new"])
        d_weights = [saved["x"].T @ dz, saved["h"].T @ dz, dz.sum(0, keepdim=True)]
        return dz @ self.W.T, [dz @ self.U.T], d_weights


class LSTMCell(Cell):
    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        h, c = states
        z_i, z_f, z_g, z_o = (x @ self.W + h @ self.U + self.b[0]).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(z_i), torch.sigmoid(z_f), torch.sigmoid(z_o)
        g = torch.tanh(z_g)
        new_c = f * c + i * g
        y = torch.tanh(new_c)
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
        dz = torch.cat(d_gates, dim=-1)
        d_weights = [saved["x"].T @ dz, saved["h"].T @ dz, dz.sum(0, keepdim=True)]
        return dz @ self.W.T, [dz @ self.U.T, dc * f], d_weights


class GRUCell(Cell):
    """Both forms: the reset gate acts on the projected state (`reset_after`) or on the state."""

    def forward(self, x: T, states: Arrays) -> tuple[Arrays, Saved]:
        (h,) = states
        H = self.layer.units
        a = x @ self.W + self.b[0]
        if self.layer.reset_after:
            q = h @ self.U + self.b[1]
            z, r = torch.sigmoid(a[:, : 2 * H] + q[:, : 2 * H]).chunk(2, dim=-1)
            q_h = q[:, 2 * H :]
            g = torch.tanh(a[:, 2 * H :] + r * q_h)
        else:
            z, r = torch.sigmoid(a[:, : 2 * H] + h @ self.U[:, : 2 * H]).chunk(2, dim=-1)
            q_h = r * h
            g = torch.tanh(a[:, 2 * H :] + q_h @ self.U[:, 2 * H :])
        return [z * h + (1 - z) * g], {"x": x, "h": h, "z": z, "r": r, "g": g, "q_h": q_h}

    def backward(self, saved: Saved, d_states: Arrays) -> tuple[T, Arrays, Arrays]:
        (dh,) = d_states
        x, h, z, r, g, q_h = (saved[name] for name in ("x", "h", "z", "r", "g", "q_h"))
        H = self.layer.units
        da_h = dh * (1 - z) * self.d_act(g)
        da_z = self.through("z", dh * (h - g) * self.d_ract(z))
        U_zr, U_h = self.U[:, : 2 * H], self.U[:, 2 * H :]
        if self.layer.reset_after:
            da_r = self.through("r", da_h * q_h * self.d_ract(r))
            da = torch.cat([da_z, da_r, da_h], dim=-1)
            dq = torch.cat([da_z, da_r, da_h * r], dim=-1)
            d_projected, dU = dq @ self.U.T, h.T @ dq
            db = torch.stack([da.sum(0), dq.sum(0)])
        else:
            d_rh = da_h @ U_h.T
            da_r = self.through("r", d_rh * h * self.d_ract(r))
            da = torch.cat([da_z, da_r, da_h], dim=-1)
            d_projected = da[:, : 2 * H] @ U_zr.T + d_rh * r
            dU = torch.cat([h.T @ da[:, : 2 * H], q_h.T @ da_h], dim=-1)
            db = da.sum(0, keepdim=True)
        missing = self.mistake.array if self.mistake.kind == "no path" else ""
        kept = torch.zeros_like(dh) if missing == "z*h'" else dh * z
        before = kept if missing == "projection" else kept + d_projected
        return da @ self.W.T, [before], [x.T @ da, dU, db]


CELLS: dict[str, Any] = {"SimpleRNN": SimpleRNNCell, "LSTM": LSTMCell, "GRU": GRUCell}
