"""A data set of the user's own with a secret among its settings, and a number that only sounds like one."""

from dataclasses import dataclass

from datasets_adapters.scenes import Scenes
from finetune.types import Source


@dataclass(frozen=True, kw_only=True)
class SecretScenes:
    """Drawn scenes behind a key."""

    address: str
    access_token: str
    num_memory_tokens: int = 7
    train_split: str = "train"
    eval_split: str = "eval"

    def open(self, split: str) -> Source:
        """Open one split."""
        return Scenes(num_train=8, num_eval=2).open(split)
