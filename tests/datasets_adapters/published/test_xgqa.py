import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.xgqa import Xgqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "xgqa"


def test_questions_are_translated_and_answers_are_not() -> None:
    sample = Xgqa(root=str(ASSET)).open("de")[0]
    assert (sample.question, sample.answers) == ("Was ist in der Mitte?", ("ball",))
    assert sample.images[0].name == "images/n9304.jpg"


def test_a_language_tells_scores_apart_and_does_not_change_the_prompts_words() -> None:
    sample = Xgqa(root=str(ASSET)).open("zh")[1]
    assert (sample.category, sample.language) == ("zh", None)


def test_one_question_in_eight_languages_is_eight_samples() -> None:
    dataset = Xgqa(root=str(ASSET))
    source = dataset.open(dataset.eval_split)
    ids = [source[index].sample_id for index in range(len(source))]
    assert len(set(ids)) == 16
    assert ids[:3] == ["209304001_bn", "209304002_bn", "209304001_de"]


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'fr'"):
        Xgqa(root=str(ASSET)).open("fr")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"zero_shot/testdev_balanced_questions_ko.json .*adapter-hub/xGQA"):
        Xgqa(root=str(tmp_path)).open("ko")


def test_a_broken_row_is_refused_by_file_and_id_and_no_other(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "data" / "zero_shot" / "testdev_balanced_questions_ru.json"
    rows = json.loads(path.read_text())
    del rows["209304001"]["answer"]
    path.write_text(json.dumps(rows))
    source = Xgqa(root=str(root)).open("ru")
    with pytest.raises(BadSampleError, match=r"testdev_balanced_questions_ru\.json: question 209304001_ru: answer"):
        source[0]
    assert source[1].answers == ("yes",)
