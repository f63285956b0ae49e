"""What a plain peft adapter can carry of a run, as far as its settings tell: known without torch, before training."""

from finetune.model.parts import Part
from finetune.peft.lora import Lora

# Parts that peft saves beside adapters, by the name of their module.
WHOLE_MODULES = {Part.image_encoder.name: "vision_tower", Part.connector.name: "multi_modal_projector"}


def check_portable(method: object, *, asked: str, advice: str) -> None:
    """Refuse what an adapter cannot carry.

    Args:
        method: The run's choice of what trains.
        asked: The setting that asks for an adapter, as messages call it.
        advice: What to do instead.

    Raises:
        ValueError: If the run does not train adapters, or trains what plain peft would not restore.
    """
    if not isinstance(method, Lora):
        raise ValueError(f"{asked} needs a run with peft=lora; {advice}")
    for name in method.fully_trained:
        if name not in WHOLE_MODULES:
            raise ValueError(f"{asked} cannot carry peft.fully_trained={name}; {advice}")
