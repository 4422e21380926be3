"""The one place that knows the version; hatchling and `telemetry.distro.version` read it here."""

__version__ = "0.2.0"
