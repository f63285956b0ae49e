import torch

from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.samples import IGNORE_INDEX, draw_windows, facts_of, our_batch, transformers_inputs


def test_windows_are_the_same_every_time_and_differ_from_one_another(workload_of) -> None:  # type: ignore[no-untyped-def]
    workload = workload_of()
    dimensions = dimensions_of(workload.size, 1)
    windows, again = draw_windows(workload, dimensions), draw_windows(workload, dimensions)
    assert len(windows) == 32
    assert torch.equal(windows[3].pixels, again[3].pixels)
    assert windows[3].examples[0].input_ids.tolist() == again[3].examples[0].input_ids.tolist()
    assert not torch.equal(windows[0].pixels, windows[1].pixels)


def test_both_forms_hold_the_same_examples(workload_of) -> None:  # type: ignore[no-untyped-def]
    workload = workload_of()
    dimensions = dimensions_of(workload.size, 1)
    window = draw_windows(workload, dimensions)[0]
    ours, theirs = our_batch(window, dimensions, None), transformers_inputs(window)
    is_real = theirs["attention_mask"].bool()
    assert is_real.sum() == sum(one.total for one in window.lengths)
    assert theirs["input_ids"][is_real].tolist() == [i for one in window.examples for i in one.input_ids.tolist()]
    labels = theirs["labels"]
    assert labels[labels != IGNORE_INDEX].tolist() == ours.targets.tolist()
    assert torch.equal(theirs["token_type_ids"].bool(), labels != IGNORE_INDEX)
    assert theirs["pixel_values"].amin() >= -1
    assert theirs["pixel_values"].amax() <= 1


def test_the_facts_say_what_was_drawn(workload_of) -> None:  # type: ignore[no-untyped-def]
    workload = workload_of(length_spread=0.0, prefix_tokens=16, suffix_tokens=32, batch=4)
    windows = draw_windows(workload, dimensions_of(workload.size, 1))
    facts = facts_of(windows, workload)
    assert facts["tokens_per_step"] == facts["padded_tokens_per_step"] == 4 * (4 + 48)
    assert facts["targets_per_step"] == 128
    assert facts["suffix_tokens"] == {"smallest": 32, "median": 32, "largest": 32}
