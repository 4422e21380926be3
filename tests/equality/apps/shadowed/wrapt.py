"""Lies in the working directory, and is nobody's business there."""

raise RuntimeError("the wrapt.py of the working directory was imported")
