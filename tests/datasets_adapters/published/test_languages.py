"""The languages of Crossmodal-3600."""

from datasets_adapters.published.languages import COCO_LANGUAGES, XM3600_LANGUAGES


def test_there_are_35_languages_to_train_on_and_one_more_to_evaluate_on() -> None:
    assert len(set(COCO_LANGUAGES)) == 35
    assert set(XM3600_LANGUAGES) - set(COCO_LANGUAGES) == {"quz"}


def test_both_stand_in_the_order_of_their_codes() -> None:
    assert list(COCO_LANGUAGES) == sorted(COCO_LANGUAGES)
    assert list(XM3600_LANGUAGES) == sorted(XM3600_LANGUAGES)
