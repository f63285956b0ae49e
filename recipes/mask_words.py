"""Between masks and the codes that stand for them in text: what every recipe with masks shares."""

from collections.abc import Sequence
from enum import Enum

from finetune.masks import Mask
from finetune.tokens.location import has_extent
from finetune.tokens.mask_window import crop_window, has_pixels
from finetune.tokens.objects import SpokenMask
from finetune.tokens.segmentation import CodecChoice, MaskCodec
from finetune.types import Instance, Sample
from recipes.object_lists import bad


class MissingMasks(Enum):
    """What becomes of objects that were annotated without a mask: their sample is refused, or they do not count."""

    refuse = "refuse"
    leave_out = "leave_out"


def say_masks(choice: CodecChoice, instances: Sequence[Instance], sample: Sample) -> list[SpokenMask]:
    """Turn instances, each with a mask, into what text says of them. The box is the annotated one, as in the original.

    Raises:
        BadSampleError: If a mask lies outside its box, so that the codes would say "nothing".
    """
    if not instances:
        return []
    masks = [_mask_of(instance) for instance in instances]
    for instance, mask in zip(instances, masks, strict=True):
        _check_place(instance, mask, sample)
    codes = MaskCodec.load(choice).encode(masks, [instance.box for instance in instances])
    return [
        SpokenMask(label=instance.label, box=instance.box, codes=tuple(own))
        for instance, own in zip(instances, codes, strict=True)
    ]


def read_masks(choice: CodecChoice, spoken: Sequence[SpokenMask], sample: Sample) -> tuple[Instance, ...]:
    """Turn what text says into instances, their masks the size of the sample's image."""
    if not spoken:
        return ()
    assert sample.image_size is not None, "the image was decoded, so its size is known"
    codec = MaskCodec.load(choice)
    masks = codec.decode_masks([one.codes for one in spoken], [one.box for one in spoken], sample.image_size)
    return tuple(Instance(label=one.label, box=one.box, mask=mask) for one, mask in zip(spoken, masks, strict=True))


def is_sayable(sample: Sample, instance: Instance) -> bool:
    """Whether the box is more than a line, in location bins and in pixels: from less no mask can be cut."""
    if not has_extent(instance.box) or sample.image_size is None:
        return has_extent(instance.box)
    return has_pixels(crop_window(instance.box, sample.image_size))


def check_masks(sample: Sample, missing: MissingMasks) -> None:
    """Refuse objects without a mask, where they are not to be left out. Crowd regions need none.

    Raises:
        BadSampleError: Naming the first one.
    """
    for index, instance in enumerate(sample.instances or ()):
        if instance.mask is None and not instance.is_crowd and missing is MissingMasks.refuse:
            message = (
                f"{instance.label!r} has no mask: give it one (some data sets read theirs only if dataset.masks says "
                "which), or set recipe.missing_masks=leave_out to train and score without such objects"
            )
            raise bad(sample, f"boxes[{index}].mask", "missing-mask", message)


def _check_place(instance: Instance, mask: Mask, sample: Sample) -> None:
    if not mask.to_array()[crop_window(instance.box, (mask.height, mask.width))].any():
        index = next(number for number, other in enumerate(sample.instances or ()) if other is instance)
        message = f"the mask of {instance.label!r} has no pixel in its box: do they belong together?"
        raise bad(sample, f"boxes[{index}].mask", "mask-outside-box", message)


def _mask_of(instance: Instance) -> Mask:
    assert instance.mask is not None, "objects without a mask were left out or refused"
    return instance.mask
