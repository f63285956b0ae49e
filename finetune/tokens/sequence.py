"""An example's text to ids, with what is prefix and what is suffix decided while the ids are laid down.

One example with two image tokens (I image, B BOS, p prefix, n newline, s suffix, E EOS):

    input_ids  I I B p p p n s s E
    is_suffix  . . . . . . . x x x      loss and causal attention on x, full attention among the dots

Prefix, newline and suffix are tokenised separately, so that no piece crosses a border: the ids of a prefix are the same
whatever follows it, which is what generation relies on.

Source:
    big_vision pp/proj/paligemma/ops.py (`tok`, `combine_and_keep_train`), 0127fb6.
"""

from collections.abc import Sequence

import numpy as np

from finetune.settings import OnOverlong
from finetune.tokens.tokenizer import Tokenizer
from finetune.types import BadSampleError, Example, TokenizedExample

CONTROL_TOKENS = ("<pad>", "<eos>", "<bos>", "<image>")


def tokenize(
    example: Example, tokenizer: Tokenizer, *, num_image_tokens: int, max_text_tokens: int, on_overlong: OnOverlong
) -> TokenizedExample:
    """Lay down a training example.

    Args:
        num_image_tokens: Placeholders of one image.
        max_text_tokens: Longest prefix + newline + suffix + EOS. With `truncate`, what is over is cut off on the right:
            EOS first, then the suffix from its end, then the prefix. An example without a suffix teaches nothing, and
            counts as one of its window all the same: the original's mean is over examples, this one's loss 0.

    Raises:
        BadSampleError: "control-token" if the text holds one; "too-long" if it is refused.
    """
    _refuse_control_tokens(example)
    before = [*tokenizer.encode(example.prefix), tokenizer.newline_id]
    after = [*tokenizer.encode(example.suffix), tokenizer.eos_id]
    room = max_text_tokens - len(before)
    if len(after) > room and on_overlong is OnOverlong.refuse:
        raise _too_long(example, len(before) + len(after), max_text_tokens)
    return _lay_down(example, tokenizer, num_image_tokens, before[:max_text_tokens], after[: max(0, room)])


def tokenize_prefix(
    example: Example, tokenizer: Tokenizer, *, num_image_tokens: int, max_text_tokens: int, on_overlong: OnOverlong
) -> TokenizedExample:
    """Lay down what comes before generation: no suffix, no EOS, nothing supervised.

    With `truncate` a long prefix loses its end but never its newline, without which the model would not know that it is
    its turn. (The original loses it.)

    Raises:
        BadSampleError: "control-token" if the prefix holds one; "too-long" if it is refused.
    """
    _refuse_control_tokens(example)
    prefix = tokenizer.encode(example.prefix)
    if len(prefix) + 1 > max_text_tokens and on_overlong is OnOverlong.refuse:
        raise _too_long(example, len(prefix) + 1, max_text_tokens)
    before = [*prefix[: max_text_tokens - 1], tokenizer.newline_id]
    return _lay_down(example, tokenizer, num_image_tokens, before, [])


def was_cut(example: Example, tokenized: TokenizedExample, tokenizer: Tokenizer) -> bool:
    """Whether `truncate` took something away."""
    whole = len(tokenizer.encode(example.prefix)) + 1
    if example.suffix or tokenized.num_targets:
        whole += len(tokenizer.encode(example.suffix)) + 1
    num_control_tokens = tokenized.num_image_tokens + 1
    return len(tokenized.input_ids) - num_control_tokens < whole


def _lay_down(
    example: Example, tokenizer: Tokenizer, num_image_tokens: int, before: Sequence[int], after: Sequence[int]
) -> TokenizedExample:
    placeholders = [tokenizer.image_token_id] * (num_image_tokens * len(example.images))
    seen = [*placeholders, tokenizer.bos_id, *before]
    return TokenizedExample(
        sample_id=example.sample_id,
        input_ids=np.array([*seen, *after], dtype=np.int64),
        is_suffix=np.repeat(np.array([False, True]), [len(seen), len(after)]),
        num_image_tokens=len(placeholders),
    )


def _refuse_control_tokens(example: Example) -> None:
    """Refuse text that our tokenizer takes literally and others, reading an export, take as the control token."""
    for field_name, text in (("prefix", example.prefix), ("suffix", example.suffix)):
        for token in CONTROL_TOKENS:
            if token in text:
                raise BadSampleError(
                    origin=example.sample_id,
                    sample_id=example.sample_id,
                    field_name=field_name,
                    code="control-token",
                    message=f"the text contains {token}, which marks structure and cannot be said; remove it",
                )


def _too_long(example: Example, length: int, max_text_tokens: int) -> BadSampleError:
    return BadSampleError(
        origin=example.sample_id,
        sample_id=example.sample_id,
        field_name="prefix and suffix",
        code="too-long",
        message=f"{length} text tokens exceed data.max_text_tokens={max_text_tokens}; raise it, shorten the text, or "
        "set data.on_overlong=truncate",
    )
