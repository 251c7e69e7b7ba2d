"""The same verdicts on the workers of a cluster, also where one of them is killed in mid-run."""

import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import replace

import dask
import pytest
from distributed import Client, LocalCluster

from conformance.area import EFFORTS
from conformance.cluster import START, Cluster, cluster, digest
from conformance.device import DeviceError
from conformance.runner import run
from spec.prove.run import Effort, matching, prove_many
from spec.prove.solvers import Budget

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning:distributed", "ignore::ResourceWarning"),
]
DEVICES = ("impl:handoff", "defect:tail_lost")
ONLY = "handoff.carve"


@contextmanager
def started(threads=1, daemon=False):
    """Two workers; those that come in place of dead ones are started in the same way."""
    with (
        dask.config.set({"distributed.worker.daemon": daemon}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=threads,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
        ) as made,
    ):
        yield made
        # One that is being started in place of a dead one cannot be closed yet.
        with Client(made) as client:
            client.wait_for_workers(2, timeout=60)


@pytest.fixture(scope="module")
def two_workers():
    with started() as made:
        yield made.scheduler_address


@pytest.fixture
def four_parts(monkeypatch):
    """A quick run is cut into parts as one of `ci` is."""
    effort = replace(EFFORTS["quick"], examples=130, batches=12, walks=130, parts=4)
    monkeypatch.setitem(EFFORTS, "quick", effort)


def executed(pool):
    """How many jobs each worker has done."""
    return pool._client.run(lambda dask_worker: dask_worker.state.executed_count)


def verdicts(results):
    return [(result.id, result.verdict) for result in results]


def devices(report):
    """All of a report but its times and where traces lie."""
    return [
        (
            one.device,
            one.verdict,
            one.rules,
            [(d.finding, d.steps, d.made_by, d.confirmed) for d in one.differences],
        )
        for one in report.devices
    ]


def test_proofs_are_the_same(two_workers):
    ids = matching(["handoff.size*"])
    effort = Effort(("z3",))
    here = prove_many(ids, effort, Budget(), 1)
    with cluster(two_workers) as pool:
        there = prove_many(ids, effort, Budget(), pool=pool)
    assert verdicts(there) == verdicts(here)
    assert {result.verdict for result in here} == {"PROVED"}


def test_batches_and_walks_of_one_device_are_spread_over_the_workers(
    two_workers, four_parts, tmp_path
):
    device, only = ["impl:fast"], "validation.bitmap.claim_*"
    here = run(device, "quick", only=only, jobs=1, traces=tmp_path / "here")
    with cluster(two_workers) as pool:
        before = executed(pool)
        there = run(device, "quick", only=only, traces=tmp_path / "there", pool=pool)
        done = {worker: count - before[worker] for worker, count in executed(pool).items()}
    assert sum(done.values()) == 4
    assert min(done.values()) >= 1
    assert devices(there) == devices(here)
    assert all(row.batches and row.walks for row in there.devices[0].rules)


def test_a_worker_killed_in_mid_run_changes_no_verdict(two_workers, four_parts, tmp_path):
    here = run(DEVICES, "quick", only=ONLY, jobs=1, traces=tmp_path / "here")
    with cluster(two_workers) as pool:
        pids = pool._client.run(os.getpid)
        killer = threading.Timer(1.0, os.kill, (next(iter(pids.values())), signal.SIGKILL))
        killer.start()
        there = run(DEVICES, "quick", only=ONLY, traces=tmp_path / "there", pool=pool)
        killer.join()
        deadline = time.monotonic() + 30
        while set(pool._client.run(os.getpid).values()) <= set(pids.values()):
            assert time.monotonic() < deadline, "no worker was killed"
            time.sleep(0.2)
    assert devices(there) == devices(here)
    kept = [difference.trace for one in there.devices for difference in one.differences]
    assert kept
    assert {path.name for path in (tmp_path / "there").iterdir()} == {
        path.name for path in (tmp_path / "here").iterdir()
    }


@pytest.mark.parametrize(("threads", "daemon"), [(2, False), (1, True)])
def test_workers_that_are_not_fit_are_told_how_to_start(threads, daemon):
    with (
        started(threads, daemon) as made,
        pytest.raises(DeviceError, match="must be started as") as told,
        cluster(made.scheduler_address),
    ):
        pass
    assert START in str(told.value)


def test_workers_with_other_code_are_not_asked(two_workers, monkeypatch):
    monkeypatch.setattr("conformance.cluster.digest", lambda: f"not {digest()[:4]}")
    with pytest.raises(DeviceError, match="other code than here"), cluster(two_workers):
        pass


def test_no_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr("conformance.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(DeviceError, match="start one: dask scheduler") as told:
        cluster("tcp://127.0.0.1:9").__enter__()
    assert "\n" not in str(told.value)


def test_what_is_still_asked_is_forgotten_when_it_is_shut_down(two_workers):
    with Client(two_workers, set_as_default=False) as client:
        pool = Cluster(client)
        asked = [pool.submit(time.sleep, 60) for _ in range(3)]
        pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(BrokenExecutor):
            asked[-1].result(timeout=30)


def test_a_job_that_takes_its_workers_with_it_is_told_as_such(two_workers):
    with cluster(two_workers) as pool, pytest.raises(BrokenExecutor):
        pool.submit(os._exit, 1).result(timeout=120)
