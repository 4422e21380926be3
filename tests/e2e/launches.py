"""How the tests start a command with tracing."""

from harness import TRACED, UNTRACED

BARE = ("opentelemetry-instrument",)
CHOSEN = {"OTEL_PYTHON_DISTRO": "tracebaton", "OTEL_PYTHON_CONFIGURATOR": "tracebaton"}

__all__ = ["BARE", "CHOSEN", "TRACED", "UNTRACED"]
