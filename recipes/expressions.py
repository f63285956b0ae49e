"""Which expressions name which object of an image."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.types import Instance, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An expression, and the object that it names."""

    expression: str
    target: Instance

    @property
    def alone(self) -> Instance:
        """The object, called by this expression and by nothing else."""
        target = self.target
        return Instance(label=self.expression, box=target.box, mask=target.mask, is_crowd=target.is_crowd)


def named_objects(sample: Sample, *, shared: bool = False) -> list[Named]:
    """Return every expression that names one object, each once, in the order of the annotation; no crowds.

    With `shared` also those that name several, once for each of them.

    An expression that was written for an object is believed, unless it was also written for another. An object without
    one is named by its label, if nothing else in the image answers to that. An object may be annotated several times,
    once for each of its names.
    """
    instances = sample.instances or ()
    owners: dict[tuple[str, object], Instance] = {}
    for one in instances:
        for name in expressions_of(one):
            owners.setdefault((name, identity(one)), one)
    return [
        Named(expression=name, target=one)
        for (name, _), one in owners.items()
        if not one.is_crowd and (shared or len({identity(rival) for rival in _rivals(name, one, instances)}) == 1)
    ]


def expressions_of(instance: Instance) -> tuple[str, ...]:
    """Return what an object is called in words: its expressions, or else its label."""
    return instance.expressions or (instance.label,)


def identity(instance: Instance) -> object:
    """Return what is equal for two annotations of one object."""
    return instance.box, instance.mask, instance.is_crowd


def _rivals(name: str, owner: Instance, instances: Sequence[Instance]) -> list[Instance]:
    """Return those that could be meant by one of `owner`'s names, itself among them."""
    if owner.expressions:
        return [one for one in instances if name in one.expressions]
    return [one for one in instances if one.answers_to(name)]
