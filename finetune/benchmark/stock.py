"""The stock baseline: transformers' Trainer with peft, with everything off that is not training.

`Trainer.train` runs as it is, in a thread of its own, and waits for permission at the start of every step: so its own
overheads count, and its steps can be taken in turn with those of the others. While it waits, it does nothing.
"""

import tempfile
from collections.abc import Sequence
from threading import Semaphore, Thread
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from finetune.benchmark.choices import Workload
from finetune.benchmark.model import num_bytes, peers_model, plain_modules, use_attention
from finetune.benchmark.samples import Window, transformers_inputs
from finetune.benchmark.variants import CLIP_NORM, ENDLESS_STEPS, LEARNING_RATE
from finetune.settings import Precision


class _ClosedError(Exception):
    """Ends the thread of a trainer that nobody will ask for another step."""


class _Turns(TrainerCallback):  # type: ignore[misc]
    """Lets the trainer do one step for each permission."""

    def __init__(self) -> None:
        self.allowed, self.done = Semaphore(0), Semaphore(0)
        self.is_closed = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.allowed.acquire()
        if self.is_closed:
            raise _ClosedError

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self.done.release()


class _KeepsLoss(Trainer):  # type: ignore[misc]
    """The trainer, which would shuffle the windows, and with logging off tell nobody its losses."""

    last_loss: Tensor | None = None

    def _get_train_sampler(self, *arguments: Any, **named: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def training_step(self, *arguments: Any, **named: Any) -> Tensor:
        loss: Tensor = super().training_step(*arguments, **named)
        self.last_loss = loss
        return loss


class Stock:
    """Trainer and peft: bf16, adamw_torch_fused, the fastest right attention, batches collated beforehand.

    Args:
        is_checkpointed: With `gradient_checkpointing=True`, which most recipes set.
    """

    def __init__(
        self, base: nn.Module, workload: Workload, windows: Sequence[Window], *, is_checkpointed: bool
    ) -> None:
        self._model: Any = peers_model(base, workload)
        self._attention = use_attention(plain_modules(self._model), workload)
        self._is_checkpointed = is_checkpointed
        self._turns = _Turns()
        self._folder = tempfile.TemporaryDirectory()
        # The trainer tells of what it was given, at length; none of it is news here.
        logging.set_verbosity_error()
        self._trainer = _KeepsLoss(
            model=self._model,
            args=_arguments(self._folder.name, workload, is_checkpointed=is_checkpointed),
            train_dataset=[transformers_inputs(window) for window in windows],
            data_collator=lambda windows: windows[0],
            callbacks=[self._turns],
        )
        self._failure: BaseException | None = None
        self._thread: Thread | None = None

    @property
    def what(self) -> str:
        checkpointing = "gradient_checkpointing=True, " if self._is_checkpointed else ""
        return f"transformers Trainer and peft: {checkpointing}adamw_torch_fused, {self._attention} attention"

    def step(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._train, daemon=True)
            self._thread.start()
        self._turns.allowed.release()
        self._turns.done.acquire()
        if self._failure is not None:
            raise self._failure

    def loss(self) -> float:
        loss = self._trainer.last_loss
        return float("nan") if loss is None else float(loss)

    def held_bytes(self) -> int:
        states = [value for state in self._trainer.optimizer.state.values() for value in state.values()]
        tensors = [value for value in states if isinstance(value, Tensor)]
        return num_bytes(iter([*self._model.parameters(), *tensors]))

    def close(self) -> None:
        """End the trainer's thread."""
        self._turns.is_closed = True
        self._turns.allowed.release()
        if self._thread is not None:
            self._thread.join()
        self._folder.cleanup()

    def _train(self) -> None:
        try:
            self._trainer.train()
        except _ClosedError:
            pass
        except BaseException as error:  # Whatever it is, the thread that waits for the step must hear of it.
            self._failure = error
            self._turns.done.release()


def _arguments(folder: str, workload: Workload, *, is_checkpointed: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        # Batches are collated: the loader's unit is a whole one.
        per_device_train_batch_size=1,
        max_steps=ENDLESS_STEPS,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=CLIP_NORM,
        optim="adamw_torch_fused",
        bf16=workload.precision is Precision.bf16,
        gradient_checkpointing=is_checkpointed,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
