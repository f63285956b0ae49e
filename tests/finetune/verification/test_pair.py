from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune import cli
from finetune.commands import verification
from finetune.model.npz_file import array_names
from finetune.verification import pair as pair_module
from finetune.verification.pair import compare_pair, recognise_pair


@pytest.mark.parametrize("tree", ["params/", "opt/target/", ""])
def test_a_model_is_known_by_the_names_of_its_arrays(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], tree: str
) -> None:
    pair = recognise_pair(*make_pair(shape(tree=tree)))
    assert pair.kind == "model"
    assert all(comparison.is_within for comparison in compare_pair(pair))


def test_files_in_the_wrong_order_and_files_of_two_pairs_are_refused(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], tmp_path: Path
) -> None:
    checkpoint, expected = make_pair(shape())
    with pytest.raises(ValueError, match="neither a PaliGemma nor a mask codec; the checkpoint comes first"):
        recognise_pair(expected, checkpoint)
    np.savez(tmp_path / "other.npz", codes=np.zeros(1))
    with pytest.raises(ValueError, match="does not belong to a model's checkpoint"):
        recognise_pair(checkpoint, tmp_path / "other.npz")
    with pytest.raises(ValueError, match="EXPECTED: there is no file"):
        recognise_pair(checkpoint, tmp_path / "nowhere.npz")


def test_pickled_outputs_are_refused(make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object]) -> None:
    checkpoint, expected = make_pair(shape())
    np.savez(expected, **dict(np.load(expected)), bad=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"EXPECTED: .* cannot be read"):
        compare_pair(recognise_pair(checkpoint, expected))


def test_each_file_is_opened_for_its_names_once(
    make_pair: Callable[..., tuple[Path, Path]], shape: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, expected = make_pair(shape())
    opened: list[Path] = []

    def names(path: Path, *, setting: str) -> list[str]:
        opened.append(path)
        return array_names(path, setting=setting)

    monkeypatch.setattr(pair_module, "array_names", names)
    monkeypatch.setattr(verification, "compare_pair", lambda pair: ())
    assert cli.run(["verify", str(checkpoint), str(expected)]) == 0
    assert opened == [checkpoint, expected]
