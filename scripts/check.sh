#!/usr/bin/env bash
# Static checks: ruff (lint and format), mypy --strict, import-linter (which room may import which), codespell.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
make_environment test
step() { echo "== $*"; "$@"; }
bin=.venv/bin
step $bin/ruff check .
step $bin/ruff format --check .
step $bin/mypy
step $bin/lint-imports
step $bin/codespell finetune recipes datasets_adapters conf tests scripts README.md
echo "== all checks passed"
