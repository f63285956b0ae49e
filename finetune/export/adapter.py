"""What LoRA trained as a peft adapter's folder, which plain peft loads on the plain base model."""

from pathlib import Path

from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from finetune.export.model_card import RunFacts, render_card
from finetune.export.preprocessing import Preprocessing, write_processor
from finetune.model.load import LoadedModel
from finetune.model.parts import Part, part_of
from finetune.model.trained import trained_state
from finetune.peft.lora import Lora

# PeftModel wraps the base model twice: itself and the tuner.
_PREFIX = "base_model.model."
_WHOLE_MODULES = {Part.image_encoder.name: "vision_tower", Part.connector.name: "multi_modal_projector"}


def check_adapter_export(loaded: LoadedModel, method: object) -> None:
    """Refuse what an adapter cannot carry.

    Raises:
        ValueError: If the run did not train adapters, or trained or changed what plain peft would not restore.
    """
    advice = "use format=merged"
    if not isinstance(method, Lora):
        raise ValueError(f"format=adapter needs a run with peft=lora; {advice}")
    for name in method.fully_trained:
        if name not in _WHOLE_MODULES:
            raise ValueError(f"format=adapter cannot carry peft.fully_trained={name}; {advice}")
    if loaded.image_size != loaded.base_image_size:
        raise ValueError(
            f"format=adapter cannot carry the position embedding that model.image_size={loaded.image_size} resized "
            f"(the base has {loaded.base_image_size}); {advice}"
        )


def write_adapter(
    loaded: LoadedModel, method: object, folder: Path, run: RunFacts, preprocessing: Preprocessing
) -> None:
    """Write adapter weights and config, processor and model card.

    Raises:
        ValueError: If an adapter cannot carry what the run trained.
    """
    check_adapter_export(loaded, method)
    assert isinstance(method, Lora)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_adapter_tensors(loaded, method), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = method.to_peft()
    config.base_model_name_or_path = loaded.base_name
    config.revision = loaded.base_revision
    config.modules_to_save = [_WHOLE_MODULES[name] for name in method.fully_trained] or None
    config.inference_mode = True
    config.save_pretrained(folder)
    write_processor(loaded, folder, preprocessing)
    card = render_card(loaded, run, preprocessing, is_adapter=True)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _adapter_tensors(loaded: LoadedModel, method: Lora) -> dict[str, Tensor]:
    # save_embedding_layers: the default asks the hub whether the vocabulary has grown; it never has.
    tensors = dict(get_peft_model_state_dict(loaded.model, save_embedding_layers=False))
    for name, tensor in trained_state(loaded.model).items():
        if ".lora_" not in name and part_of(name).name in method.fully_trained:
            tensors[name] = tensor
    return {_PREFIX + name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
