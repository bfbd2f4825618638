"""An extraction of features in a process of its own, to be killed, starved and accompanied: `run` starts it."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from train.smarthome.dataset import Header, Window
from train.smarthome.records import write_prepared


def windows(count: int, length: int = 16, variates: int = 2) -> Iterable[Window]:
    """Random walks without captions, made one at a time."""
    for number in range(count):
        series = np.random.default_rng(number).standard_normal((variates, length)).cumsum(axis=1)
        yield Window(str(number), series.astype(np.float32), {"long": [], "short": []}, "", "", "", [], [])


def prepared(folder: Path, count: int, length: int = 16) -> Path:
    """A prepared folder of such windows."""
    header = Header(variates=["a", "b"], sequence_length=length, splits={}, labels=[], label_to_text={}, vocabulary={})
    write_prepared(folder, {"train": windows(count, length)}, header)
    return folder


def start(**options: Any) -> subprocess.Popen:
    """Starts the process; for the options see `main`."""
    command = [sys.executable, "-W", "error", __file__, json.dumps(options, default=str)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(**options: Any) -> dict[str, Any]:
    """Starts it, waits for its end, and returns what it found."""
    return finish(start(**options))


def finish(process: subprocess.Popen) -> dict[str, Any]:
    """What a process found, or {"killed": True}; its messages are under "stderr"."""
    out, err = process.communicate(timeout=300)
    if process.returncode == -signal.SIGKILL:
        return {"killed": True, "stderr": err}
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]) | {"killed": False, "stderr": err}  # gloo talks on stdout, too


def main(options: dict[str, Any]) -> dict[str, Any]:
    """Extracts `data` into `store`, then reads `batches` random batches.

    Args:
        options: data, store: Folders. encoder_batch_size. workers. kill_in_pass: The pass of the encoder in which this
            process dies. memory: Bytes of data that it may have beyond what it has before it starts. file_size: Bytes
            that a file may have. process, processes, port: Of a run of several. user: Under which it writes. mesh: Of
            all processes, for a tiny Chronos-2 as the encoder; without it the features are the windows themselves.
    """
    import jax

    if "processes" in options:
        jax.config.update("jax_num_cpu_devices", 4)
        jax.distributed.initialize(f"127.0.0.1:{options['port']}", options["processes"], options["process"])
    jax.device_get(jax.numpy.zeros(1) + 1)  # threads of JAX count as memory
    from chronos_jax.sharding import make_mesh
    from train.config import TrainConfig
    from train.encoder import FrozenEncoder, load_encoder
    from train.features import FeatureStore
    from train.smarthome.records import open_split

    def encode(series_BxVxT: np.ndarray) -> np.ndarray:
        if encoder.passes + 1 == options.get("kill_in_pass"):
            os.kill(os.getpid(), signal.SIGKILL)
        return series_BxVxT.reshape(len(series_BxVxT), -1)

    encoder = FrozenEncoder({"name": "the windows themselves"}, encode, options.get("encoder_batch_size", 4))
    if "mesh" in options:
        config = TrainConfig.model_validate({"chronos_model_name": "random:tiny", "encoder_batch_size": 16})
        encoder = load_encoder(config, make_mesh(options["mesh"]))
    split = open_split(Path(options["data"]), "train")
    if "memory" in options:
        used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (used + options["memory"],) * 2)
    if "file_size" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["file_size"],) * 2)
    if "user" in options:
        os.setuid(options["user"])
    try:
        features = FeatureStore(Path(options["store"]), options.get("workers", 0)).get(split, encoder)
    except OSError as error:
        return {"error": str(error), "passes": encoder.passes}
    rng = np.random.default_rng(0)
    total = sum(float(features[rng.integers(len(split), size=64)].sum()) for _ in range(options.get("batches", 0)))
    return {"passes": features.encoder_passes, "shape": features.shape, "folder": str(features.folder), "total": total}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
