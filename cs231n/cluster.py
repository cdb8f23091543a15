"""Attribution on a Dask cluster: each worker process loads the network once, and writes shards.

Between the processes go the job's description and the shards' numbers, no images and no maps: each machine
reads the source and writes to the output's folder itself, under the same paths.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

try:
    import dask
    import distributed
    from distributed.utils import silence_logging_cmgr
except ImportError as error:
    raise ValueError(
        'Dask is not installed; run `pip install -e ".[cluster]"` in the kit\'s folder, or leave --dask out.'
    ) from error

from cs231n import session
from cs231n.bulk import Computation, Job, Plan
from cs231n.shards import Manifest, check_shard, difference, read_manifest

_opening = threading.Lock()


@contextlib.contextmanager
def connect(address: str) -> Iterator[distributed.Client]:
    """Give a client of a Dask cluster in a `with` statement.

    Parameters
    ----------
    address : str
        A scheduler's address, like `tcp://10.0.0.1:8786`, or `local:N` for N processes of one thread each on
        this machine, which end with the statement.

    Raises
    ------
    ValueError
        If the address is neither.
    ConnectionError
        If no scheduler answers there.
    """
    local = re.fullmatch(r"local:([1-9]\d*)", address)
    if local is None and address.partition(":")[0] == "local":
        raise ValueError(f"--dask is {address!r}; expected local:N with a number of processes, like local:2.")
    with contextlib.ExitStack() as stack:
        try:
            if local is not None:
                address = stack.enter_context(_local_cluster(int(local[1]))).scheduler_address
            # What goes wrong is raised below, as a sentence; Dask would log the same with a stack trace.
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
            client = stack.enter_context(distributed.Client(address))
        except (OSError, ValueError, TypeError, TimeoutError) as error:  # TypeError: TLS without certificates
            raise ConnectionError(
                f"No Dask scheduler answers at {address}; start `dask scheduler`, or check the address, and "
                "for tls:// the certificates in Dask's configuration."
            ) from error
        if not client.scheduler_info()["workers"]:
            warnings.warn(
                f"The scheduler has no workers yet; the run begins with the first: dask worker {address}",
                stacklevel=2,
            )
        yield client


def write(
    client: distributed.Client,
    job: Job,
    manifest: Manifest,
    shards: Sequence[int],
    advance: Callable[[int], object] = lambda entries: None,
) -> None:
    """Have a cluster's workers write shards; the shard of a worker that dies is given to another one.

    Parameters
    ----------
    client : distributed.Client
    job : Job
        With absolute paths, which must be the same on all machines.
    manifest : Manifest
        What each worker must find in the output's folder, and must be about to compute itself.
    shards : sequence of int
    advance : function, optional
        Called after each shard with the number of its entries.

    Raises
    ------
    ValueError, OSError
        What a worker raised: a machine without the source or the output's folder, other weights, a full
        disk. No further shards are begun.
    ConnectionError
        If the scheduler is lost, or a shard ends each worker that it is given to.
    """
    futures = client.map(_write_shard, shards, job=job, manifest=manifest, pure=False)
    shard_of = dict(zip((future.key for future in futures), shards, strict=True))
    try:
        for future in distributed.as_completed(futures):
            future.result()
            future.release()  # else Dask has it done again when the worker dies later on
            advance(len(manifest.entries(shard_of[future.key])))
    except distributed.KilledWorker as error:
        raise ConnectionError(
            f"Several workers died of shard {shard_of[error.task]}, the last one at "
            f"{error.last_worker.address}; give each process 2 GB of memory, and run it again with --resume."
        ) from error
    except (CancelledError, distributed.comm.CommClosedError, TimeoutError) as error:
        raise ConnectionError(
            "The connection to Dask's scheduler is lost; start it again and run the same command with "
            "--resume: the shards that are written stay."
        ) from error
    finally:
        with contextlib.suppress(Exception):  # of what is finished, or of a scheduler that is gone
            client.cancel(futures)


def _local_cluster(num_workers: int) -> distributed.LocalCluster:
    """Return a cluster of processes of one thread each on this machine."""
    # Dask has malloc return memory to the system at once; a network asks for the same amount again each time.
    with dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}):
        return distributed.LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            memory_limit=None,  # near its share of the memory Dask would pause a worker, and for ever
            dashboard_address=":0",  # any port that is free
            silence_logs=logging.CRITICAL,  # what matters of workers' ends reaches the client
        )


def _write_shard(shard: int, job: Job, manifest: Manifest) -> None:
    """Write a shard, in a worker, unless another one that was taken for dead has written it."""
    with contextlib.suppress(OSError, ValueError):
        check_shard(job.out, manifest, shard)
        return
    with _opening:
        computation = _computation(job, manifest.digest, distributed.get_worker().state.nthreads)
    host = socket.gethostname()
    try:
        in_folder = read_manifest(job.out)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The worker on {host} does not see {job.out}; give a folder that all machines share."
        ) from error
    for own in (in_folder, computation.plan.manifest):
        differs = difference(manifest, own)
        if differs is not None:
            what, here, there = differs
            raise ValueError(
                f"The worker on {host} has something else: {what} is {there} there and {here} here; give all "
                "machines the same images, weights and kit."
            )
    with session.callers(1):  # the worker has a thread for each shard that it is given at once
        computation.write([shard])


@functools.lru_cache(maxsize=1)
def _computation(job: Job, digest: str, num_threads: int) -> Computation:
    """Return this worker process's computation: built for its first shard, the same one for all others.

    For another manifest, by its `digest`, it is built anew: source or weights may have changed in between.
    """
    return Computation(Plan(job), num_threads)
