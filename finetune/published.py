"""What is said of data sets that somebody published: a card, and what their servers take where answers are hidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """What its authors say of a data set.

    Args:
        homepage: Where it is to be had.
        licence: Of the annotations and, where they differ, of the images.
        counts: Rows of each split, by the name that `open` knows it by, as published.
        counts_source: Who says so.
    """

    title: str
    homepage: str
    licence: str
    counts: Mapping[str, int]
    counts_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFormat:
    """The JSON that a data set's server takes: a list of objects, or one object of objects by id.

        [{"question_id": 1, "answer": "red"}, ...]     id_key "question_id", answer_key "answer"
        {"22Mex": {"direct_answer": "cab"}, ...}       id_key None, answer_key "direct_answer"

    Args:
        id_key, answer_key: Names in each object; `id_key` None: the id names the object.
        server: Where the file is to be sent.
        advice: What else the server wants, as a sentence; "": nothing.
    """

    id_key: str | None
    answer_key: str
    server: str
    advice: str = ""


@runtime_checkable
class Published(Protocol):
    """A Dataset that somebody published: `finetune inspect` holds what lies there to its card."""

    @property
    def card(self) -> DataCard: ...


@runtime_checkable
class Submits(Protocol):
    """A Dataset whose test answers are hidden: `finetune predict submission=...` writes what its server takes."""

    @property
    def submission(self) -> SubmissionFormat: ...
