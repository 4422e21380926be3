"""What runs inside every application process: settings, distro, configurator and the packages they use."""

from tracebaton_configurator._version import __version__

__all__ = ["__version__"]
