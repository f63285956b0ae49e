"""What LoRA trained as a peft adapter's folder, which plain peft loads on the plain base model."""

import os
from pathlib import Path

from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from finetune.export.model_card import RunFacts, render_card, write_card
from finetune.export.placing import placed
from finetune.export.portable import WHOLE_MODULES, check_portable
from finetune.export.preprocessing import Preprocessing, write_processor
from finetune.model.file_mode import share_tensors
from finetune.model.load import LoadedModel
from finetune.model.parts import part_of
from finetune.model.trained import trained_state
from finetune.peft.lora import Lora

# PeftModel wraps the base model twice: itself and the tuner.
_PREFIX = "base_model.model."


def check_adapter_export(
    loaded: LoadedModel, method: object, *, asked: str = "format=adapter", advice: str = "use format=merged"
) -> None:
    """Refuse what an adapter cannot carry.

    Args:
        asked, advice: As `check_portable`.

    Raises:
        ValueError: If the run did not train adapters, or trained or changed what plain peft would not restore.
    """
    check_portable(method, asked=asked, advice=advice)
    if loaded.image_size != loaded.base_image_size:
        raise ValueError(
            f"{asked} cannot carry the position embedding that model.image_size={loaded.image_size} resized "
            f"(the base has {loaded.base_image_size}); {advice}"
        )


def write_adapter(
    loaded: LoadedModel,
    method: object,
    folder: Path,
    run: RunFacts,
    preprocessing: Preprocessing,
    *,
    base_folder: Path | None = None,
) -> None:
    """Write adapter weights and config, processor and model card.

    peft and what reads its configs take a base model that is a folder relative to wherever they run: only an absolute
    path means the same everywhere on this machine. The card, which travels with both folders, says it relative to
    itself; its code hands the loaded base to `PeftModel.from_pretrained`, which does not look at the config's path.

    Args:
        base_folder: The plain base model where nobody could find it by its name; None: by its name.

    Raises:
        ValueError: If an adapter cannot carry what the run trained, or the folder holds something else.
    """
    check_adapter_export(loaded, method)
    assert isinstance(method, Lora)
    config = method.to_peft()
    config.base_model_name_or_path = loaded.base_name if base_folder is None else str(base_folder.resolve())
    config.revision = loaded.base_revision
    config.modules_to_save = [WHOLE_MODULES[name] for name in method.fully_trained] or None
    config.inference_mode = True
    base = None if base_folder is None else os.path.relpath(base_folder, folder)
    card = render_card(loaded, run, preprocessing, is_adapter=True, base=base)
    with placed(folder) as partial:
        save_file(_adapter_tensors(loaded, method), partial / "adapter_model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(partial)
        share_tensors(partial, like="adapter_config.json")
        write_processor(loaded, partial, preprocessing)
        write_card(partial, card, run)


def _adapter_tensors(loaded: LoadedModel, method: Lora) -> dict[str, Tensor]:
    # save_embedding_layers: the default asks the hub whether the vocabulary has grown; it never has.
    tensors = dict(get_peft_model_state_dict(loaded.model, save_embedding_layers=False))
    for name, tensor in trained_state(loaded.model).items():
        if ".lora_" not in name and part_of(name).name in method.fully_trained:
            tensors[name] = tensor
    return {_PREFIX + name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
