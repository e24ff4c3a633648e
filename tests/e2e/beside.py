"""beside: what goes on in threads beside a test. SPDX-License-Identifier: MIT"""
import concurrent.futures
import contextlib
import threading


@contextlib.contextmanager
def going_on(*steps):
    """Each step is called again and again in a thread of its own until the block is left. The first failure is raised then. Gives their
    futures: one that is done has failed."""
    stop = threading.Event()

    def keep(step):
        while not stop.is_set():
            step()

    with concurrent.futures.ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(keep, step) for step in steps]
        try:
            yield running
        finally:
            stop.set()
    for one in running:
        one.result()


def at_once(work, items):
    """work(item) in a thread for each. When all have ended the first failure is raised."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        list(pool.map(work, items))
