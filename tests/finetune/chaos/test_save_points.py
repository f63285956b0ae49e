"""Every named moment of a save is killed at."""

from finetune.chaos.save_points import _cases, _is_before_first
from finetune.engine.faults import POINTS, RETENTION_POINTS, SAVE_POINTS


def test_every_moment_is_tried_in_a_first_and_in_a_later_save() -> None:
    cases = [(point, save) for _, point, save in _cases("lora", is_brief=False)]
    assert {point for point, _ in cases} == set(POINTS)
    assert all((point, 1) in cases and (point, 3) in cases for point in SAVE_POINTS)
    assert len(cases) == len(set(cases)) == 2 * len(POINTS) - len(RETENTION_POINTS)


def test_a_brief_test_still_tries_every_moment_once() -> None:
    points = [point for _, point, _ in _cases("lora", is_brief=True)]
    assert sorted(points) == sorted(POINTS)


def test_only_before_the_first_rename_may_there_be_no_checkpoint() -> None:
    assert _is_before_first("manifest.synced", 1)
    assert not _is_before_first("folder.renamed", 1)
    assert not _is_before_first("manifest.synced", 3)
