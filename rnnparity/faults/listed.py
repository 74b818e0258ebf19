"""The list of faults."""

from __future__ import annotations

from rnnparity.faults.cells import CELL_FAULTS
from rnnparity.faults.direction import DIRECTION_FAULTS
from rnnparity.faults.dropout import DROPOUT_FAULTS
from rnnparity.faults.fault import Fault
from rnnparity.faults.masks import MASK_FAULTS
from rnnparity.faults.options import OPTION_FAULTS
from rnnparity.faults.precision import PRECISION_FAULTS
from rnnparity.faults.scale import SCALE_FAULTS
from rnnparity.faults.time import TIME_FAULTS
from rnnparity.faults.weights import WEIGHT_FAULTS
from rnnparity.faults.whole import WHOLE_FAULTS
from rnnparity.faults.zoneout import ZONEOUT_FAULTS

FAULTS: tuple[Fault, ...] = (
    *WEIGHT_FAULTS,
    *OPTION_FAULTS,
    *CELL_FAULTS,
    *ZONEOUT_FAULTS,
    *MASK_FAULTS,
    *DROPOUT_FAULTS,
    *DIRECTION_FAULTS,
    *TIME_FAULTS,
    *WHOLE_FAULTS,
    *SCALE_FAULTS,
    *PRECISION_FAULTS,
)

_BY_NAME = {(fault.cause, fault.variant): fault for fault in FAULTS}


def lookup(cause: str, variant: str) -> Fault:
    """Return the fault of the list.

    Raises:
        KeyError: the list has none with that cause and variant.
    """
    return _BY_NAME[cause, variant]
