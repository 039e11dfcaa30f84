"""For all tests: the embedded model, small random checkpoints of other shapes, and servers to keep lakes on."""

from __future__ import annotations

import json
import os
import shutil
import string
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import embedded_folder
from tests import servers
from tests.buckets import Bucket, new_bucket
from tests.extras import require

# Read when torch is first imported, here and in children. OpenMP threads that wait would burn a core each: a fifth of
# the CPU time of a training run on two busy cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A time limit an example is a test of the machine.
settings.register_profile("polyseme", deadline=None)
# What .ci/run takes: the same examples each time, so that a change is refused for nothing but the change.
settings.register_profile("repeatable", settings.get_profile("polyseme"), derandomize=True, database=None)
settings.load_profile("polyseme")

pytest_plugins = ["tests.session"]

MakeCheckpoint = Callable[..., Path]

SHAPE = {
    "vocab_size": 30522, "hidden_size": 48, "num_hidden_layers": 5, "num_attention_heads": 4,
    "intermediate_size": 96, "max_position_embeddings": 64,
}  # fmt: skip
FOREIGN = {
    "vocab_size": 300, "hidden_size": 30, "num_hidden_layers": 4, "num_attention_heads": 5,
    "intermediate_size": 70, "max_position_embeddings": 37, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5,
    "type_vocab_size": 3, "tie_word_embeddings": False,
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Keep the user's Prefect and Polyseme out, in children too: their settings, and a database of any version."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "POLYSEME_"))]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="polyseme-prefect-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["PREFECT_HOME"] = home


@pytest.fixture(scope="session")
def mini() -> Engine:
    """The embedded model."""
    return Engine(EngineConfig(device="cpu"))


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Save a random BERT of any shape; `head` is a transformers class. Asked for twice, it is made once.

    Every number is random, biases and norms too, so that none can be left out unnoticed. `cased` gives it a small
    cased tokenizer whose special tokens have other ids; else it has the embedded model's.
    """
    made: dict[str, Path] = {}

    def make(head: str = "BertForPreTraining", *, cased: bool = False, **shape: object) -> Path:
        key = json.dumps([head, cased, shape], sort_keys=True)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("checkpoint")
            save_random(made[key], head, SHAPE | shape)
            save_cased_tokenizer(made[key]) if cased else copy_tokenizer(made[key])
        return made[key]

    return make


def save_random(folder: Path, head: str, shape: dict[str, Any]) -> None:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, head)(transformers.BertConfig(**shape))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            weight.normal_(centre, 0.3, generator=generator)
    model.save_pretrained(folder)


def copy_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_folder() / name, folder / name)


def save_cased_tokenizer(folder: Path) -> None:
    """Letters, digits and a few words, case and accents kept; [CLS] and [SEP] are not 101 and 102."""
    letters = [*string.ascii_letters, *string.digits, *".,!?'-é東"]
    words = [
        "[PAD]",
        "[MASK]",
        "[SEP]",
        "[UNK]",
        "[CLS]",
        *letters,
        *(f"##{c}" for c in letters),
        "The",
        "bank",
        "##ing",
    ]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(words[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "mask", "sep", "unk", "cls")}
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": False, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="session")
def tiny_folder(make_checkpoint: MakeCheckpoint) -> Path:
    """48 numbers a vector, five layers, windows of 64 tokens, both heads."""
    return make_checkpoint()


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(tiny_folder), device="cpu"))


@pytest.fixture(scope="session")
def foreign_folder(make_checkpoint: MakeCheckpoint) -> Path:
    """Nothing as usual: odd width, windows of 37 tokens, another activation, an untied decoder, a cased tokenizer."""
    return make_checkpoint(cased=True, **FOREIGN)


@pytest.fixture(scope="session")
def foreign(foreign_folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(foreign_folder), device="cpu"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server for the whole session."""
    require("psycopg", "postgres")
    if servers.initdb() is None:
        pytest.skip("needs PostgreSQL's initdb: apt-get install postgresql")
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The address of a real MariaDB server for the whole session."""
    require("pymysql", "mysql")
    if servers.mariadbd() is None:
        pytest.skip("needs MariaDB's mariadbd: apt-get install mariadb-server")
    with servers.mariadb() as address:
        yield address


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """A catalog URL of one's own: an empty schema on the server."""
    schema = f"t{uuid4().hex}"
    servers.execute(postgres_server, f"CREATE SCHEMA {schema}")
    return f"{postgres_server}?options={quote(f'-csearch_path={schema}')}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of a real S3-compatible server for the whole session."""
    require("moto", "dev")
    with servers.s3() as endpoint:
        yield endpoint


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a place for a lake in a new bucket; credentials and endpoint are in the environment."""
    require("s3fs", "s3")
    import fsspec

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    bucket = f"b{uuid4().hex}"
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/some/lake"


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of one's own; credentials and endpoint are in the environment."""
    return new_bucket(s3_server, monkeypatch)
