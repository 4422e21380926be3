"""Workers by fork, spawn and forkserver, with results, exceptions and logs of their own."""

# /// equality
# command = ["python", "multiprocessing_both.py"]
# ///

import logging
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")


def square(number: int) -> int:
    return number * number


def fail() -> None:
    raise ValueError("in a worker")


def say() -> None:
    logging.getLogger("worker").warning("from a worker")
    print("printed by a worker", flush=True)


def leave() -> None:
    os._exit(7)


def main() -> None:
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        for target in (say, leave):
            child = context.Process(target=target)
            child.start()
            child.join()
            print(method, target.__name__, child.exitcode, flush=True)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            print(method, list(pool.map(square, range(5))), flush=True)
            print(repr(pool.submit(fail).exception()), flush=True)
        with context.Pool(1) as old:
            print(old.map(square, [3, 4]), flush=True)
    pid = os.fork()
    if pid == 0:
        say()
        os._exit(0)
    print(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
