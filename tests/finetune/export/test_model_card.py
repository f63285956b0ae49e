"""The card of an export."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from transformers import AutoProcessor

from finetune.export.model_card import RunFacts, render_card
from finetune.export.preprocessing import Preprocessing, write_processor
from finetune.model.choices import TinyModel
from finetune.model.load import LoadedModel
from finetune.settings import DataSettings, Resize

RUN = RunFacts(
    name="boxes",
    recipe="detection",
    dataset="scenes",
    settings="seed: 0\nmodel:\n  generation: 2\n",
    scores={"mAP50": 0.123456, "recall": 0.5},
    step=120,
)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return TinyModel(vision_width=32, vision_depth=1, decoder_width=64, decoder_depth=1).load()


def _card(loaded: LoadedModel, *, run: RunFacts = RUN, is_adapter: bool = False, resize: Resize = Resize.hf) -> str:
    preprocessing = Preprocessing.of_run(loaded.image_size, DataSettings(resize=resize))
    return render_card(loaded, run, preprocessing, is_adapter=is_adapter)


def test_the_card_names_base_task_data_scores_and_settings(loaded: LoadedModel) -> None:
    card = _card(loaded)
    for part in ("# boxes", "tiny", "detection", "scenes", "steps: 120", "| mAP50 | 0.1235 |", "  generation: 2"):
        assert part in card
    assert "soft-cap" in card


def test_the_card_says_how_to_load_an_adapter_and_a_merged_model(loaded: LoadedModel) -> None:
    assert "PeftModel.from_pretrained(base" in _card(loaded, is_adapter=True)
    assert "PeftModel" not in _card(loaded)


def test_a_base_without_a_name_is_found_beside_the_adapter(loaded: LoadedModel) -> None:
    card = render_card(loaded, RUN, Preprocessing.of_run(112, DataSettings()), is_adapter=True, base="../base")
    assert "AutoModelForImageTextToText.from_pretrained('path/to/this/folder/../base', config=config)" in card
    assert "'tiny'" not in card


def test_the_python_in_the_card_is_python(loaded: LoadedModel) -> None:
    published = replace(loaded, base_name="google/paligemma2-3b-pt-224", base_revision="0" * 40)
    for is_adapter in (False, True):
        code = _card(published, is_adapter=is_adapter).split("```python\n")[1].split("```")[0]
        compile(code, "card", "exec")


@pytest.mark.parametrize(
    ("num_images", "given", "said"),
    [
        (None, 1, "as many images as its row"),
        (1, 1, "An example has one image."),
        (4, 4, "An example has 4 images"),
    ],
)
def test_the_card_shows_as_many_images_as_the_run_did(
    loaded: LoadedModel, tmp_path: Path, num_images: int | None, given: int, said: str
) -> None:
    card = _card(loaded, run=replace(RUN, num_images=num_images))
    assert said in card
    code = card.split("```python\n")[1].split("```")[0]
    # What comes before loads the exported folder; what comes after generates.
    lines = [line for line in code.splitlines() if line.startswith(("images =", "inputs ="))]
    write_processor(loaded, tmp_path, Preprocessing.of_run(loaded.image_size, DataSettings()))
    picture = Image.new("RGB", (20, 10))
    names = {
        "processor": AutoProcessor.from_pretrained(tmp_path),
        "image": picture,
        "images": [picture] * given,
        "prefix": "caption en",
    }
    exec("\n".join(lines), names)
    inputs = names["inputs"]
    assert len(inputs["pixel_values"]) == given
    num_placeholders = (inputs["input_ids"] == loaded.tokenizer.image_token_id).sum()
    assert num_placeholders == given * loaded.num_image_tokens


def test_an_adapter_for_paligemma_2_is_loaded_with_the_settings_of_training(loaded: LoadedModel) -> None:
    assert "final_logit_softcapping = None" in _card(loaded, is_adapter=True)
    assert "final_logit_softcapping" not in _card(replace(loaded, generation=1), is_adapter=True)
    assert "final_logit_softcapping" not in _card(loaded)


def test_a_published_base_is_named_for_the_hub_with_its_licence(loaded: LoadedModel) -> None:
    card = _card(replace(loaded, base_name="google/paligemma2-3b-pt-224", base_revision="0" * 40), is_adapter=True)
    head = card.split("---")[1]
    assert 'base_model: "google/paligemma2-3b-pt-224"' in head
    assert "license: gemma" in head
    assert "library_name: peft" in head
    assert "base_model" not in _card(loaded).split("---")[1]


def test_the_resize_is_told_as_it_is(loaded: LoadedModel) -> None:
    assert "bicubic filtering, as the processor in this folder does with its Pillow backend" in _card(loaded)
    assert "with its torchvision backend" in _card(loaded, resize=Resize.hf_fast)
    assert "truncated" in _card(loaded, resize=Resize.reference)


def test_a_run_without_scores_says_so(loaded: LoadedModel) -> None:
    assert "Not evaluated." in _card(loaded, run=replace(RUN, scores={}))
