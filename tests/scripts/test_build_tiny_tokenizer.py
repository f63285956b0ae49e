"""The committed tokenizer is what the script makes."""

import importlib.util
import json
from pathlib import Path

from finetune.model.choices import TINY_TOKENIZER


def test_the_committed_tokenizer_is_what_the_script_makes(repository: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("builder", repository / "scripts" / "build_tiny_tokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    model = builder.train_pieces()
    assert model == (TINY_TOKENIZER / "tokenizer.model").read_bytes()
    builder.to_transformers(model).save_pretrained(tmp_path)
    made, committed = (
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")) for folder in (tmp_path, TINY_TOKENIZER)
    )
    assert made == committed
