"""Hub names, against a hub on the loopback interface that serves one repository with two revisions."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

COMMITS = {"main": "a" * 40, "v1": "b" * 40}
SCRIPT = """
import json, sys
from chronos_jax.checkpoints.errors import CheckpointError
from chronos_jax.checkpoints.loading import stored
from chronos_jax.checkpoints.sources import load_config, resolve
try:
    source = resolve(**json.loads(sys.argv[1]))
except CheckpointError as error:
    print(json.dumps({"error": str(error)}))
else:
    files = sorted(path.relative_to(source.folder).as_posix() for path in source.folder.rglob("*") if path.is_file())
    print(json.dumps({"config": load_config(source), "tensors": list(stored(source)), "files": files}))
"""


class Hub(ThreadingHTTPServer):
    """The parts of the hub's interface that a download needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files = {
            commit: {
                "config.json": json.dumps({"revision": name}).encode(),
                "model.safetensors": save({f"weight of {name}": np.zeros(3, np.float32)}),
                "pytorch_model.bin": b"pickle",
                "README.md": b"text",
            }
            for name, commit in COMMITS.items()
        }
        self.requests: list[str] = []


class Request(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        path, _, _ = self.path.partition("?")
        if path.startswith("/api/models/owner/model/revision/"):
            commit = COMMITS.get(path.rsplit("/", 1)[1])
            if commit is None:
                return self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": name} for name in self.server.files[commit]]
            return self.answer(200, json.dumps({"id": "owner/model", "sha": commit, "siblings": siblings}).encode())
        if path.startswith("/api/models/owner/model/tree/"):
            files = self.server.files[path.rsplit("/", 1)[1]]
            tree = [
                {"type": "file", "path": k, "size": len(v), "oid": f"{i:040}"} for i, (k, v) in enumerate(files.items())
            ]
            return self.answer(200, json.dumps(tree).encode())
        if path.startswith("/owner/model/resolve/"):
            commit, _, name = path.removeprefix("/owner/model/resolve/").partition("/")
            content = self.server.files[commit][name]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'  # under which the cache keeps it
            return self.answer(200, content, {"ETag": etag, "X-Repo-Commit": commit})
        return self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(hub: Hub | None, cache: Path, environment: dict[str, str] | None = None, **arguments: object) -> dict:
    """What `resolve` finds; in a process of its own, since the hub's address is read once, at import."""
    address = f"http://127.0.0.1:{hub.server_port}" if hub else "http://127.0.0.1:9"  # where nothing listens
    variables = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(cache / "home"), **(environment or {})}
    arguments = {"name_or_folder": "owner/model", "cache_dir": str(cache), **arguments}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not done.stderr, "no progress bar where stderr is no terminal"
    return json.loads(done.stdout)


def test_a_hub_name_is_downloaded_without_pickles_and_then_found_offline(hub: Hub, tmp_path: Path):
    found = ask(hub, tmp_path)
    assert found == {
        "config": {"revision": "main"},
        "tensors": ["weight of main"],
        "files": ["config.json", "model.safetensors"],
    }
    hub.requests.clear()
    assert ask(hub, tmp_path, local_files_only=True) == found
    assert ask(hub, tmp_path, {"HF_HUB_OFFLINE": "1"}) == found
    assert hub.requests == []
    assert ask(None, tmp_path) == found, "an unreachable hub does not matter either"


def test_a_revision_is_honoured(hub: Hub, tmp_path: Path):
    assert ask(hub, tmp_path, revision="v1")["tensors"] == ["weight of v1"]
    assert ask(hub, tmp_path, revision=COMMITS["main"])["tensors"] == ["weight of main"]
    assert ask(hub, tmp_path, revision="v2")["error"] == "the hub has 'owner/model' but not its revision 'v2'"


def test_a_repository_that_does_not_exist_is_named(hub: Hub, tmp_path: Path):
    message = ask(hub, tmp_path, name_or_folder="owner/misspelt")["error"]
    assert message.startswith("'owner/misspelt' is neither an existing folder nor a repository on the hub")


def test_offline_without_a_cached_copy_says_what_to_do(tmp_path: Path):
    for arguments in ({"local_files_only": True}, {"environment": {"HF_HUB_OFFLINE": "1"}}):
        message = ask(None, tmp_path, **arguments)["error"]
        assert "not completely in the local cache, and the hub may not be asked (offline mode)" in message
        assert "download it once with a connection" in message


def test_an_unreachable_hub_without_a_cached_copy_is_named(tmp_path: Path):
    message = ask(None, tmp_path, revision="v1")["error"]
    assert message.startswith("'owner/model' at revision 'v1' is no existing folder")
    assert "the hub cannot be reached" in message


def test_a_repository_with_pickles_only_is_refused(hub: Hub, tmp_path: Path):
    del hub.files[COMMITS["main"]]["model.safetensors"]
    assert "never downloaded or read: ask for the weights as safetensors" in ask(hub, tmp_path)["error"]


def test_of_a_text_encoder_only_one_form_of_the_weights_and_what_belongs_to_it_is_downloaded(hub: Hub, tmp_path: Path):
    tensors = save({"weight of main": np.zeros(3, np.float32)})
    needed = [
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json"),
        *("merges.txt", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
        "1_Pooling/config.json",
    ]
    others = [
        *("onnx/model.onnx", "onnx/model.safetensors", "onnx/tokenizer.json", "onnx/config.json", "tf_model.h5"),
        *("openvino/openvino_model.bin", "model.fp16.safetensors", "rust_model.ot", "training_args.bin"),
        *("preprocessor_config.json", "flax_model.msgpack", "data_config.json", "1_Pooling/pooling.bin"),
    ]
    hub.files[COMMITS["main"]] |= dict.fromkeys(needed, b"{}") | dict.fromkeys(others, tensors)
    found = ask(hub, tmp_path)
    assert found["files"] == sorted(["config.json", "model.safetensors", *needed])
    assert found["tensors"] == ["weight of main"]


def test_shards_are_downloaded_with_their_index(hub: Hub, tmp_path: Path):
    files = hub.files[COMMITS["main"]]
    shards = {f"model-0000{i}-of-00002.safetensors": f"weight {i}" for i in (1, 2)}
    files |= {shard: save({name: np.zeros(3, np.float32)}) for shard, name in shards.items()}
    weight_map = {name: shard for shard, name in shards.items()}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    del files["model.safetensors"]
    assert ask(hub, tmp_path)["tensors"] == ["weight 1", "weight 2"]


def test_an_adapter_is_downloaded(hub: Hub, tmp_path: Path):
    files = hub.files[COMMITS["main"]]
    adapter = {"base_model_name_or_path": "owner/model", "revision": "v1"}
    files |= {"adapter_config.json": json.dumps(adapter).encode(), "adapter_model.safetensors": save({})}
    found = ask(hub, tmp_path)
    assert found["config"] == {"revision": "v1"}, "of the base"
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(found["files"])
