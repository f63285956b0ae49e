"""The script that makes `model=tiny`, cut down to two steps, and the card of the committed weights."""

import re
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open

from finetune.model.choices import TINY_CHECKPOINT

SHORT = [
    "training.max_steps=2",
    "training.global_batch_size=8",
    "training.micro_batch_size=8",
    "evaluation.every_steps=null",
    "evaluation.num_samples=1",
    "evaluation.max_new_tokens=2",
    "self_test.enabled=false",
]


def test_it_trains_embeds_scores_and_writes_a_card_that_says_how(repository: Path, tmp_path: Path) -> None:
    words = ["--processes", "1", "--runs", str(tmp_path / "runs"), "--to", str(tmp_path / "tiny"), "--held-out", "2"]
    words += ["--encoder-scenes", "64"]
    script = repository / "scripts" / "pretrain_tiny.py"
    done = subprocess.run([sys.executable, str(script), *words, *SHORT], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr[-2000:]
    card = (tmp_path / "tiny" / "README.md").read_text(encoding="utf-8")
    assert card in done.stdout
    assert "2 optimizer steps of 8 examples (16 in all;" in " ".join(card.split())
    assert f"python scripts/pretrain_tiny.py --processes 1 {' '.join(SHORT)}" in card
    assert re.search(r"\| shapes \| box mAP50 \| \d\.\d{3} \|", card)
    with safe_open(tmp_path / "tiny" / "model.safetensors", framework="pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118
    assert (tmp_path / "tiny" / "mask_codec.json").read_bytes() == (TINY_CHECKPOINT / "mask_codec.json").read_bytes()
