"""What Python itself writes to stderr: warnings, exceptions of threads and finalizers, and the one that ends it all."""

# /// equality
# command = ["python", "uncaught.py"]
# ///

import gc
import threading
import warnings

import httpx  # noqa: F401 (a library that is traced)


class Finalized:
    def __del__(self) -> None:
        raise ValueError("in a finalizer")


def fail() -> None:
    try:
        {}["nothing"]
    except KeyError as error:
        raise RuntimeError("in a thread\nof two lines") from error


async def never_awaited() -> None:
    pass


warnings.warn("old", DeprecationWarning, stacklevel=1)
with warnings.catch_warnings(record=True) as caught:
    warnings.warn("recorded", UserWarning, stacklevel=1)
print([str(one.message) for one in caught], flush=True)
never_awaited()
Finalized()
gc.collect()
for number in range(2):
    thread = threading.Thread(target=fail, name=f"worker {number}")
    thread.start()
    thread.join()
warnings.showwarning = lambda *args: print("own", args[:2], flush=True)
warnings.warn("shown by a hook", UserWarning, stacklevel=1)
fail()
