import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.published import SubmissionFormat
from finetune.reporting.submission_file import submission_json, write_submission

LIST = SubmissionFormat(id_key="questionId", answer_key="answer", server="https://server.example")
OBJECT = SubmissionFormat(id_key=None, answer_key="direct_answer", server="https://server.example")


def test_a_list_holds_an_object_for_each_answer_with_ids_of_their_own_type_and_texts_as_they_are() -> None:
    text = submission_json(LIST, [(7, " a  cat\n"), ("7", "Café ½")])
    assert text == r'[{"questionId": 7, "answer": " a  cat\n"}, {"questionId": "7", "answer": "Caf\u00e9 \u00bd"}]'


@given(st.lists(st.tuples(st.integers() | st.text(), st.text()), unique_by=lambda answer: answer[0]))
def test_a_list_gives_every_id_and_text_back(answers: list[tuple[int | str, str]]) -> None:
    read = json.loads(submission_json(LIST, answers))
    assert [(one["questionId"], one["answer"]) for one in read] == answers


def test_an_object_names_each_answer_by_its_id() -> None:
    assert json.loads(submission_json(OBJECT, [("22Mex", "cab"), (5, "")])) == {
        "22Mex": {"direct_answer": "cab"},
        "5": {"direct_answer": ""},
    }


def test_two_answers_to_one_question_are_refused() -> None:
    with pytest.raises(ValueError, match="two answers for questionId 7; a server takes one"):
        submission_json(LIST, [(7, "a"), (7, "a")])


def test_the_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.json"
    for answers in ([(1, "old"), (2, "old")], [(1, "new")]):
        write_submission(path, LIST, answers)
    assert json.loads(path.read_text()) == [{"questionId": 1, "answer": "new"}]
    assert [child.name for child in path.parent.iterdir()] == ["answers.json"]


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    write_submission(tmp_path / "answers.json", LIST, [(1, "\ud800")])
    assert json.loads((tmp_path / "answers.json").read_text()) == [{"questionId": 1, "answer": "\ud800"}]
