"""Write docs/transfers.md anew: every transfer with its data, its scores and the published figures.

python scripts/list_transfers.py
"""

import importlib.util
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module

from finetune.config.parse import parse
from finetune.config.register import register
from finetune.leaderboard.figures import Figure, published
from finetune.published import DataCard, Published

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "transfers.md"
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
    register("train")
    cards = {name: card for name in datasets if (card := _card_of(name)) is not None}
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


def _card_of(name: str) -> DataCard | None:
    """Return the card as the experiment's settings have it: some leave rows out."""
    with initialize_config_module("conf", version_base="1.3"):
        dataset = parse(compose("train", [f"experiment={name}", "dataset.root=given"])).dataset
    return dataset.card if isinstance(dataset, Published) else None


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
