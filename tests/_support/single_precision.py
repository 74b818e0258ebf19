"""Gradients computed in float32: every operation of the reference is done in that type."""

import numpy as np

from rnnparity.reference.gradients.arithmetic import TapedArithmetic


class Float32Arithmetic(TapedArithmetic):
    """Every operation is done in float32."""

    def plain(self, values):
        return np.asarray(values, np.float32)
