"""LoRA: low-rank adapters beside frozen linear layers, chosen by part of the model; QLoRA: the decoder's in NF4."""

import importlib.util
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from finetune.model.parts import Part
from finetune.settings import PartFlags, Precision, above, at_least, between

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

# The levels between a part and its layers differ between key layouts ("vision_model", a second "model"): any will do.
_TARGETS = {
    "decoder_attention": (Part.decoder, r"(.*\.)?language_model\.(.*\.)?self_attn\.(q|k|v|o)_proj"),
    "decoder_mlp": (Part.decoder, r"(.*\.)?language_model\.(.*\.)?mlp\.(gate|up|down)_proj"),
    "connector": (Part.connector, r"(.*\.)?multi_modal_projector\.linear"),
    "image_encoder": (
        Part.image_encoder,
        r"(.*\.)?vision_tower\.(.*\.)?(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])",
    ),
}


class Quantization(Enum):
    """What the decoder's frozen linear layers are kept in; nothing else is ever quantised.

    Bytes for each of their weights: 2 in bf16, 0.56 in NF4, 0.52 where the scales of its blocks are quantised too.
    """

    none = "none"
    nf4 = "nf4"
    nf4_double = "nf4_double"


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Train adapters on the chosen linear layers, and nothing else unless named.

    Layers compute through `finetune.peft.fused` where they can; products with NF4 are in `training.precision` too.

    Args:
        rank: Inner dimension of an adapter.
        alpha: An adapter's output is scaled by alpha / rank, or by alpha / sqrt(rank) with use_rslora.
        dropout: Share of an adapter's inputs dropped in training.
        use_rslora: Rank-stabilised scaling.
        use_dora: Weight-decomposed adapters: one trained magnitude for each output besides.
        decoder_attention, decoder_mlp, connector, image_encoder: Where adapters go. In the image encoder, that is the
            attention and the MLP of every layer.
        fully_trained: Parts trained in full beside the adapters: image_encoder, connector, embeddings, decoder.
        quantization: What all linear layers of the decoder are kept in, adapted or not. Needs bitsandbytes.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    decoder_attention: bool = True
    decoder_mlp: bool = True
    connector: bool = False
    image_encoder: bool = False
    fully_trained: list[str] = field(default_factory=list)
    quantization: Quantization = Quantization.none

    def __post_init__(self) -> None:
        at_least("peft.rank", self.rank, 1)
        above("peft.alpha", self.alpha, 0)
        between("peft.dropout", self.dropout, 0, 0.99)
        known = [part.name for part in Part]
        for name in self.fully_trained:
            if name not in known:
                raise ValueError(f"peft.fully_trained names parts of the model ({', '.join(known)}), got {name!r}")
        if self.quantization is not Quantization.none:
            self._check_quantization()

    def check(self, freeze: PartFlags) -> None:
        """Refuse settings that contradict one another.

        Raises:
            ValueError: If no adapter is chosen, a part is adapted or trained in full and frozen at once, or
                bitsandbytes is wanted and not installed.
        """
        if self.quantization is not Quantization.none and importlib.util.find_spec("bitsandbytes") is None:
            raise ValueError(
                f"peft.quantization={self.quantization.name} needs bitsandbytes, which is not installed; "
                "run `pip install 'paligemma-finetune[bnb]'` or choose peft=lora"
            )
        targets = self._targets()
        if not targets:
            raise ValueError(
                f"peft=lora has no target: set one of {', '.join(f'peft.{name}' for name in _TARGETS)} to true"
            )
        for name in targets:
            part = _TARGETS[name][0]
            if getattr(freeze, part.name):
                raise ValueError(f"freeze.{part.name}=true and peft.{name}=true contradict each other: choose one")
            if part.name in self.fully_trained:
                raise ValueError(
                    f"peft.{name}=true and peft.fully_trained={part.name} contradict each other: choose one"
                )
        for name in self.fully_trained:
            if getattr(freeze, name):
                raise ValueError(f"freeze.{name}=true and peft.fully_trained={name} contradict each other: choose one")

    def apply(self, model: "nn.Module", freeze: PartFlags, trainable_dtype: Precision) -> None:
        """Inject adapters and let them train, in `trainable_dtype`. In place; all parameters arrive frozen.

        Adapters are drawn from torch's global random state. Gradients are not forced onto the embeddings' outputs, as
        peft and transformers do for checkpointing: that would send a backward pass through the frozen image encoder.

        Raises:
            ValueError: If the rank is above what a layer's weight can have.
        """
        from peft import inject_adapter_in_model

        from finetune.model.dtype import to_torch_dtype
        from finetune.model.freeze import cast_trainable, train_parts
        from finetune.peft.fused import fuse_adapters

        self.check(freeze)
        self._check_rank(model)
        if self.quantization is not Quantization.none:
            from finetune.model.nf4_linear import quantize_decoder

            quantize_decoder(model, has_double_scales=self.quantization is Quantization.nf4_double)
        inject_adapter_in_model(self.to_peft(), model)
        train_parts(model, [Part[name] for name in self.fully_trained])
        cast_trainable(model, to_torch_dtype(trainable_dtype))
        fuse_adapters(model)

    def to_peft(self) -> "LoraConfig":
        """Return the same choice in peft's own words."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            use_rslora=self.use_rslora,
            use_dora=self.use_dora,
            target_modules=self._pattern(),
            task_type="CAUSAL_LM",
        )

    def _check_quantization(self) -> None:
        """Refuse what cannot be had with a quantised decoder."""
        name = f"peft.quantization={self.quantization.name}"
        if self.use_dora:
            raise ValueError(f"{name} and peft.use_dora=true are not combined here: set one of them back")
        if Part.decoder.name in self.fully_trained:
            raise ValueError(
                f"{name} freezes the decoder's linear layers, and peft.fully_trained=decoder trains them: choose one"
            )

    def _check_rank(self, model: "nn.Module") -> None:
        """Refuse a rank that costs more than the weight itself and can say no more, before it is allocated."""
        pattern = re.compile(self._pattern())
        sizes = {
            name: min(module.in_features, module.out_features)
            for name, module in model.named_modules()
            if pattern.fullmatch(name)
        }
        narrowest = min(sizes, key=sizes.__getitem__)
        if self.rank > sizes[narrowest]:
            raise ValueError(
                f"peft.rank={self.rank} is above the full rank {sizes[narrowest]} of {narrowest}; lower it, or choose "
                "peft=none to train in full"
            )

    def _pattern(self) -> str:
        return "|".join(_TARGETS[name][1] for name in self._targets())

    def _targets(self) -> list[str]:
        return [name for name in _TARGETS if getattr(self, name)]
