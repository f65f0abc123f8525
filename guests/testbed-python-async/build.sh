#!/bin/sh
# Makes testbed-python-async.wasm. The first time, or with other requirements, it installs componentize-py into .venv.
set -e
cd "$(dirname "$0")"
if ! cmp -s requirements-build.txt .venv/installed; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --require-hashes -r requirements-build.txt
  cp requirements-build.txt .venv/installed
fi
.venv/bin/componentize-py --quiet --wit-path wit --world async-app-with-lifespan \
  componentize --python-path . --python-path adapter app --output testbed-python-async.wasm
