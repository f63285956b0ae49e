from finetune.names import dotted_names, hint, near

KNOWN = [
    "training",
    "training.max_steps",
    "training.micro_batch_size",
    "training.epochs",
    "evaluation",
    "evaluation.batch_size",
    "evaluation.every_steps",
    "checkpoint",
    "checkpoint.every_steps",
    "optimizer",
    "optimizer.learning_rate",
    "seed",
]


def test_a_misspelt_setting_is_found_in_its_section() -> None:
    assert near("training.max_step", KNOWN)[0] == "training.max_steps"


def test_a_misspelt_section_is_found_by_the_setting() -> None:
    assert near("trainng.max_steps", KNOWN)[0] == "training.max_steps"
    assert near("evaluaton.every_steps", KNOWN)[0] == "evaluation.every_steps"


def test_a_setting_without_its_section_is_found() -> None:
    assert near("learning_rate", KNOWN) == ["optimizer.learning_rate"]


def test_initials_are_understood() -> None:
    assert near("lr", KNOWN) == ["optimizer.learning_rate"]


def test_a_shorter_name_brings_up_every_longer_one() -> None:
    assert set(near("batch_size", KNOWN)) == {"evaluation.batch_size", "training.micro_batch_size"}


def test_a_shared_section_does_not_make_settings_similar() -> None:
    assert near("training.foo", KNOWN) == []
    assert hint("training.foo", KNOWN) == "known: training.epochs, training.max_steps, training.micro_batch_size"


def test_where_nothing_is_near_the_top_level_is_listed() -> None:
    assert hint("zzz.yyy", KNOWN) == "known: checkpoint, evaluation, optimizer, seed, training"


def test_dotted_names_hold_sections_and_settings() -> None:
    assert dotted_names({"a": {"b": {"c": 1}}, "d": None}) == ["a", "a.b", "a.b.c", "d"]


def test_names_that_are_no_settings_are_found_as_well() -> None:
    assert hint("plateletes", ["Platelets", "RBC", "WBC"]) == "did you mean Platelets?"
    assert hint("cell", ["Platelets", "RBC", "WBC"]) == "known: Platelets, RBC, WBC"
