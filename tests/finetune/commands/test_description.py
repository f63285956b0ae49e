"""What is told about a run, and what of it must not change."""

import json
from dataclasses import dataclass, replace

import pytest

from finetune.commands.description import identity_of, run_facts
from finetune.commands.session import Session, encoder_of
from finetune.config.schema import RunConfig
from finetune.engine.distributed import Ranks
from finetune.engine.schedule import Cosine
from finetune.model.choices import TinyModel
from finetune.settings import EvaluationSettings, Precision


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """A user's own data set."""

    path: str
    access_token: str = "canary-token"


@pytest.fixture
def session() -> Session:
    model = TinyModel(image_size=28, vision_width=32, vision_depth=1, decoder_width=64, decoder_depth=1)
    loaded = model.load()
    dataset = Elsewhere(path="https://me:canary@host/cells")
    config = RunConfig(name="cells", model=model, dataset=dataset, schedule=Cosine())
    return Session(config=config, ranks=Ranks(Precision.fp32), loaded=loaded, encoder=encoder_of(config, loaded))


def test_neither_the_identity_nor_the_card_of_a_run_holds_a_secret(session: Session) -> None:
    identity = json.dumps(identity_of(session).settings)
    card = run_facts(session.config, 0).settings
    for text in (identity, card):
        assert "https://<hidden>@host/cells" in text
        assert "canary" not in text


def test_another_password_is_the_same_run_and_another_address_is_not(session: Session) -> None:
    def identity(path: str) -> str:
        config = replace(session.config, dataset=Elsewhere(path=path, access_token="another-token"))
        return identity_of(replace(session, config=config)).sha256

    assert identity("https://me:new@host/cells") == identity_of(session).sha256
    assert identity("https://me:canary@host/other") != identity_of(session).sha256


def test_how_closely_a_run_is_watched_may_change(session: Session) -> None:
    config = replace(session.config, name="moved", evaluation=EvaluationSettings(every_steps=3))
    assert identity_of(replace(session, config=config)).sha256 == identity_of(session).sha256
