"""Write docs/transfers.md anew: every transfer with its data, its scores and the published figures.

python scripts/list_transfers.py
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import yaml

from finetune.leaderboard.figures import Figure, published
from finetune.types import DataCard, Published

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "transfers.md"
_DATASETS = REPOSITORY / "conf" / "dataset"
# Test sets by language would fill the page.
_MOST_SPLITS = 9
_HEAD = """# The paper's transfers

One line each: `finetune train experiment=<name> model.variant=pt-<pixels> dataset.root=<folder>`. The experiment's file
under `conf/experiment` says how to tune and what is uncertain; `finetune inspect experiment=<name>` says what to
download, and with `dataset.root=<folder>` counts what lies there. `python scripts/list_transfers.py` writes this page.

"""


def page() -> str:
    """Return the page's text."""
    datasets = _golden().transfers()
    cards = {name: card for name, dataset in datasets.items() if (card := _card_of(dataset)) is not None}
    data = [
        f"| `{name}` | [{card.title}]({card.homepage.split(' ')[0]}) | {card.licence} | {_counted(card)} |"
        for name, card in cards.items()
    ]
    figures = [line for name in datasets for line in _figures_of(name)]
    sources = [f"- {title}: {where}" for title, where in published().sources.items()]
    return "\n".join(
        [
            _HEAD.rstrip(),
            "",
            "| `experiment=` | data | licence | rows as published |",
            "|---|---|---|---|",
            *data,
            "",
            "## Published figures",
            "",
            "Times 100, but where the text says otherwise; `finetune report RUNS...` puts yours beside them.",
            "",
            "| `experiment=` | score | of | model | 224 | 448 | 896 | source |",
            "|---|---|---|---|--:|--:|--:|---|",
            *figures,
            "",
            *sources,
            "",
        ]
    )


def _counted(card: DataCard) -> str:
    counts = [f"{split} {count:,}" for split, count in card.counts.items()]
    more = len(counts) - _MOST_SPLITS
    return ", ".join(counts) if more <= 0 else f"{', '.join(counts[:_MOST_SPLITS])} and {more} more"


def _figures_of(name: str) -> list[str]:
    return [line for figure in published().of(name) for line in _lines(figure)]


def _lines(figure: Figure) -> list[str]:
    models = list(dict.fromkeys(model for model, _ in figure.values))
    what = f"| `{figure.experiment}` | {figure.score}{'' if figure.percent else ' (as it is)'} | {figure.called} |"
    return [
        f"{what} {model} | {' | '.join(_cell(figure, model, side) for side in (224, 448, 896))} | {figure.source} |"
        for model in models
    ]


def _cell(figure: Figure, model: str, side: int) -> str:
    value = figure.values.get((model, side))
    return "" if value is None else f"{value:g}"


def _card_of(dataset: str) -> DataCard | None:
    target = yaml.safe_load((_DATASETS / f"{dataset}.yaml").read_text(encoding="utf-8"))["_target_"]
    module, _, name = target.rpartition(".")
    # A card may depend on the data set's settings; nothing is read before a split is opened.
    dataset_of_somebody = getattr(importlib.import_module(module), name)(root="given")
    return dataset_of_somebody.card if isinstance(dataset_of_somebody, Published) else None


def _golden() -> Any:
    spec = importlib.util.spec_from_file_location("golden", Path(__file__).parent / "regenerate_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(REPOSITORY))
