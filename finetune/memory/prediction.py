"""Peak memory of a training step as configured, for each way of checkpointing, and what fits on a card."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from finetune.data.packing import Batch, pack
from finetune.engine.optimizer import AdamW8bit, OptimizerChoice
from finetune.engine.parameter_groups import parameter_groups
from finetune.engine.schedule import Constant
from finetune.engine.step import StepRules
from finetune.memory.formats import EightBitMoments, in_nf4
from finetune.memory.tracing import StepMemory, trace_step
from finetune.model.choices import ModelInputs
from finetune.model.skeleton import ModelChoice, build_skeleton, read_config
from finetune.peft.lora import Lora, Quantization
from finetune.peft.method import PeftMethod
from finetune.settings import Checkpointing, DataSettings, PartFlags, PartMultipliers, TrainingSettings
from finetune.types import TokenizedExample

# From the fastest to the leanest.
LADDER = tuple(rung for rung in Checkpointing if rung is not Checkpointing.auto)
GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A micro-batch by its sizes.

    Args:
        num_examples: One a row.
        images: Of each example.
        text_tokens: Of each example: prefix, newline, suffix and EOS; BOS is not counted.
        target_tokens: How many of them the loss falls on.
    """

    num_examples: int
    images: int
    text_tokens: int
    target_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one way of checkpointing takes.

    Args:
        step: Of the shape that was asked about.
        per_example: How much the peak of forward and backward grows with one example more, in bytes.
        fixed: That peak without examples, in bytes.
    """

    rung: Checkpointing
    step: StepMemory
    per_example: float
    fixed: float

    def largest(self, free: float) -> int:
        """Return how many examples fit into so many bytes; 0 where not even one does."""
        if self.step.update_peak > free:
            return 0
        return max(0, int((free - self.fixed) // self.per_example))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The settings that decide how much memory a step takes."""

    model: ModelChoice
    peft: PeftMethod
    freeze: PartFlags
    optimizer: OptimizerChoice
    learning_rates: PartMultipliers
    training: TrainingSettings

    def trace(self, shape: Shape, rung: Checkpointing, *, on_gpu: bool = False) -> StepMemory:
        """Trace one step on one process.

        Args:
            on_gpu: Whether kernels are a GPU's.

        Raises:
            ValueError: If the model's dimensions cannot be read.
        """
        inputs = self.model.read_inputs()
        rules = StepRules(
            # Compiled layers keep no more, and tensors without numbers cannot be compiled for.
            training=replace(self.training, gradient_checkpointing=rung, compile_layers=False),
            schedule=Constant(),
            total_steps=1,
            vocabulary_size=inputs.tokenizer.vocabulary_size,
            seed=0,
        )
        # Adapters are drawn, even on tensors without numbers.
        with torch.random.fork_rng(devices=[]):
            model = self.skeleton()
            step = trace_step(model, batch_of(shape, inputs), rules, self._build_optimizer, on_gpu=on_gpu)
        if self._quantization is Quantization.none:
            return step
        return in_nf4(step, _decoder_linears(model), self._quantization)

    def predict(self, shape: Shape, rung: Checkpointing, *, on_gpu: bool = False) -> Prediction:
        """Trace a micro-batch and one of twice as many examples: the peak grows evenly between and beyond them."""
        step = self.trace(shape, rung, on_gpu=on_gpu)
        doubled = self.trace(replace(shape, num_examples=2 * shape.num_examples), rung, on_gpu=on_gpu)
        per_example = (doubled.backward_peak - step.backward_peak) / shape.num_examples
        fixed = step.backward_peak - per_example * shape.num_examples
        return Prediction(rung=rung, step=step, per_example=per_example, fixed=fixed)

    def skeleton(self) -> nn.Module:
        """Return the model without weights, with what trains chosen; linears that would be in NF4 are plain."""
        model = build_skeleton(read_config(self.model), self.model.dtype)
        peft = self.peft
        if isinstance(peft, Lora):
            peft = replace(peft, quantization=Quantization.none)
        peft.apply(model, self.freeze, self.model.trainable_dtype)
        return model

    @property
    def _quantization(self) -> Quantization:
        return self.peft.quantization if isinstance(self.peft, Lora) else Quantization.none

    def _build_optimizer(self, model: nn.Module) -> Optimizer:
        groups = parameter_groups(model, self.optimizer, self.learning_rates)
        if isinstance(self.optimizer, AdamW8bit):
            return EightBitMoments(groups, min_8bit_size=self.optimizer.min_8bit_size)
        return self.optimizer.build(groups)


def _decoder_linears(model: nn.Module) -> list[nn.Linear]:
    """Return what QLoRA quantises: the decoder's linears, adapters left out."""
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and "language_model." in name and "lora_" not in name
    ]


def longest_shape(training: TrainingSettings, data: DataSettings, *, text_tokens: int | None = None) -> Shape:
    """Return the largest micro-batch that the settings allow, nearly all of its text to be learnt.

    Args:
        text_tokens: Another length of text, at least 2.
    """
    text_tokens = text_tokens or data.max_text_tokens
    return Shape(
        num_examples=training.micro_batch_size,
        images=data.num_images or 1,
        text_tokens=text_tokens,
        # The newline after an empty prefix is never learnt.
        target_tokens=text_tokens - 1,
    )


def generous_bound(subject: Subject, shape: Shape) -> float:
    """Return bytes that a step beside the weights stays below, by multiplication alone.

    A layer keeps at most 30 numbers of 4 bytes for each of its width and 8 for each of its MLP's, attention left out
    where fused; the sizes measured on transformers' eager layers are half of that.
    """
    config = read_config(subject.model)
    decoder, vision = config.text_config, config.vision_config
    num_image_tokens = shape.images * (vision.image_size // vision.patch_size) ** 2
    length = num_image_tokens + 1 + shape.text_tokens
    of_decoder = decoder.num_hidden_layers * 4 * (30 * decoder.hidden_size + 8 * decoder.intermediate_size)
    of_vision = vision.num_hidden_layers * 4 * (30 * vision.hidden_size + 8 * vision.intermediate_size)
    # Where the scores of attention are spelled out, one layer's at a time.
    of_scores = 4 * 4 * decoder.num_attention_heads * length
    of_example = length * (of_decoder + of_scores) + num_image_tokens * of_vision
    with torch.random.fork_rng(devices=[]):
        model = subject.skeleton()
    num_trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    bound: float = shape.num_examples * of_example + 16 * num_trained + GIB
    return bound


def batch_of(shape: Shape, inputs: ModelInputs) -> Batch:
    """Return a batch of this shape; what it says does not matter."""
    tokenizer = inputs.tokenizer
    num_prefix = shape.text_tokens - shape.target_tokens
    image = np.full(shape.images * inputs.num_image_tokens, tokenizer.image_token_id)
    text = np.full(1 + shape.text_tokens, tokenizer.bos_id)
    is_suffix = np.arange(len(image) + len(text)) > len(image) + num_prefix
    examples = [
        TokenizedExample(
            sample_id=str(place),
            input_ids=np.concatenate([image, text]),
            is_suffix=is_suffix,
            num_image_tokens=len(image),
        )
        for place in range(shape.num_examples)
    ]
    pixels = torch.zeros(shape.num_examples * shape.images, 3, inputs.image_size, inputs.image_size, dtype=torch.uint8)
    return pack(examples, pixels, image_token_id=tokenizer.image_token_id)
