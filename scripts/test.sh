#!/usr/bin/env bash
# Run the tests: makes or reuses .venv, installs the test extras, and passes any arguments on to pytest.
#   scripts/test.sh            what runs in every check
#   scripts/test.sh nightly    what takes long: tests marked nightly, then the whole of `finetune chaos`, with its soak
#   scripts/test.sh cluster    two hosts and a SLURM cluster made on this machine, as root; leaves it as it was
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
make_environment test
# One thread a process: two processes on two cores, and sums in the same order on every machine.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
run_tests() { .venv/bin/python -m pytest -n "${TEST_PROCESSES:-2}" --dist loadfile "$@"; }
case "${1:-}" in
  nightly)
    shift
    run_tests -m nightly "$@"
    echo "== finetune chaos, whole"
    exec .venv/bin/python -m finetune chaos 'faults=[all]' kills=400
    ;;
  cluster)
    shift
    source tests/cluster/packages.sh
    require_packages
    FINETUNE_CLUSTER_TESTS=1 exec .venv/bin/python -m pytest tests/cluster "$@"
    ;;
  *) run_tests -m "not nightly and not cluster" "$@" ;;
esac
