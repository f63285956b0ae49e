"""Peak memory of a training step as configured, for each way of checkpointing, and what fits on a card."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from finetune.data.packing import Batch, pack
from finetune.engine.optimizer import OptimizerChoice
from finetune.engine.parameter_groups import parameter_groups
from finetune.engine.schedule import Constant
from finetune.engine.step import StepRules
from finetune.memory.tracing import StepMemory, trace_step
from finetune.model.choices import ModelInputs
from finetune.model.skeleton import ModelChoice, build_skeleton, read_config
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
        per_example: How much the peak grows with one example more, in bytes.
        fixed: The peak without examples, in bytes.
    """

    rung: Checkpointing
    step: StepMemory
    per_example: float
    fixed: float

    def largest(self, free: float) -> int:
        """Return how many examples fit into so many bytes; 0 where not even one does."""
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

    def trace(self, shape: Shape, rung: Checkpointing) -> StepMemory:
        """Trace one step on one process.

        Raises:
            ValueError: If the model's dimensions cannot be read.
        """
        model = build_skeleton(read_config(self.model), self.model.dtype)
        self.peft.apply(model, self.freeze, self.model.trainable_dtype)
        inputs = self.model.read_inputs()
        rules = StepRules(
            training=replace(self.training, gradient_checkpointing=rung),
            schedule=Constant(),
            total_steps=1,
            vocabulary_size=inputs.tokenizer.vocabulary_size,
            seed=0,
        )
        return trace_step(
            model,
            batch_of(shape, inputs),
            rules,
            lambda model: self.optimizer.build(parameter_groups(model, self.optimizer, self.learning_rates)),
        )

    def predict(self, shape: Shape, rung: Checkpointing) -> Prediction:
        """Trace a micro-batch and one of twice as many examples: the peak grows evenly between and beyond them."""
        step = self.trace(shape, rung)
        doubled = self.trace(replace(shape, num_examples=2 * shape.num_examples), rung)
        per_example = (doubled.peak - step.peak) / shape.num_examples
        fixed = step.peak - per_example * shape.num_examples
        return Prediction(rung=rung, step=step, per_example=per_example, fixed=fixed)


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
    model = build_skeleton(config, subject.model.dtype)
    subject.peft.apply(model, subject.freeze, subject.model.trainable_dtype)
    num_trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return shape.num_examples * of_example + 16 * num_trained + GIB


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
