"""What a user's script does: import, load, forecast one series. Notes when that was done.

python -m benchmarks.side_by_side.first_forecast SIDE FOLDER DEVICE DTYPE ANSWER
"""

import sys
import time
import warnings
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.side_by_side.inputs import walks
from benchmarks.side_by_side.loading import Setting, SideName, load


def main() -> None:
    """Saves the forecast and, beside it as text, the time by `time.monotonic`."""
    side, file = cast(SideName, sys.argv[1]), sys.argv[5]
    warnings.simplefilter("ignore")
    if side == "chronos_jax":
        from chronos_jax import keep_what_is_compiled

        keep_what_is_compiled()
    pipeline = load(side, Setting.of(sys.argv[2:5]))
    forecast = np.asarray(pipeline.predict(walks(1, 1, 512), prediction_length=64)[0])
    done = time.monotonic()
    np.save(file, forecast)
    Path(file).with_suffix(".txt").write_text(str(done))


if __name__ == "__main__":
    main()
