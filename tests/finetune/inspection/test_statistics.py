from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets_adapters.scenes import Scenes
from finetune.data.encode import SampleEncoder
from finetune.geometry import Box
from finetune.inspection.reading import TokenRun
from finetune.inspection.statistics import Inspection, inspect_split
from finetune.reporting.progress import LineProgress, NoProgress
from finetune.settings import DataSettings, OnOverlong
from finetune.types import BadSampleError, ImageFile, ImagePixels, Instance, Sample
from recipes.captioning import Captioning
from recipes.detection import Detection
from recipes.verbatim import Verbatim

DOG = Instance(label="dog", box=Box(top=0, left=0, bottom=0.5, right=0.5))
CAT = Instance(label="cat", box=Box(top=0.5, left=0.5, bottom=1, right=1))


@dataclass(frozen=True)
class FixedSource:
    """Samples from memory; None stands for one that cannot be read."""

    samples: Sequence[Sample | None]

    @property
    def block_size(self) -> int | None:
        return None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        if sample is None:
            raise BadSampleError(
                origin=f"memory:{index}", sample_id="", field_name="line", code="not-json", message="is not JSON"
            )
        return sample


def _sample(name: str, *, grey: int = 0, size: tuple[int, int] = (40, 60), **annotations: object) -> Sample:
    pixels = np.full((*size, 3), grey, dtype=np.uint8)
    image = ImagePixels(name=name, pixels=pixels)
    return Sample(sample_id=name, origin=f"memory: {name}", images=(image,), **annotations)  # type: ignore[arg-type]


def _inspect(
    samples: Sequence[Sample | None], recipe: object, encoder: SampleEncoder, *, num_shown: int = 10
) -> Inspection:
    return inspect_split(FixedSource(samples), recipe, encoder, num_shown=num_shown, progress=NoProgress())  # type: ignore[arg-type]


def _limited(encoder: SampleEncoder, **data: object) -> SampleEncoder:
    return replace(encoder, data=DataSettings(**data))  # type: ignore[arg-type]


def test_bad_samples_are_counted_and_named_whoever_refuses_them(encoder: SampleEncoder, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    broken = ImageFile(name="broken.png", path=tmp_path / "broken.png")
    samples = [
        _sample("good", captions=("a cat",)),
        None,
        _sample("silent"),
        replace(_sample("torn", captions=("a dog",)), images=(broken,)),
    ]
    found = _inspect(samples, Captioning(), encoder)
    assert (found.num_samples, found.num_usable) == (4, 1)
    assert [(skip.index, skip.origin) for skip in found.skips] == [
        (1, "memory:1"),
        (2, "memory: silent"),
        (3, "memory: torn"),
    ]
    assert [skip.code for skip in found.skips][:2] == ["not-json", "missing-captions"]
    assert all(skip.message for skip in found.skips)
    assert [shown.sample_id for shown in found.shown] == ["good"]


def test_labels_boxes_and_sizes_are_counted(encoder: SampleEncoder) -> None:
    samples = [
        _sample("a", instances=(DOG, CAT, DOG), label_set=("bird", "cat", "dog")),
        _sample("b", grey=1, instances=(DOG,), label_set=("bird", "cat", "dog")),
        _sample("c", grey=2, size=(30, 30), instances=(), label_set=("bird", "cat", "dog")),
    ]
    found = _inspect(samples, Detection(), encoder)
    assert [(count.label, count.num_boxes, count.num_images, count.median_side) for count in found.labels] == [
        ("dog", 3, 2, 50.0),
        ("cat", 1, 1, 50.0),
        ("bird", 0, 0, 0.0),
    ]
    assert found.num_boxes == 4
    assert found.objects_per_image is not None
    assert (found.objects_per_image.smallest, found.objects_per_image.largest) == (0, 3)
    assert found.image_sizes == (((40, 60), 2), ((30, 30), 1))


def test_boxes_of_ready_made_text_are_counted_as_well(encoder: SampleEncoder) -> None:
    suffix = "<loc0000><loc0000><loc0512><loc0512> dog"
    found = _inspect([_sample("a", prefix="detect dog", suffix=suffix)], Detection(), encoder)
    assert [(count.label, count.num_boxes) for count in found.labels] == [("dog", 1)]
    assert [instance.label for instance in found.shown[0].spoken] == ["dog"]


def test_what_the_recipe_left_out_is_summed(encoder: SampleEncoder) -> None:
    samples = [_sample(name, instances=(DOG, CAT, DOG), label_set=("cat", "dog")) for name in ("a", "b")]
    found = _inspect(samples, Detection(max_boxes=1), encoder)
    assert found.notes == {"boxes over the limit": 4}
    assert [instance.label for instance in found.shown[0].left_out] == ["cat"]


def test_texts_over_the_limit_are_measured_before_they_are_refused(encoder: SampleEncoder) -> None:
    samples = [_sample("short", captions=("a cat",)), _sample("long", grey=1, captions=("a cat " * 30,))]
    found = _inspect(samples, Captioning(), _limited(encoder, max_text_tokens=20))
    assert [(skip.sample_id, skip.code) for skip in found.skips] == [("long", "too-long")]
    assert found.num_too_long == 1
    assert found.longest is not None
    assert (found.longest.sample_id, found.longest.suffix) == ("long", "a cat " * 30)
    assert found.text_tokens is not None
    assert found.text_tokens.largest == found.longest.num_text_tokens > 60


def test_texts_that_are_cut_are_counted_with_their_whole_length(encoder: SampleEncoder) -> None:
    samples = [_sample("long", captions=("a cat " * 30,)), _sample("fits", captions=("cat",))]
    settings = _limited(encoder, max_text_tokens=20, on_overlong=OnOverlong.truncate)
    found = _inspect(samples, Captioning(), settings)
    assert not found.skips
    assert found.num_too_long == 1
    assert found.text_tokens is not None
    assert found.text_tokens.largest > 60
    shown = {sample.sample_id: sample for sample in found.shown}
    assert sum(run.count for run in shown["long"].tokens) == encoder.num_image_tokens + 1 + 20


def test_duplicates_are_found_by_id_by_image_and_by_text(encoder: SampleEncoder) -> None:
    samples = [
        _sample("a", captions=("a cat",)),
        _sample("b", captions=("a cat",)),
        _sample("c", captions=("a dog",)),
        _sample("d", grey=1, captions=("a cat",)),
        _sample("d", grey=2, captions=("a cat",)),
    ]
    found = _inspect(samples, Captioning(), encoder)
    groups = {kind.what: [[sample_id for _, sample_id in group] for group in kind.groups] for kind in found.duplicates}
    assert groups == {
        "the same id": [["d", "d"]],
        "the same image": [["a", "b", "c"]],
        "the same image, prefix and suffix": [["a", "b"]],
    }
    assert found.common_suffixes == (("a cat", 4),)
    assert found.num_suffixes == 2


def test_tokens_are_shown_as_the_model_reads_them(encoder: SampleEncoder) -> None:
    (shown,) = _inspect([_sample("a", prefix="answer", suffix="cat")], Verbatim(), encoder).shown
    image, bos, *text, eos = shown.tokens
    assert image == TokenRun(piece="<image>", count=encoder.num_image_tokens, is_suffix=False)
    assert (bos.piece, eos.piece, eos.is_suffix) == ("<bos>", "<eos>", True)
    newline = next(index for index, run in enumerate(text) if run.piece == "\n")
    assert not any(run.is_suffix for run in text[: newline + 1])
    assert all(run.is_suffix for run in text[newline + 1 :])
    assert "".join(run.piece for run in text[newline + 1 :]).replace("▁", "") == "cat"
    assert shown.num_text_tokens == len(text) + 1


def test_shown_samples_are_spread_over_the_split(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=9).open("train")
    found = inspect_split(source, Captioning(), encoder, num_shown=3, progress=NoProgress())
    assert [shown.sample_id for shown in found.shown] == ["train-000000", "train-000004", "train-000008"]
    assert not inspect_split(source, Captioning(), encoder, num_shown=0, progress=NoProgress()).shown


def test_the_same_seed_gives_the_same_inspection(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=5).open("train")
    first, second = (inspect_split(source, Captioning(), encoder, num_shown=5, progress=NoProgress()) for _ in range(2))
    assert first == second


def test_progress_counts_every_sample(encoder: SampleEncoder) -> None:
    lines: list[str] = []
    source = Scenes(num_train=4).open("train")
    inspect_split(source, Captioning(), encoder, num_shown=0, progress=LineProgress(lines.append, seconds=0))
    assert [line.split(" |")[0] for line in lines] == [f"inspect {done}/4" for done in (1, 2, 3, 4)]


def test_a_split_in_which_nothing_can_be_used_is_inspected(encoder: SampleEncoder) -> None:
    found = _inspect([None, None], Captioning(), encoder)
    assert (found.num_usable, found.text_tokens, found.longest, found.shown) == (0, None, None, ())


def test_the_blood_cells_are_inspected(encoder: SampleEncoder, bccd: Path) -> None:
    from datasets_adapters.voc import Voc

    source = Voc(root=str(bccd)).open("val")
    found = inspect_split(
        source, Detection(), _limited(encoder, max_text_tokens=256), num_shown=2, progress=NoProgress()
    )
    assert (found.num_samples, found.skips) == (87, ())
    assert [count.label for count in found.labels] == ["RBC", "WBC", "Platelets"]
    assert found.image_sizes == (((480, 640), 87),)
