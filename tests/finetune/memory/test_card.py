"""What of a device a step may use."""

import pytest

from finetune.memory.card import CONTEXT, FRAGMENTATION, Card
from finetune.memory.prediction import GIB


def test_a_card_by_its_size_keeps_room_for_the_driver_and_for_fragments() -> None:
    card = Card.of_size(24)
    assert card.is_gpu
    assert card.free == 24 * GIB - CONTEXT
    assert card.fits(card.free_for_tensors)
    assert not card.fits(card.free)
    assert card.taken(100.0) == pytest.approx(100 * (1 + FRAGMENTATION))


def test_processes_of_one_host_share_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("finetune.memory.card._free_on_host", lambda: 10 * GIB)
    alone, shared = Card.here(), Card.here(sharing=2)
    assert not alone.is_gpu
    assert shared.free == alone.free / 2
