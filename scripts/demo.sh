#!/usr/bin/env bash
# Install into .venv and run the main job: a tiny PaliGemma, initialised at random, learns to describe rendered scenes
# and is scored on held-out ones before, during and after. Continues where it was interrupted; any arguments are
# settings of `finetune train`, such as training.max_steps=50.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
make_environment ""
echo "== training model=tiny on dataset=scenes (runs/demo)"
.venv/bin/finetune train experiment=demo "$@"
echo "== the scores above were measured on held-out scenes; open the report named there in a browser"
