#!/bin/sh
# Makes flask.wasm. The first time, or with other requirements, it installs the packages of requirements.txt into deps, and componentize-py into .venv.
set -e
cd "$(dirname "$0")"
if ! cat requirements-build.txt requirements.txt | cmp -s - .venv/installed; then
  rm -rf .venv deps
  python3 -m venv .venv
  .venv/bin/pip install --quiet --require-hashes -r requirements-build.txt
  .venv/bin/pip install --quiet --require-hashes -r requirements.txt --target deps
  cat requirements-build.txt requirements.txt > .venv/installed
fi
.venv/bin/componentize-py --quiet --wit-path wit --world sync-app-with-lifespan \
  componentize --python-path . --python-path adapter --python-path deps app --output flask.wasm
