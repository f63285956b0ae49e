import torch

from finetune.evaluate.look_behind import LookBehind


def test_on_a_cpu_what_is_posted_is_there() -> None:
    posts: LookBehind[str] = LookBehind(is_late=False)
    for number in range(3):
        posts.post(["a", "b"], torch.tensor([number, 10 + number]))
        assert list(posts.arrived()) == [("a", number), ("b", 10 + number)]


def test_late_numbers_arrive_with_those_that_they_were_posted_for() -> None:
    posts: LookBehind[str] = LookBehind(is_late=True)
    posts.post(["a", "b"], torch.tensor([1, 2]))
    assert list(posts.arrived()) == []
    posts.post(["c"], torch.tensor([3]))
    assert list(posts.arrived()) == [("a", 1), ("b", 2)]
    posts.post([], torch.tensor([], dtype=torch.int64))
    assert list(posts.arrived()) == [("c", 3)]


def test_flags_can_be_posted() -> None:
    posts: LookBehind[int] = LookBehind(is_late=False)
    posts.post([4, 5], torch.tensor([True, False]))
    assert list(posts.arrived()) == [(4, True), (5, False)]
