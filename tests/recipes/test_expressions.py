"""Which words name which object."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.types import Instance, Sample
from recipes.expressions import expressions_of, identity, named_objects


def _object(label: str, left: float, *expressions: str, is_crowd: bool = False) -> Instance:
    box = Box(top=0, left=left, bottom=1, right=left + 0.1)
    return Instance(label=label, box=box, is_crowd=is_crowd, expressions=expressions)


def _names(*instances: Instance) -> list[tuple[str, float]]:
    sample = Sample(sample_id="7", origin="a:1", images=(), instances=instances)
    return [(named.expression, named.target.box.left) for named in named_objects(sample)]


def test_every_expression_of_an_object_names_it() -> None:
    left, right = _object("dog", 0.0, "the left dog", "a brown one"), _object("dog", 0.5, "the right dog")
    assert _names(left, right) == [("the left dog", 0.0), ("a brown one", 0.0), ("the right dog", 0.5)]


def test_an_object_without_an_expression_is_named_by_its_label_if_nothing_else_answers_to_it() -> None:
    assert _names(_object("dog", 0.0), _object("cat", 0.5)) == [("dog", 0.0), ("cat", 0.5)]
    assert _names(_object("dog", 0.0), _object("dog", 0.5)) == []
    assert _names(_object("dog", 0.0), _object("dog", 0.5, "the right dog")) == [("the right dog", 0.5)]
    assert _names(_object("dog", 0.0), _object("pet", 0.5, "dog")) == [("dog", 0.5)]
    assert _names(_object("dog", 0.0), _object("dog", 0.5, is_crowd=True)) == []


def test_an_expression_that_was_written_for_two_objects_names_neither() -> None:
    assert _names(_object("dog", 0.0, "a dog", "left"), _object("dog", 0.5, "a dog")) == [("left", 0.0)]
    assert _names(_object("dog", 0.0, "a dog"), _object("dog", 0.5, "a dog", is_crowd=True)) == []


def test_an_object_may_be_annotated_once_for_each_of_its_names() -> None:
    again = [_object("dog", 0.0, "left"), _object("dog", 0.0, "left", "brown"), _object("the old one", 0.0)]
    assert _names(*again) == [("left", 0.0), ("brown", 0.0), ("the old one", 0.0)]


def test_an_object_that_stands_alone_is_called_by_its_expression() -> None:
    dog = _object("dog", 0.0, "left", "brown")
    (first, _) = named_objects(Sample(sample_id="7", origin="a:1", images=(), instances=(dog,)))
    assert first.alone == replace(dog, label="left", expressions=())


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from([0.0, 0.25, 0.5]), st.sampled_from(["", *"abc"]), st.booleans()
        ),
        max_size=6,
    )
)
def test_no_two_objects_are_ever_asked_for_by_the_same_words(drawn: list[tuple[str, float, str, bool]]) -> None:
    instances = [_object(label, left, *said, is_crowd=is_crowd) for label, left, said, is_crowd in drawn]
    named = named_objects(Sample(sample_id="7", origin="a:1", images=(), instances=tuple(instances)))
    assert len({one.expression for one in named}) == len(named)
    for one in named:
        assert one.expression in expressions_of(one.target)
        assert not one.target.is_crowd
        assert all(
            identity(other) == identity(one.target) for other in instances if one.expression in other.expressions
        )


def test_words_that_several_share_can_be_kept_for_each_of_them() -> None:
    dogs = (_object("dog", 0.0, "a dog", "left"), _object("dog", 0.5, "a dog"), _object("dog", 0.7, is_crowd=True))
    sample = Sample(sample_id="7", origin="a:1", images=(), instances=dogs)
    shared = [(one.expression, one.target.box.left) for one in named_objects(sample, shared=True)]
    assert shared == [("a dog", 0.0), ("left", 0.0), ("a dog", 0.5)]
