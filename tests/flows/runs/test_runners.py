"""Runners: whichever encodes, the rows are the same, and so are the reports of failures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import stages
from tests.extras import require
from tests.flows.conftest import TEXTS, write_records
from tests.processes import DEADLINE_SECONDS

TABLES = {"documents": "* EXCLUDE (ingested_at)", "sentences": "*", "words": "*", "tokens": "*", "transitions": "*"}
EVERYTHING = Outputs("tokens", None, True)
SHARDS = 6

in_prefect = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents a shard."""
    texts = [f"{text} {more}" for text in TEXTS.values() for more in TEXTS.values()] + list(TEXTS.values())
    return write_records(
        tmp_path_factory.mktemp("records") / "all.jsonl",
        [{"id": f"d{i:02d}", "text": text} for i, text in enumerate(texts)],
    )


@pytest.fixture(scope="module")
def small_shards(records: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", records.stat().st_size // (SHARDS + 2))
        yield


@pytest.fixture(scope="module")
def expected(
    records: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, small_shards: None, prefect_api: None
) -> dict[str, list[tuple[object, ...]]]:
    """The rows that one process makes."""
    lake = tmp_path_factory.mktemp("threads") / "lake"
    report = embed(records, lake, tiny_folder)
    assert report.shards > 3
    return rows(lake)


def embed(source: Path, lake: Path, model: Path, **runner: object):
    from polyseme.flows.embed import EmbedRequest, embed_corpus
    from polyseme.flows.runs.runners import Runner

    config = EngineConfig(model=str(model), device="cpu")
    request = EmbedRequest(
        sources=[str(source)], lake=str(lake), engine=config, outputs=EVERYTHING, runner=Runner(**runner)
    )  # type: ignore[arg-type]
    return embed_corpus(request)


def rows(lake: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, vectors bit for bit."""
    with duckdb.connect(str(lake / "catalog.duckdb"), read_only=True) as con:
        return {
            table: con.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()
            for table, columns in TABLES.items()
        }


@in_prefect
@pytest.mark.prefect
@pytest.mark.cluster
def test_four_dask_workers_give_the_rows_of_one_process(
    records: Path, lake: Path, tiny_folder: Path, expected: dict[str, list[tuple[object, ...]]]
) -> None:
    require("prefect_dask", "dask")
    report = embed(records, lake, tiny_folder, kind="dask", workers=4)
    assert report.state == "completed"
    assert report.counts.documents == len(expected["documents"])
    assert rows(lake) == expected


@in_prefect
@pytest.mark.prefect
@pytest.mark.cluster
def test_ray_workers_give_the_rows_of_one_process(
    records: Path, lake: Path, tiny_folder: Path, expected: dict[str, list[tuple[object, ...]]]
) -> None:
    require("prefect_ray", "ray")
    assert embed(records, lake, tiny_folder, kind="ray", workers=2).state == "completed"
    assert rows(lake) == expected


@in_prefect
@pytest.mark.prefect
@pytest.mark.cluster
def test_a_shard_that_fails_on_a_standing_cluster_is_reported_and_the_next_run_does_the_rest(
    records: Path,
    lake: Path,
    tiny_folder: Path,
    expected: dict[str, list[tuple[object, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require("prefect_dask", "dask")
    from distributed import Scheduler, SpecCluster, Worker, get_worker

    write, encode = stages.write_part, stages.encode_shard
    encoded_on = set()

    def refuse(where, rows, **about):
        if "doc_id" in rows.column_names and "d03" in rows["doc_id"].to_pylist():
            raise PolysemeError("no room left on the disk")
        return write(where, rows, **about)

    def note(*args, **options):
        encoded_on.add(get_worker().name)
        return encode(*args, **options)

    monkeypatch.setattr(stages, "encode_shard", note)
    # Its workers are threads of this process, so that what breaks here breaks there. One is for other work.
    workers = {
        "one for encoding": {"cls": Worker, "options": {"nthreads": 1, "resources": {"encoder": 1}}},
        "another": {"cls": Worker, "options": {"nthreads": 1}},
    }
    scheduler = {"cls": Scheduler, "options": {"port": 0, "dashboard": False, "host": "127.0.0.1"}}
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster:
        there = {"kind": "dask", "address": cluster.scheduler_address}
        with monkeypatch.context() as broken:
            broken.setattr(stages, "write_part", refuse)
            with pytest.raises(PolysemeError, match=r"1 of \d+ shards failed.*no room left"):
                embed(records, lake, tiny_folder, **there)
        assert "d03" not in [row[0] for row in rows(lake)["documents"]]
        assert embed(records, lake, tiny_folder, **there).state == "completed"
    assert [row[0] for row in rows(lake)["documents"]] == [row[0] for row in expected["documents"]]
    assert encoded_on == {"one for encoding"}


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyseme.flows.runs.runners import Runner, started

    monkeypatch.setattr("polyseme.flows.runs.runners.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'polyseme\[ray\]'"), started(Runner(kind="ray"), gpu=False):
        pass


@pytest.mark.parametrize(
    ("address", "complaint"), [("tcp://10.0.0.7:8786", "PREFECT_API_URL=http://HOST"), ("tcp://[x:1", "not an address")]
)
def test_a_cluster_elsewhere_needs_a_server_that_its_workers_can_reach(
    monkeypatch: pytest.MonkeyPatch, address: str, complaint: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from polyseme.flows.runs.runners import Runner, started

    monkeypatch.setattr("polyseme.flows.runs.runners.find_spec", lambda name: object())
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(UsageError, match=complaint),
        started(Runner(kind="dask", address=address), gpu=False),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"address": "tcp://h:1"}, "Give --runner dask or ray too"),
        ({"workers": 2}, "Give --runner dask or ray too"),
        ({"kind": "dask", "address": "tcp://h:1", "workers": 2}, "has its own workers"),
        ({"kind": "ray", "workers": 0}, "at least 1, got 0"),
    ],
)
def test_contradictory_runners_are_refused(options: dict[str, object], complaint: str) -> None:
    from polyseme.flows.runs.runners import Runner

    with pytest.raises(UsageError, match=complaint):
        Runner(**options)  # type: ignore[arg-type]


@pytest.mark.cluster
def test_each_worker_of_a_local_cluster_has_a_gpu_of_its_own() -> None:
    """Names of GPUs are only names here: what matters is which one a worker's process is shown."""
    require("distributed", "dask")
    from distributed import Client, SpecCluster

    from polyseme.flows.runs.runners import SHARDS_FOR_A_GPU, gpu_cluster

    with SpecCluster(**gpu_cluster(None, ["GPU-a", "GPU-b"])) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=DEADLINE_SECONDS)
        shown = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(shown.values()) == ["GPU-a", "GPU-b"]
        assert set(client.nthreads().values()) == {SHARDS_FOR_A_GPU}


@pytest.mark.extra
def test_more_workers_than_gpus_share_them_in_turn() -> None:
    require("distributed", "dask")
    from polyseme.flows.runs.runners import gpu_cluster

    workers = gpu_cluster(3, ["GPU-a", "GPU-b"])["workers"].values()
    assert [worker["options"]["env"]["CUDA_VISIBLE_DEVICES"] for worker in workers] == ["GPU-a", "GPU-b", "GPU-a"]
