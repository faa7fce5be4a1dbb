"""`python3 -m trees JSON` prints size and depth."""

import json
import sys

from trees.sizes import depth, size

tree = json.loads(sys.argv[1])
print(size(tree), depth(tree))
