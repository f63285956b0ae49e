#!/usr/bin/env bash
# Run the tests: makes or reuses .venv, installs the test extras, and passes any arguments on to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
make_environment test
# One thread a process: two processes on two cores, and sums in the same order on every machine.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
exec .venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"
