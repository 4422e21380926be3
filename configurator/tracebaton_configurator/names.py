"""Names that more than one package needs; imports nothing, as every start waits for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DISTRO = "OTEL_PYTHON_DISTRO"
CONFIGURATOR = "OTEL_PYTHON_CONFIGURATOR"
NAME = "tracebaton"

# What serves: the modules, whose names their loggers have as well, and the commands.
SERVER_MODULES = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress")
SERVER_COMMANDS = ("daphne", "fastapi", "granian", "gunicorn", "hypercorn", "uvicorn")

# The exporters in whose place this project delivers.
_OTLP = ("otlp", "otlp_proto_grpc", "otlp_proto_http")


def is_otlp(exporter: str) -> bool:
    """Whether this project delivers for an exporter of that name itself; `otlp_json_file`, say, is another one."""
    return exporter in _OTLP


def choose_this_distro(environ: Mapping[str, str]) -> dict[str, str]:
    """The two variables that make upstream's loader take this distro and configurator, where the user chose none."""
    return {name: environ.get(name, "").strip() or NAME for name in (DISTRO, CONFIGURATOR)}


FIRST_BYTE = "http.response.first_byte"
"""The span event of a body that comes in pieces. The semantic conventions have none; HTTP clients of Go and Rust do."""
