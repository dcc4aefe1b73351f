"""Ray: each actor a process, a local cluster of its smallest size around them."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import tempfile
import threading
import time
from typing import Any

# Before Ray is imported: it reads them then.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import ray

from tests.benchmarks.peers.answering import answer, bulk_works, require

SMALL = "otters"
CHUNK = 1_000
WIDTH = 1_000
MEBIBYTE = 1 << 20
PAUSE = 0.001
# An actor is a process of 80 MB here, and takes a second.
MOST_ACTORS = 4
# The least that Ray takes is 75 MiB.
OBJECT_STORE = 128 * MEBIBYTE


class Counter:
    """Adds up what it is sent."""

    def __init__(self) -> None:
        self.sum = 0

    def add_up(self, sensor: int, text: str) -> int:
        self.sum += sensor
        return self.sum

    def take(self, data: bytes) -> int:
        self.sum += len(data)
        return self.sum


def _started() -> Any:
    counter = ray.remote(num_cpus=0)(Counter).remote()
    require("first reply", ray.get(counter.add_up.remote(0, SMALL)), 0)
    return counter


def remote_tell(size: int) -> float:
    """Messages per second told to an actor; every thousandth is waited for."""
    counter = _started()
    begin = time.perf_counter()
    for start in range(0, size, CHUNK):
        for _ in range(min(CHUNK, size - start) - 1):
            counter.add_up.remote(1, SMALL)
        total = ray.get(counter.add_up.remote(1, SMALL))
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def remote_ask(size: int) -> float:
    """Calls per second of an actor, one after the other."""
    counter = _started()
    begin = time.perf_counter()
    for _ in range(size):
        total = ray.get(counter.add_up.remote(1, SMALL))
    seconds = time.perf_counter() - begin
    require("total", total, size)
    return size / seconds


def remote_ask_pipelined(size: int) -> float:
    """Calls per second of an actor, 1,000 under way, in batches."""
    counter = _started()
    width = min(WIDTH, size)
    begin = time.perf_counter()
    for _ in range(size // width):
        totals = ray.get([counter.add_up.remote(1, SMALL) for _ in range(width)])
    seconds = time.perf_counter() - begin
    require("total", totals[-1], width * (size // width))
    return totals[-1] / seconds


def remote_spawn(size: int) -> float:
    """Actors started per second, each ready."""
    count = min(size, MOST_ACTORS)
    begin = time.perf_counter()
    kept = [_started() for _ in range(count)]
    return len(kept) / (time.perf_counter() - begin)


def ship(size: int) -> tuple[float, list[float], list[float]]:
    """Blobs to one actor, small calls of another alone and beside them, from two threads of the driver."""
    small, bulk = _started(), _started()
    alone = [_probed(small) for _ in range(size)]
    beside: list[float] = []
    done = threading.Event()

    def probe() -> None:
        while not beside or not done.is_set():
            beside.append(_probed(small))

    prober = threading.Thread(target=probe)
    prober.start()
    data = bytes(MEBIBYTE)
    begin = time.perf_counter()
    for _ in range(size):
        total = ray.get(bulk.take.remote(data))
    seconds = time.perf_counter() - begin
    done.set()
    prober.join()
    require("bytes", total, size * MEBIBYTE)
    return total / 1e6 / seconds, alone, beside


def _probed(counter: Any) -> float:
    time.sleep(PAUSE)
    begin = time.perf_counter()
    ray.get(counter.add_up.remote(1, SMALL))
    return (time.perf_counter() - begin) * 1e3


def _main() -> None:
    works = (remote_tell, remote_ask, remote_ask_pipelined, remote_spawn)
    with tempfile.TemporaryDirectory(prefix="actorkit-ray-", ignore_cleanup_errors=True) as scratch:
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
            _temp_dir=scratch,
        )
        try:
            answer("ray", {**{work.__name__: work for work in works}, **bulk_works(ship)})
        finally:
            ray.shutdown()


if __name__ == "__main__":
    _main()
