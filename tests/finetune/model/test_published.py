import pytest

from finetune.model.published import published_name


@pytest.mark.parametrize(
    ("generation", "width", "layers", "name"),
    [
        (1, 2048, 18, "paligemma-3b"),
        (2, 2304, 26, "paligemma2-3b"),
        (2, 3584, 42, "paligemma2-10b"),
        (2, 4608, 46, "paligemma2-28b"),
        (1, 2304, 26, None),
        (2, 192, 4, None),
    ],
)
def test_a_model_is_known_by_its_decoders_size_whatever_it_is_called(
    generation: int, width: int, layers: int, name: str | None
) -> None:
    assert published_name("my/own", generation=generation, width=width, layers=layers) == name


def test_a_model_tuned_to_the_mixture_is_another_one() -> None:
    own = {"generation": 1, "width": 2048, "layers": 18}
    assert published_name("google/paligemma-3b-mix-224", **own) == "paligemma-3b-mix"
    assert published_name("my-mix-224", generation=2, width=192, layers=4) is None
