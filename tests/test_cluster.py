"""On a cluster the result is the same, whichever worker computes what and however often one of them dies."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import numpy as np
import pytest
from PIL import Image

from cs231n import cluster
from cs231n.bulk import Job, Plan
from cs231n.shards import MANIFEST, begin, open_maps
from cs231n.weights import write_hdf5
from tests import oracle

NUM_ENTRIES, SHARD_SIZE = 24, 3


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Return a job of 24 noise images with random weights."""
    folder = tmp_path_factory.mktemp("cluster")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(NUM_ENTRIES):
        image = Image.fromarray(rng.integers(0, 256, (60, 70, 3), dtype=np.uint8))
        image.save(folder / "images" / f"{i:02d}.png")
    weights = {name: array.astype(np.float32) for name, array in oracle.random_weights(seed=1).items()}
    write_hdf5(weights, folder / "weights.h5")
    return Job(
        source=str(folder / "images"),
        out=str(folder / "out"),
        labels="predicted",
        size=47,
        weights=str(folder / "weights.h5"),
        batch_size=2,
        shard_size=SHARD_SIZE,
    )


@pytest.fixture(scope="module")
def client():
    """Return a client of a cluster of one worker, a thread of this process."""
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.Client(
            processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as client,
    ):
        yield client


def files(folder):
    """Return the content of each visible file of a folder by its name."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != ".lock"}


def test_a_cluster_without_workers_is_waited_for_with_a_word():
    """A run that nobody computes says so, and what to start."""
    with (
        distributed.LocalCluster(processes=False, n_workers=0, dashboard_address=":0") as empty,
        pytest.warns(UserWarning, match=f"no workers yet; .*: dask worker {empty.scheduler_address}$"),
        cluster.connect(empty.scheduler_address),
    ):
        pass


def test_an_address_that_makes_no_sense_is_refused():
    """`local` needs a number of processes; any other address needs a scheduler."""
    for address in ("local", "local:0", "local:two"):
        with (
            pytest.raises(ValueError, match=rf"^--dask is '{address}'; expected local:N"),
            cluster.connect(address),
        ):
            pass
    for address in ("tcp://127.0.0.1:9", "localhost:9", "tls://127.0.0.1:9"):
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
            pytest.raises(ConnectionError, match=f"^No Dask scheduler answers at {address}; start"),
            cluster.connect(address),
        ):
            pass


@pytest.mark.slow
def test_a_worker_without_the_folder_or_with_other_weights_is_named(client, job, tmp_path):
    """What a machine lacks, or has otherwise, reaches the user as one sentence; nothing is written."""
    elsewhere = replace(job, out=str(tmp_path / "unseen"))
    manifest = Plan(job).manifest
    with pytest.raises(
        FileNotFoundError, match=r"^The worker on .* does not see .*unseen; give a folder that"
    ):
        cluster.write(client, elsewhere, manifest, [0])
    seen = replace(job, out=str(tmp_path))
    other = replace(manifest, weights="0" * 64)
    begin(tmp_path, other, resume=False)
    with pytest.raises(
        ValueError, match=r"^The worker on .* has something else: the weights' fingerprint is"
    ):
        cluster.write(client, seen, other, [0])
    assert set(files(tmp_path)) == {MANIFEST}


@pytest.mark.slow
def test_a_worker_that_lives_on_sees_a_source_that_has_changed(client, job, tmp_path):
    """On a cluster that stands for days: with one image more and the old maps removed it computes anew."""
    images = tmp_path / "images"
    shutil.copytree(job.source, images)
    job = replace(job, source=str(images), out=str(tmp_path / "out"))
    for num_entries in (NUM_ENTRIES, NUM_ENTRIES + 1):
        manifest = Plan(job).manifest
        assert manifest.num_entries == num_entries
        (tmp_path / "out").mkdir()
        begin(job.out, manifest, resume=False)
        cluster.write(client, job, manifest, [0])
        assert len(files(job.out)) == 2
        shutil.rmtree(job.out)
        shutil.copy(images / "00.png", images / "more.png")


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_shard_only(job, tmp_path):
    """Of two processes one is killed in mid-run; the maps are, to the last bit, those of a run without Dask.

    What was written before the kill stays as it was: the same files.
    """
    job = replace(job, out=str(tmp_path / "dask"))
    manifest = Plan(job).manifest
    (tmp_path / "dask").mkdir()
    shards = begin(job.out, manifest, resume=False)
    before = {}
    with cluster.connect("local:2") as client:
        pids = list(client.run(os.getpid).values())
        limits = client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit).values()
        assert set(limits) == {None}  # a limit pauses a worker that the network alone brings near it

        def kill_one(entries):
            if not before:
                before.update((path, path.stat().st_ino) for path in (tmp_path / "dask").glob("maps-*.h5"))
                os.kill(pids[0], signal.SIGKILL)

        cluster.write(client, job, manifest, shards, kill_one)
    assert 0 < len(before) < len(shards)
    assert all(path.stat().st_ino == inode for path, inode in before.items())
    assert len(open_maps(job.out)) == NUM_ENTRIES

    alone = replace(job, out=str(tmp_path / "alone"))
    code = "import sys; from cs231n.bulk import *; attribute(eval(sys.stdin.read()))"
    subprocess.run([sys.executable, "-c", code], input=repr(alone), text=True, check=True)
    assert files(job.out) == files(alone.out)


@pytest.mark.filterwarnings("ignore:The scheduler has no workers yet")
@pytest.mark.slow
def test_a_lost_scheduler_ends_the_run_and_nothing_else(job, tmp_path):
    """When the scheduler dies the client says so in one sentence, and can be started again with the rest."""
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"],
        stderr=subprocess.PIPE,
        text=True,
    )
    address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
    job = replace(job, out=str(tmp_path))
    manifest = Plan(job).manifest
    shards = begin(tmp_path, manifest, resume=False)
    lost = pytest.raises(
        ConnectionError, match=r"^The connection to Dask's scheduler is lost; start it again"
    )
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        cluster.connect(address) as client,
    ):
        # Nobody works there, so the run waits until the scheduler is gone.
        client.loop.call_later(0.1, scheduler.kill)
        with lost:
            cluster.write(client, job, manifest, shards)
    scheduler.wait()
