"""A script in another directory than the working one."""

import sys

import yaml

print(yaml.safe_load("a: [1, 2]"), sys.path[0])
