"""The array types that the rooms share. NumPy only: a type alias is not worth an import of torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
