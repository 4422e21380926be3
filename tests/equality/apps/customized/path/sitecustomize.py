"""A company's own: what it sets up at every start."""

import builtins

MARK = "path"
builtins.customized = [*getattr(builtins, "customized", []), "sitecustomize in path"]
