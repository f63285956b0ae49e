"""Outline what an expression names: prefix `the left dog`, suffix `<loc0100><loc0200><loc0300><loc0400><seg012>…`.

As in the original's RefCOCO transfer, the prefix is the bare expression, the suffix is box and mask without a label.
Which words name an object: its expressions where somebody wrote some, or else its label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

import numpy as np

from finetune.evaluate.metrics.categories import check_categories, told_apart
from finetune.evaluate.metrics.expressions import ReferringScores
from finetune.tokens.objects import SpokenMask, format_mask, parse_mask
from finetune.tokens.segmentation import CodecChoice, choose_codec
from finetune.tokens.template import check_template, uses
from finetune.types import Example, Instance, Metric, Prediction, Sample
from recipes.expressions import Named, expressions_of, identity, named_objects
from recipes.mask_words import MissingMasks, check_masks, is_sayable, read_masks, say_masks
from recipes.missing import missing_annotation
from recipes.object_lists import bad
from recipes.turns import in_turn
from recipes.wording import ready_made, say


class TargetChoice(Enum):
    """Which object of an image is asked for: a new draw each time, or each one in its turn."""

    random = "random"
    cycle = "cycle"


class SharedExpressions(Enum):
    """What becomes of an expression that several objects of one image share."""

    leave_out = "leave_out"
    keep = "keep"


@dataclass(frozen=True, kw_only=True)
class ReferringSegmentation:
    """One expression, one mask. In training an image gives one object each time, and one of its expressions, drawn.

    In an evaluation every expression is a sample of its own. A ready-made prefix is the expression for the one object
    of its sample.

    Args:
        prefix: What the model is asked; {expression} is filled in.
        target: Which of an image's objects a training example asks for: one drawn each time, or each one once before
            any comes again, as the original has it.
        shared_expressions: Whether an expression that several objects of an image share, and that tells none of them
            from the others, is left out, or kept for each of them, as the original does.
        leave_out_unnamed: Whether images in which no expression names one object are left out, for which every row is
            read once before training; false saves that, and such an image is a bad sample.
        missing_masks: Whether objects without a mask refuse their sample, or are left out.
        mask_codec: What turns masks into codes: embedded, original, or the path of a file like vae-oid.npz; None:
            $FINETUNE_MASK_CODEC, or else embedded. Published weights speak the original's codes.
        categories: Kinds of samples, such as test sets, that scores are told apart by and averaged over; none: one
            score for all.
    """

    prefix: str = "{expression}"
    target: TargetChoice = TargetChoice.random
    shared_expressions: SharedExpressions = SharedExpressions.leave_out
    leave_out_unnamed: bool = True
    missing_masks: MissingMasks = MissingMasks.refuse
    mask_codec: str | None = None
    categories: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("expression",))
        if not uses(self.prefix, "expression"):
            raise ValueError(f"prefix must hold {{expression}}, or nothing says which object is meant: {self.prefix!r}")
        check_categories(self.categories)

    def codec(self) -> CodecChoice:
        """Return the codec in use.

        Raises:
            ValueError: If its file is missing or is none.
        """
        return choose_codec(self.mask_codec)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say one expression and its mask."""
        if sample.suffix is not None:
            if parse_mask(sample.suffix) is None:
                message = "does not begin with '<loc> x 4 <seg> x 16'; recipe=verbatim takes any suffix"
                raise bad(sample, "suffix", "malformed-objects", message)
            return say(sample, self._prefix_of(sample), sample.suffix, notes=ready_made(sample))
        named = self._draw(sample, rng)
        (spoken,) = say_masks(self.codec(), [named.target], sample)
        return say(sample, self._prefix_for(sample, named), format_mask(spoken), notes=self._notes(sample))

    def ask(self, sample: Sample) -> Example:
        """Say one expression alone: the first, where the sample was not divided."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take samples in which some expression names one object, or all without looking, as the setting says.

        Only reading a row tells, and it must be told beforehand: a step is a window of samples, each of them said.
        """
        return self._takes_part if self.leave_out_unnamed else None

    def divide(self, sample: Sample) -> tuple[Sample, ...]:
        """Return a sample for each expression, so that an evaluation asks for all of them."""
        if sample.prefix is not None or sample.suffix is not None or sample.instances is None:
            return (sample,)
        check_masks(sample, self.missing_masks)
        # Every label of the split, in every one of its samples, would be a lot to carry for nothing.
        return tuple(
            replace(sample, sample_id=f"{sample.sample_id}/{number}", instances=(named.alone,), label_set=())
            for number, named in enumerate(self._sayable(sample))
        )

    def reference(self, sample: Sample) -> str:
        """Return the true mask as the model would say it."""
        if sample.suffix is not None:
            return sample.suffix
        targets = [named.target for named in self._named(sample)[:1]]
        return "".join(format_mask(spoken) for spoken in say_masks(self.codec(), targets, sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read box and mask from the beginning of the text; the object is called by the expression."""
        spoken = parse_mask(text)
        called: Sequence[SpokenMask] = [replace(spoken, label=self._expression_of(sample))] if spoken else []
        return Prediction(
            sample_id=sample.sample_id,
            text=text,
            objects=read_masks(self.codec(), called, sample),
            num_malformed=int(spoken is None),
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return the original's scores of referring expressions."""
        return {"referring": told_apart(partial(ReferringScores, self._truth_of), self.categories)}

    def _sayable(self, sample: Sample) -> list[Named]:
        """Return the expressions whose object has a mask that can be said, in the order of the annotation."""
        is_shared = self.shared_expressions is SharedExpressions.keep
        found = named_objects(sample, shared=is_shared)
        return [named for named in found if named.target.mask and is_sayable(sample, named.target)]

    def _draw(self, sample: Sample, rng: np.random.Generator) -> Named:
        """Draw an object, then one of its expressions."""
        if sample.instances is None:
            raise missing_annotation(sample, "masks")
        objects: dict[object, list[Named]] = {}
        for named in self._named(sample):
            objects.setdefault(identity(named.target), []).append(named)
        if not objects:
            message = (
                "no expression names one object, with a mask, alone; recipe.leave_out_unnamed=true leaves such images "
                "out beforehand"
            )
            raise bad(sample, "boxes", "no-target", message)
        options = list(objects.values())
        expressions = (
            in_turn(options, sample) if self.target is TargetChoice.cycle else options[int(rng.integers(len(options)))]
        )
        return expressions[int(rng.integers(len(expressions)))]

    def _named(self, sample: Sample) -> list[Named]:
        """Return what can be asked for."""
        check_masks(sample, self.missing_masks)
        if sample.prefix is None:
            return self._sayable(sample)
        wanted = [one for one in sample.instances or () if not one.is_crowd]
        if len(wanted) > 1:
            message = f"a ready-made prefix names one object, and there are {len(wanted)}: leave the others out"
            raise bad(sample, "prefix", "ambiguous-prefix", message)
        return [Named(expression=sample.prefix, target=one) for one in wanted if one.mask and is_sayable(sample, one)]

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        named = self._named(sample)
        if not named:
            message = "nothing says which object is meant: give an expression (in finetune predict: prefix=...)"
            raise bad(sample, "prefix", "missing-expression", message)
        return self._prefix_for(sample, named[0])

    def _prefix_for(self, sample: Sample, named: Named) -> str:
        return self.prefix.format(expression=named.expression) if sample.prefix is None else sample.prefix

    def _expression_of(self, sample: Sample) -> str:
        """Return what the prefix asked for, without the words around it."""
        expressions = [named.expression for named in self._sayable(sample)]
        if sample.prefix is None:
            return expressions[0] if expressions else ""
        asked = {self.prefix.format(expression=expression): expression for expression in expressions}
        return asked.get(sample.prefix, sample.prefix)

    def _truth_of(self, sample: Sample) -> Instance | None:
        """Return the object that the prefix names; an annotated mask is finer than a ready-made suffix."""
        if named := self._named(sample):
            return named[0].target
        spoken = None if sample.suffix is None else parse_mask(sample.suffix)
        return None if spoken is None else read_masks(self.codec(), [spoken], sample)[0]

    def _takes_part(self, sample: Sample) -> bool:
        """Keep what cannot be read or is not annotated as well, so that it is refused by name."""
        if sample.prefix is not None or sample.suffix is not None or sample.instances is None:
            return True
        return bool(self._sayable(sample)) or (self.missing_masks is MissingMasks.refuse and _lacks_mask(sample))

    def _notes(self, sample: Sample) -> dict[str, int]:
        if sample.prefix is not None:
            return ready_made(sample)
        num_left = sum(len(expressions_of(one)) for one in sample.instances or ()) - len(self._sayable(sample))
        return {"expressions that name no one object with a mask": num_left} if num_left else {}


def _lacks_mask(sample: Sample) -> bool:
    return any(one.mask is None and not one.is_crowd for one in sample.instances or ())
