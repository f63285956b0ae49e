"""Which parameters decay, and at which learning rate each trains.

One group for each part of the model and each of its two kinds (kernels that decay, everything else), in the order of
`Part`. Groups carry names, so that a saved optimizer finds its parameters by name and not by position.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from finetune.model.parts import Part, part_of
from finetune.settings import PartMultipliers

if TYPE_CHECKING:
    from torch import nn

    from finetune.engine.optimizer import OptimizerChoice

# peft names every tensor that it adds lora_A, lora_B, lora_embedding_A, lora_magnitude_vector, ...
_ADAPTER = "lora_"


def parameter_groups(
    model: "nn.Module", choice: "OptimizerChoice", multipliers: PartMultipliers
) -> list[dict[str, Any]]:
    """Sort what trains into groups for a torch optimizer.

    Returns:
        One dictionary a group: `params` ((name, parameter) pairs), `part`, `peak_learning_rate`, `lr` (the same) and
        `weight_decay`. Groups that would be empty are left out.

    Raises:
        ValueError: If nothing trains.
    """
    decaying = set(_decaying_names(model, choice))
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("nothing trains: every part is frozen; set freeze.decoder=false, or choose peft=lora")
    groups = []
    for part in Part:
        for decays in (True, False):
            members = [
                (name, parameter)
                for name, parameter in trainable
                if part_of(name) is part and (name in decaying) is decays
            ]
            rate = choice.learning_rate * float(getattr(multipliers, part.value))
            if members:
                groups.append(
                    {
                        "params": members,
                        "part": part.value,
                        "peak_learning_rate": rate,
                        "lr": rate,
                        "weight_decay": choice.weight_decay if decays else 0.0,
                    }
                )
    return groups


def decay_without_effect(choice: "OptimizerChoice", groups: Sequence[dict[str, Any]]) -> str | None:
    """Say which setting of decay reaches nothing that trains; None where each does what it says.

    Args:
        groups: What `parameter_groups` made for the choice.
    """
    names = [name for group in groups if group["weight_decay"] for name, _ in group["params"]]
    where = f"decay_parts=[{','.join(choice.decay_parts)}]"
    if not choice.weight_decay:
        return "decay_adapters=true has no effect: weight_decay is 0" if choice.decay_adapters else None
    if not names:
        where = f"{where} and decay_adapters={str(choice.decay_adapters).lower()}"
        return f"weight_decay={choice.weight_decay:g} reaches no parameter that trains, with {where}"
    if choice.decay_adapters and not any(_ADAPTER in name for name in names):
        return "decay_adapters=true has no effect: no adapter trains"
    return None


def check_multipliers(model: "nn.Module", multipliers: PartMultipliers) -> None:
    """Refuse a factor on the learning rate of a part that does not train.

    Raises:
        ValueError: Naming the setting.
    """
    trained = {part_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    for part in Part:
        factor = getattr(multipliers, part.value)
        if factor != 1 and part not in trained:
            raise ValueError(
                f"learning_rates.{part.value}={factor} has no effect: nothing of that part trains; set it to 1, or let "
                "the part train (peft, freeze)"
            )


def check_decay_parts(names: Sequence[str]) -> None:
    """Refuse a part that no PaliGemma has."""
    known = [part.value for part in Part]
    for name in names:
        if name not in known:
            raise ValueError(f"decay_parts must name parts of the model ({', '.join(known)}), got {name!r}")


def _decaying_names(model: "nn.Module", choice: "OptimizerChoice") -> Iterator[str]:
    """Yield the parameters that decay: kernels, as the original's `.*/kernel` names them.

    Embedding tables have two dimensions and are no kernels, so the module's class decides, not the shape alone.
    """
    from torch import nn

    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            if parameter.ndim < 2:
                continue
            if _ADAPTER in name:
                if choice.decay_adapters:
                    yield name
            elif not isinstance(module, nn.Embedding) and part_of(name).value in choice.decay_parts:
                yield name
