#!/bin/sh
# Each line: a tree, and what is printed for it.
failed=0
while IFS='|' read -r tree expected; do
  said=$(python3 -m trees "$tree" 2>/dev/null)
  if [ "$said" != "$expected" ]; then
    echo "$tree: expected '$expected', got '$said'"
    failed=1
  fi
done <<EOF
7|7 0
{}|0 1
{"a": 1, "b": 2}|3 1
{"a": {"b": {"c": 5}}, "d": 1}|6 3
{"a": {}}|0 2
EOF
exit $failed
