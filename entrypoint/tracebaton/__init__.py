"""What a person or a container starts: the `tracebaton` command."""

from tracebaton_configurator import __version__

__all__ = ["__version__"]
