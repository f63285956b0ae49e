import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.hf import Columns, HuggingFace, HuggingFaceSource
from finetune.geometry import Box
from finetune.types import BadSampleError, ImageBytes, ImageFile

datasets = pytest.importorskip("datasets")

BOX = datasets.Sequence(datasets.Value("float32"))
LABELS = datasets.ClassLabel(names=["zebra", "ant"])
ALL = Columns(id="key", captions="caption", question="query", answers="replies", text="read", objects="things")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def rows(tmp_path: Path) -> "datasets.Dataset":
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()
    columns = {
        "key": [f"k{index}" for index in range(10)],
        "image": [{"bytes": encoded, "path": None}] * 10,
        "caption": [["one", "two"]] * 10,
        "query": [f"which {index}?" for index in range(10)],
        "replies": [[{"answer": "yes"}, {"answer": "no"}]] * 10,
        "read": ["EXIT"] * 10,
        "things": [{"bbox": [[20, 10, 80, 30]], "category": [1]}] * 10,
    }
    features = datasets.Features(
        {
            "key": datasets.Value("string"),
            "image": datasets.Image(),
            "caption": datasets.Sequence(datasets.Value("string")),
            "query": datasets.Value("string"),
            "replies": [{"answer": datasets.Value("string")}],
            "read": datasets.Value("string"),
            "things": datasets.Sequence({"bbox": BOX, "category": LABELS}),
        }
    )
    return datasets.Dataset.from_dict(columns, features=features)


def _save(rows: "datasets.Dataset", folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "saved":
        datasets.DatasetDict({"train": rows}).save_to_disk(path)
    elif kind == "folder":
        path.mkdir()
        rows.to_parquet(path / "train-00000-of-00001.parquet")
    else:
        path = folder / "rows.parquet"
        rows.to_parquet(path)
    return path


def _open(path: Path, **settings: Any) -> HuggingFaceSource:
    return HuggingFace(path=str(path), **settings).open("train")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["saved", "folder", "file"])
def test_every_kind_of_file_gives_the_same_samples(
    rows: "datasets.Dataset", tmp_path: Path, kind: str, streaming: bool
) -> None:
    path = _save(rows, tmp_path, kind)
    source = _open(path, columns=ALL, box_format=BoxFormat.xywh_pixels, streaming=streaming, block_size=4, num_train=10)
    assert len(source) == 10
    assert source.block_size == (4 if streaming else None)
    sample = source[7]
    assert isinstance(sample.images[0], ImageBytes)
    assert (sample.sample_id, sample.image_size, sample.captions) == ("k7", (100, 200), ("one", "two"))
    assert (sample.question, sample.answers, sample.text) == ("which 7?", ("yes", "no"), "EXIT")
    assert sample.label_set == ("zebra", "ant")
    assert sample.instances is not None
    (instance,) = sample.instances
    assert instance.label == "ant"
    edges = (instance.box.top, instance.box.left, instance.box.bottom, instance.box.right)
    assert edges == pytest.approx((0.1, 0.1, 0.4, 0.5))


def test_objects_may_be_a_list_of_dicts(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    things = [{"box": [0.1, 0.1, 0.5, 0.4], "label": "ant"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "a.png", "things": things}) + "\n")
    source = _open(
        tmp_path / "rows.jsonl",
        columns=Columns(objects="things"),
        box_key="box",
        label_key="label",
        labels=["ant"],
        box_format=BoxFormat.xyxy_fraction,
    )
    sample = source[0]
    assert isinstance(sample.images[0], ImageFile)
    assert sample.instances is not None
    assert sample.instances[0].box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)


def _encoded(pixels: "np.ndarray[Any, Any]") -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


@pytest.mark.parametrize("streaming", [False, True])
def test_masks_and_lists_of_images_are_read_undecoded(tmp_path: Path, streaming: bool) -> None:
    picture, mask = _encoded(np.zeros((100, 200, 3), np.uint8)), np.zeros((100, 200), np.uint8)
    mask[10:40, 20:100] = 2
    polygons = [[20.0, 10.0, 100.0, 10.0, 100.0, 40.0, 20.0, 40.0]]
    columns = {
        "pictures": [[picture, picture]],
        "masks": [[_encoded(mask)]],
        "kinds": [[1]],
        "map": [_encoded(mask)],
        "things": [{"category": [1], "segmentation": [polygons], "mask": [_encoded(mask)]}],
    }
    polygon = datasets.Sequence(datasets.Sequence(datasets.Value("float32")))
    features = datasets.Features(
        {
            "pictures": datasets.Sequence(datasets.Image()),
            "masks": datasets.Sequence(datasets.Image()),
            "kinds": datasets.Sequence(LABELS),
            "map": datasets.Image(),
            "things": datasets.Sequence({"category": LABELS, "segmentation": polygon, "mask": datasets.Image()}),
        }
    )
    path = _save(datasets.Dataset.from_dict(columns, features=features), tmp_path, "saved")
    for settings in (
        {"columns": Columns(image="pictures", objects="things"), "box_key": None, "mask_key": "segmentation"},
        {"columns": Columns(image="pictures", objects="things"), "box_key": None, "mask_key": "mask"},
        {"columns": Columns(image="pictures", objects="things", masks="masks"), "box_key": None},
        {"columns": Columns(image="pictures", masks="masks", mask_labels="kinds")},
        {"columns": Columns(image="pictures", masks="masks"), "labels": ["ant"]},
        {"columns": Columns(image="pictures", label_map="map"), "labels": ["zebra", "ant"]},
    ):
        sample = _open(path, streaming=streaming, num_train=1, **settings)[0]
        assert [isinstance(image, ImageBytes) for image in sample.images] == [True, True]
        assert sample.instances is not None
        (ant,) = sample.instances
        assert (ant.label, ant.box) == ("ant", Box(top=0.1, left=0.1, bottom=0.4, right=0.5))
        assert ant.mask is not None
        assert np.array_equal(ant.mask.to_array(), mask // 2)


def test_rows_of_json_lines_may_mix_polygons_and_run_lengths(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    polygons = [[20, 10, 100, 10, 100, 40, 20, 40]]
    runs = {"size": [100, 200], "counts": [2000, 500, 17500]}
    things = [{"category": "ant", "segmentation": one} for one in (polygons, runs)]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "a.png", "things": things}) + "\n")
    source = _open(
        tmp_path / "rows.jsonl",
        columns=Columns(objects="things"),
        labels=["ant"],
        box_key=None,
        mask_key="segmentation",
    )
    areas = [one.mask.area_pixels for one in source[0].instances or () if one.mask is not None]
    assert areas == [80 * 30, 500]


def test_a_run_is_never_evaluated_on_the_file_that_it_is_trained_on(rows: "datasets.Dataset", tmp_path: Path) -> None:
    path, other = _save(rows, tmp_path, "file"), tmp_path / "other.parquet"
    rows.select(range(3)).to_parquet(other)
    columns = Columns(id="key")
    with pytest.raises(ValueError, match=r"split 'validation' of .*rows\.parquet .*dataset\.eval_path"):
        HuggingFace(path=str(path), columns=columns).open("validation")
    both = HuggingFace(path=str(path), eval_path=str(other), columns=columns)
    assert (len(both.open("train")), len(both.open("validation"))) == (10, 3)
    assert both.open("validation")[0].origin.endswith("other.parquet[validation] row 0")


def test_an_image_folder_is_read_with_its_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "train"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (20, 10)).save(folder / f"{name}.png")
    lines = [{"file_name": f"{name}.png", "suffix": f"an {name}"} for name in ("a", "b")]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = _open(tmp_path / "pictures", columns=Columns(suffix="suffix"))
    assert [source[index].suffix for index in range(2)] == ["an a", "an b"]
    assert isinstance(source[0].images[0], ImageFile)
    assert source[0].images[0].path.name == "a.png"


def test_class_numbers_are_said_by_name(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / "train" / label).mkdir(parents=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "pictures" / "train" / label / "x.png")
    source = _open(tmp_path / "pictures", columns=Columns(answers="label"))
    assert sorted(source[index].answers for index in range(2)) == [("cat",), ("dog",)]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_source_survives_the_way_to_a_worker(rows: "datasets.Dataset", tmp_path: Path, streaming: bool) -> None:
    path = _save(rows, tmp_path, "saved")
    source = _open(path, columns=Columns(id="key"), streaming=streaming, num_train=10)
    assert source[3].sample_id == "k3"
    assert pickle.loads(pickle.dumps(source))[3].sample_id == "k3"


def test_repair_drops_empty_boxes(rows: "datasets.Dataset", tmp_path: Path) -> None:
    changed = rows.map(lambda row: {"things": {"bbox": [[20, 10, 0, 30]], "category": [1]}})
    path = _save(changed, tmp_path, "saved")
    settings = {"columns": ALL, "box_format": BoxFormat.xywh_pixels}
    repaired = _open(path, bad_boxes=BadBoxes.repair, **settings)[0]
    assert repaired.instances == ()
    assert repaired.notes == {"boxes left out: nothing of them is in the image": 1}
    with pytest.raises(BadSampleError) as refusal:
        _open(path, **settings)[0]
    assert (refusal.value.field_name, refusal.value.code) == ("objects[0].bbox", "empty-box")
    assert refusal.value.origin.endswith("saved[train] row 0")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "./nowhere"}, r"dataset\.path: there is no file or folder nowhere"),
        (
            {"eval_path": "/nowhere", "eval_split": "train", "train_split": "other"},
            r"dataset\.eval_path: there is no file or folder /nowhere",
        ),
        ({"path": "nobody/nothing"}, r"dataset\.path: 'nobody/nothing' is not on this machine, and the hub did not"),
        ({"revision": "main"}, "are for the hub"),
        ({"columns": Columns(image="picture")}, r"dataset\.columns\.image: split 'train' has no column 'picture'"),
        ({"columns": Columns(question="qeury")}, "did you mean query"),
        ({"columns": Columns(id="read")}, r"dataset\.columns\.id: 'EXIT' stands on row 1 and before it"),
        (
            {"columns": Columns(objects="things"), "label_key": "kind", "box_format": BoxFormat.xywh_pixels},
            r"dataset\.labels must list every label",
        ),
    ],
)
def test_wrong_settings_are_refused_when_opening(
    rows: "datasets.Dataset", tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    settings = {"path": str(_save(rows, tmp_path, "saved")), **settings}
    with pytest.raises(ValueError, match=message):
        HuggingFace(**settings).open("train")


def test_a_stream_of_unknown_length_needs_its_number_of_rows(rows: "datasets.Dataset", tmp_path: Path) -> None:
    path = _save(rows, tmp_path, "file")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "a.png"}) + "\n")
    with pytest.raises(ValueError, match=r"dataset\.num_train must be given"):
        _open(tmp_path / "rows.jsonl", streaming=True)
    assert len(_open(path, streaming=True, num_train=10)) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eval_path": "x"}, "eval_path and eval_split must differ from path and train_split"),
        ({"block_size": 0}, "block_size must be at least 1"),
        ({"num_eval": 0}, "num_eval must be at least 1"),
        ({"columns": Columns(objects="o")}, r"box_format must be given with columns\.objects"),
        ({"columns": Columns(objects="o"), "box_key": None}, "box_key=null needs masks"),
        ({"columns": Columns(objects="o", masks="m"), "mask_key": "mask"}, "two places of the same masks"),
        ({"mask_key": "mask"}, r"mask_key and expressions_key need columns\.objects"),
        ({"expressions_key": "said"}, r"mask_key and expressions_key need columns\.objects"),
        ({"columns": Columns(masks="m")}, r"labels must be the one label of all masks, or columns\.mask_labels"),
        ({"columns": Columns(masks="m"), "labels": ["a", "b"]}, r"got labels=\['a', 'b'\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HuggingFace(path="x", **settings)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label_map": "m", "objects": "o"}, "label_map makes objects of its own"),
        ({"label_map": "m", "masks": "o"}, "label_map makes objects of its own"),
        ({"mask_labels": "l"}, "mask_labels needs masks"),
        ({"mask_labels": "l", "masks": "m", "objects": "o"}, "mask_labels needs masks, and no objects"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Columns(**columns)


def test_a_label_map_needs_its_labels(tmp_path: Path, rows: "datasets.Dataset") -> None:
    path = _save(rows, tmp_path, "saved")
    with pytest.raises(ValueError, match=r"dataset\.labels must list every label"):
        _open(path, columns=Columns(label_map="image"))
