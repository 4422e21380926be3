"""Lies in the working directory, and is nobody's business there."""

raise RuntimeError("the yaml.py of the working directory was imported")
