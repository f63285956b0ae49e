"""What can be refused about a model before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from finetune.model.choices import HubModel, LocalModel, TinyModel


def test_choosing_and_checking_a_model_does_not_import_torch(repository: Path) -> None:
    code = (
        "import sys; from finetune.model.choices import HubModel, TinyModel; from finetune.peft.lora import Lora; "
        "from finetune.peft.full import FullFineTuning; from finetune.settings import PartFlags; "
        "HubModel().check(); TinyModel().check(); Lora().check(PartFlags()); FullFineTuning().check(PartFlags()); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'peft', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


@pytest.mark.parametrize(
    ("repository", "variant", "name"),
    [
        ("google/paligemma-3b", "pt-224", "google/paligemma-3b-pt-224"),
        ("google/paligemma2-10b", "mix-448", "google/paligemma2-10b-mix-448"),
        ("google/paligemma2-3b", "ft-docci-448", "google/paligemma2-3b-ft-docci-448"),
        ("google/paligemma-3b", "ft-refcoco-seg-896", "google/paligemma-3b-ft-refcoco-seg-896"),
        ("someone/my-paligemma", None, "someone/my-paligemma"),
    ],
)
def test_a_published_checkpoint_is_named_by_family_and_variant(repository: str, variant: str | None, name: str) -> None:
    choice = HubModel(repository=repository, variant=variant)
    choice.check()
    assert choice.full_name == name


@pytest.mark.parametrize("variant", ["pt", "pt-256", "mix-2240", "ft-448", "sft-docci-448", "PT-224", "pt-224 "])
def test_a_variant_that_cannot_exist_is_refused(variant: str) -> None:
    with pytest.raises(ValueError, match=r"model\.variant must be pt-, mix- or ft-"):
        HubModel(variant=variant).check()


@pytest.mark.parametrize("repository", ["paligemma-3b", "google/", "a/b/c", "https://huggingface.co/google/x"])
def test_a_repository_that_cannot_exist_is_refused(repository: str) -> None:
    with pytest.raises(ValueError, match=r"model\.repository must look like owner/name"):
        HubModel(repository=repository).check()


@pytest.mark.parametrize("choice", [TinyModel(image_size=100), HubModel(image_size=100)])
def test_a_resolution_that_is_no_multiple_of_the_patch_is_refused_with_a_near_one(choice: TinyModel | HubModel) -> None:
    with pytest.raises(
        ValueError, match=r"model\.image_size must be a multiple of the patch size 14, got 100; 98 is near"
    ):
        choice.check()


@pytest.mark.parametrize("image_size", [0, -14, 7])
def test_a_resolution_below_one_patch_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match="14 is near"):
        TinyModel(image_size=image_size).check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generation": 3}, "generation must be 1 or 2, got 3"),
        ({"init_seed": -1}, "init_seed must be at least 0"),
        ({"vision_width": 100}, "vision_width must be a multiple of 32, got 100"),
        ({"decoder_width": 0}, "decoder_width must be at least 32"),
        ({"decoder_depth": 0}, "decoder_depth must be at least 1"),
    ],
)
def test_dimensions_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TinyModel(**settings)


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.path: there is no folder nowhere"):
        LocalModel(path="nowhere").check()


@pytest.mark.parametrize("choice", [TinyModel(), TinyModel(image_size=56)])
def test_what_a_model_reads_is_known_without_its_weights(choice: TinyModel) -> None:
    inputs, loaded = choice.read_inputs(), choice.load()
    assert (inputs.image_size, inputs.num_image_tokens) == (loaded.image_size, loaded.num_image_tokens)
    assert inputs.tokenizer.image_token_id == loaded.tokenizer.image_token_id
