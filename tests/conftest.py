"""Shape annotations are checked in every test, and nothing here reaches a network."""

import os
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Before any of our modules, or a hub client, is imported.
install_import_hook(
    ("finetune", "recipes", "datasets_adapters"), "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)
os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="offline", TOKENIZERS_PARALLELISM="false")

# CI tries the same examples every time, people try new ones; neither is timed, for machines are shared.
hypothesis.settings.register_profile("people", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "people")

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The original's own outputs, where they are present."""
    folder = SHARED / "oracles"
    if not folder.is_dir():
        pytest.skip("the oracles of ../shared are not here")
    return folder


@pytest.fixture(scope="session")
def bccd() -> Path:
    """Real photographs of blood cells with boxes in VOC form, where they are present."""
    folder = SHARED / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("the photographs of ../shared are not here")
    return folder
