"""A company's own: what it sets up at every start."""

import builtins

MARK = "user-site"
builtins.customized = [*getattr(builtins, "customized", []), "usercustomize in user-site"]
