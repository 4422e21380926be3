"""Lies in the working directory, and is nobody's business there."""

raise RuntimeError("the httpx.py of the working directory was imported")
