"""Runners: where shards are encoded. In threads of this process, or by the workers of a Dask or Ray cluster.

Workers take and return references: a staged file, the lake, an engine's settings, names of parts. Knows clusters and
how to reach them, not what a shard is; the rows are the same whichever runner encodes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from polyseme.flows.runs import temporary_server
from polyseme.flows.runs.temporary_server import without_ctrl_c
from polyseme.flows.settings import prepare_ray
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import refuse_secrets

if TYPE_CHECKING:
    from prefect import Task
    from prefect.futures import PrefectFuture

Kind = Literal["threads", "dask", "ray"]

SHARDS_IN_FLIGHT = 3
"""In threads: one in the encoder's lane, one being tokenized, one being written."""
SHARDS_FOR_A_GPU = 6
"""A GPU reads faster than one thread tokenizes and one writes."""
ENCODER = "encoder"
"""The Dask resource of workers that encode; if no worker of a cluster declares it, all do."""
_NO_LIMIT = 0
"""PyTorch's memory is unknown to Dask, which would take it for a leak and end the worker."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The runner of a run. `address` is that of a standing cluster; without it a local one lasts as long as the run.

    `workers` is how many processes a local cluster has: by default one a core, or one a GPU.
    """

    kind: Kind = "threads"
    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        address = self.address or ""
        for read in (address, f"tcp://{address}"):  # Dask adds the scheme
            refuse_secrets(read)
        if self.kind == "threads" and (self.address or self.workers):
            raise UsageError(
                "--runner-address and --runner-workers belong to a cluster. Give --runner dask or ray too."
            )
        if self.address and self.workers:
            raise UsageError(
                "--runner-workers is for a local cluster; the one at --runner-address has its own workers."
            )
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--runner-workers must be at least 1, got {self.workers}.")

    def check(self) -> None:
        """Raise UsageError if the extra that this runner needs is not installed."""
        if self.kind != "threads" and find_spec(f"prefect_{self.kind}") is None:
            raise UsageError(
                f"--runner {self.kind} needs the package prefect-{self.kind}, which is not installed here. "
                f"Install it: pip install 'polyseme[{self.kind}]', on every machine of the cluster."
            )


@dataclass(frozen=True, slots=True)
class Workers:
    """A started runner: `submit(task, **parameters)` sends a task to it, `in_flight` shards keep it busy."""

    submit: Callable[..., PrefectFuture[Any]]
    in_flight: int


@contextmanager
def started(runner: Runner, *, gpu: bool) -> Iterator[Workers]:
    """Start a runner, or connect to its cluster, inside a flow; with `gpu` its workers encode on GPUs.

    Raises UsageError for a missing extra, PolysemeError for a cluster that does not answer.
    """
    runner.check()
    if runner.kind == "threads":
        yield Workers(_in_threads, SHARDS_FOR_A_GPU if gpu else SHARDS_IN_FLIGHT)
        return
    with ExitStack() as stack:
        stack.enter_context(_api_for_workers(runner))
        begin = _dask if runner.kind == "dask" else _ray
        try:
            with without_ctrl_c():  # for the processes of a local cluster: this one ends them
                workers = stack.enter_context(begin(runner, gpu))
        except (OSError, TimeoutError, ConnectionError, RuntimeError) as error:
            where = f"the cluster at {runner.address}" if runner.address else "a local cluster"
            raise PolysemeError(
                f"Cannot start on {where} with --runner {runner.kind}: {error}. Check that it runs and can be reached "
                "from here, or leave --runner out to encode in this process."
            ) from error
        yield workers


def _in_threads(task: Task[..., Any], **parameters: Any) -> PrefectFuture[Any]:
    future: PrefectFuture[Any] = task.submit(**parameters)
    return future


@contextmanager
def _dask(runner: Runner, gpu: bool) -> Iterator[Workers]:
    import dask
    from prefect_dask import DaskTaskRunner

    # One thread a worker, and one of PyTorch in it (Dask's own default): N workers on N cores.
    local = {
        "n_workers": runner.workers or _cores(),
        "threads_per_worker": 1,
        "dashboard_address": None,
        "memory_limit": _NO_LIMIT,
    }
    how: dict[str, Any] = {"cluster_kwargs": local}
    if runner.address:
        how = {"address": runner.address}
    elif gpu:
        how = {"cluster_class": "distributed.SpecCluster", "cluster_kwargs": gpu_cluster(runner.workers, _gpus())}
    with DaskTaskRunner(**how) as tasks:
        tasks.client.wait_for_workers(1, timeout=60)
        found = tasks.client.scheduler_info(n_workers=-1)["workers"].values()
        chosen = [worker for worker in found if ENCODER in worker["resources"]]
        threads = sum(worker["nthreads"] for worker in chosen or found)

        def submit(task: Task[..., Any], **parameters: Any) -> PrefectFuture[Any]:
            with dask.annotate(**({"resources": {ENCODER: 1}} if chosen else {})):
                future: PrefectFuture[Any] = tasks.submit(task, parameters)
            return future

        yield Workers(submit, threads + max(2, threads // 2))


def gpu_cluster(workers: int | None, gpus: Sequence[str]) -> dict[str, Any]:
    """Return a local Dask cluster, as `SpecCluster` takes it, whose workers see one of `gpus` each.

    A worker has several threads, so that the next shard is tokenized while the GPU is busy.
    """
    from distributed import Nanny, Scheduler

    options = {"nthreads": SHARDS_FOR_A_GPU, "memory_limit": _NO_LIMIT, "dashboard": False, "host": _LOOPBACK[0]}
    names = [gpus[number % len(gpus)] for number in range(workers or len(gpus))]
    return {
        "scheduler": {"cls": Scheduler, "options": {"dashboard": False, "host": _LOOPBACK[0], "port": 0}},
        "workers": {
            number: {"cls": Nanny, "options": {**options, "env": {"CUDA_VISIBLE_DEVICES": name}}}
            for number, name in enumerate(names)
        },
    }


def _gpus() -> list[str]:
    """Return the GPUs that this process sees, by names that are the same in processes that see others."""
    import torch

    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [f"GPU-{properties.uuid}" for properties in found]


@contextmanager
def _ray(runner: Runner, gpu: bool) -> Iterator[Workers]:
    prepare_ray()
    import ray
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options

    local = {
        "num_cpus": runner.workers or _cores(),
        "include_dashboard": False,
        "log_to_driver": False,
        "object_store_memory": 100 << 20,  # references are small
    }
    # A worker of a GPU would end after every task, and its model with it, but for max_calls.
    options = {"num_cpus": 1, "max_calls": 0, **({"num_gpus": 1} if gpu else {})}
    with RayTaskRunner(address=runner.address, init_kwargs={} if runner.address else local) as tasks:
        slots = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1))

        def submit(task: Task[..., Any], **parameters: Any) -> PrefectFuture[Any]:
            with remote_options(**options):
                future: PrefectFuture[Any] = tasks.submit(task, parameters)
            return future

        yield Workers(submit, slots + max(2, slots // 2))


@contextmanager
def _api_for_workers(runner: Runner) -> Iterator[None]:
    """Set the address of this run's Prefect server for its workers, also if that is a temporary one."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value() and not temporary_server.is_running():
        yield
        return
    try:
        host = urlsplit(runner.address or "").hostname or "127.0.0.1"
    except ValueError as error:
        raise UsageError(f"--runner-address {runner.address!r} is not an address ({error}).") from error
    if host not in _LOOPBACK and runner.address != "auto":
        raise UsageError(
            f"The workers at {runner.address} cannot reach the temporary Prefect server of this run. Start one that "
            "they can reach and name it: PREFECT_API_URL=http://HOST:4200/api"
        )
    with temporary_settings(updates={PREFECT_API_URL: str(get_client(sync_client=True).api_url)}):
        yield


def _cores() -> int:
    from polyseme.tasks.model.batch_pool import cores

    return cores()
