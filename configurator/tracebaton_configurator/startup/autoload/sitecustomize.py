"""Found by PYTHONPATH in every Python below `tracebaton run`; `site` imports it before any code of the application.

It has to work in every Python that an application may start, also in one that cannot import tracebaton: there it does
nothing. Then that `sitecustomize` is run which would have been found without this one, the user's own or the system's.
"""

import os
import sys


def _begin():
    here = os.path.dirname(os.path.abspath(__file__))
    # Child processes find it by PYTHONPATH; left on the path it would make every failed import dearer.
    sys.path[:] = [path for path in sys.path if path != here]
    try:
        from tracebaton_configurator.startup.begin import begin
    except Exception:
        return
    begin(os.environ, here)


def _go_on():
    """Import the next `sitecustomize` in this one's place; where there is none, this one stays for `site` to find."""
    this = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if this is not None:
            sys.modules.setdefault("sitecustomize", this)


_begin()
_go_on()
