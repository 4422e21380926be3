"""The first thing that runs in a process below a launcher: watch for a library that is traced, and cost nothing else.

Every Python below the launcher pays for what is imported here, a formatter or a health check included. So this looks at
the environment by itself, as little as it can; `settings` reads all of it when the process turns out to be traced.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME
from tracebaton_configurator.patching import on_import
from tracebaton_configurator.startup.watched import INSTRUMENTATIONS, LATE, LIBRARIES, PROCESS_MODULES, SERVERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from types import ModuleType

# Where our `sitecustomize` lies, beside this module.
AUTOLOAD = f"{__file__.rpartition('/')[0]}/autoload"
# What a traced process leaves to those that it starts; see `startup.family`.
PARENT = "_OTEL_TRACEBATON_PARENT"
CALLED = "_OTEL_TRACEBATON_CALLED"
STREAMS = (1, 2)
inherited: dict[str, str] = {}
"""The parent's word, as this process has found it."""
streams: list[str] = []
"""Where stdout and stderr went as this process began: the identities of both."""
_begun = False


def begin(environ: MutableMapping[str, str], directory: str) -> None:
    """Called by our `sitecustomize`, which lies in `directory`. Does not raise."""
    global _begun  # noqa: PLW0603 (once a process, whoever calls)
    if _begun:
        return
    _begun = True
    try:
        if is_true(environ, "OTEL_SDK_DISABLED") or is_resource_tracker(sys.orig_argv):
            return
        _keep_layer_behind()
        if {environ.get(name, NAME) for name in (DISTRO, CONFIGURATOR)} != {NAME}:
            from opentelemetry.instrumentation.auto_instrumentation import initialize

            initialize()  # another distro was chosen: it starts as it does under upstream's launcher
            return
        watch(environ, _bring_up_by_ourselves)
        leave_word(environ)
        if not _is_disabled(environ, "first-thread") and not _is_disabled(environ, "sigterm"):
            on_import.after("threading", _watch_for_the_first_thread)
        for module in PROCESS_MODULES:
            on_import.after(module, lambda _: _hand_on_to_processes(environ))
        if environ.get("OTEL_TRACEBATON_CHILDREN", "").strip().lower() == "false":
            on_import.after("subprocess", lambda _: _leave_children_alone(environ, directory))
    except Exception as error:  # noqa: BLE001 (the application must start whatever happens here)
        sys.stderr.write(f"ERROR: tracebaton: Tracing could not begin: {type(error).__name__}: {error}\n")


def watch(environ: Mapping[str, str], bring_up: Callable[[], object]) -> None:
    """Call `bring_up`, which may be called more than once, when the process imports something that is traced.

    Under `OTEL_TRACEBATON_STRICT` that is now, in the first process of a container: a wrong setting is to end it before
    the application begins.
    """
    if not _is_disabled(environ, "httpx-client"):
        on_import.before("httpx", _leave_out_httpx_client)

    def come(_: object) -> None:
        bring_up()

    servers: tuple[str, ...] = (*SERVERS, *LATE)
    if _is_spawned_worker(sys.orig_argv):
        servers = tuple(name for name in servers if name != "uvicorn")
    for name in (*servers, *LIBRARIES):
        on_import.after(name, come)
    for name in INSTRUMENTATIONS.keys() - set(LIBRARIES):
        on_import.after(name, lambda module: bring_up() if _is_installed(module.__name__) else None)
    on_import.when_opentelemetry_is_complete(bring_up)
    if is_true(environ, "OTEL_TRACEBATON_STRICT") and PARENT not in environ:
        bring_up()


def called_at(environ: Mapping[str, str]) -> float:
    """When the trace context of the environment was first seen, by the monotonic clock, which processes share."""
    caller, _, moment = environ.get(CALLED, "").partition(" ")
    try:
        return min(float(moment), monotonic()) if caller == environ.get("TRACEPARENT") else monotonic()
    except ValueError:
        return monotonic()


def leave_word(environ: MutableMapping[str, str]) -> None:
    """Tell those that this process starts who it is, and where its stdout and stderr go.

    A child whose output somebody reads keeps its parent's word: what that one writes is the container's log.
    """
    global inherited, streams  # noqa: PLW0603 (it is gone from the environment then)
    inherited = {PARENT: environ.get(PARENT, "")}
    here = streams = [identity_of(descriptor) for descriptor in STREAMS]
    known = inherited[PARENT].split(",")[1:]
    if not known or set(here) <= set(known):
        environ[PARENT] = ",".join([str(os.getpid()), *here])
    caller = environ.get("TRACEPARENT")
    if caller and environ.get(CALLED, "").partition(" ")[0] != caller:
        environ[CALLED] = f"{caller} {monotonic()}"


def identity_of(descriptor: int) -> str:
    """Two descriptors with the same one lead to the same pipe, file or terminal."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return "closed"
    return f"{found.st_dev}:{found.st_ino}"


def is_true(environ: Mapping[str, str], variable: str) -> bool:
    return environ.get(variable, "").strip().lower() == "true"


def is_resource_tracker(command: list[str]) -> bool:
    """Whether this is multiprocessing's resource tracker (Lib/multiprocessing/resource_tracker.py)."""
    return any(argument.startswith("from multiprocessing.resource_tracker import") for argument in command)


def _is_disabled(environ: Mapping[str, str], patch: str) -> bool:
    """Before the settings are read, and the registry knows it."""
    names = environ.get("OTEL_TRACEBATON_DISABLED_PATCHES", "").split(",")
    return patch in [name.strip() for name in names]


def _is_spawned_worker(command: list[str]) -> bool:
    """Lib/multiprocessing/spawn.py, `get_command_line`."""
    return any(argument.startswith("from multiprocessing.spawn import") for argument in command)


def _bring_up_by_ourselves() -> None:
    from tracebaton_configurator.startup.bring_up import bring_up_by_ourselves

    bring_up_by_ourselves()


def _watch_for_the_first_thread(threading: ModuleType) -> None:
    from tracebaton_configurator.startup import first_thread

    first_thread.watch(threading)


def _hand_on_to_processes(environ: Mapping[str, str]) -> None:
    from tracebaton_configurator.patching import registry
    from tracebaton_configurator.propagation import processes
    from tracebaton_configurator.startup.state import STATE

    if not STATE.brought_up:  # which reads the settings
        registry.disable({name for name in ("spawned-processes", "process-pools") if _is_disabled(environ, name)})
    processes.install(_bring_up_by_ourselves)


def _leave_out_httpx_client() -> None:
    from tracebaton_configurator.startup.import_paths import leave_out_httpx_client

    leave_out_httpx_client()


def _leave_children_alone(environ: MutableMapping[str, str], directory: str) -> None:
    from tracebaton_configurator.startup.children import leave_children_alone

    leave_children_alone(environ, directory)


def _keep_layer_behind() -> None:
    """See `import_paths.put_layer_behind`, which is worth its import only where there is such a layer."""
    root = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))  # noqa: PTH118, PTH120
    if root in sys.path and os.path.exists(os.path.join(root, ".tracebaton-layer")):  # noqa: PTH110, PTH118
        from tracebaton_configurator.startup.import_paths import put_layer_behind

        put_layer_behind(root)


def _is_installed(library: str) -> bool:
    """Whether there is an instrumentation for a library that is no sign by itself of a process that is traced."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("opentelemetry")
    names = [name.replace("-", "_") for name in INSTRUMENTATIONS[library]]
    return any(
        os.path.isdir(os.path.join(place, "instrumentation", name))  # noqa: PTH112, PTH118 (imports pathlib)
        for place in (spec.submodule_search_locations or () if spec is not None else ())
        for name in names
    )
