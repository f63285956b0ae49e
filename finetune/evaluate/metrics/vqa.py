"""The official VQAv2 accuracy, with its quirks, because published numbers carry them."""

import re
from collections.abc import Sequence

# Words whose apostrophe people leave out; every spelling that lacks exactly one of them is mended.
_CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd "
    "he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've "
    "needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've "
    "somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll "
    "that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've "
    "weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've "
    "why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're "
    "you've"
)


def _without_one_apostrophe(word: str) -> list[str]:
    return [word[:index] + word[index + 1 :] for index, letter in enumerate(word) if letter == "'"]


_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_REPLACEMENTS = {
    **{misspelt: word for word in _CONTRACTIONS.split() for misspelt in _without_one_apostrophe(word)},
    # The official table has this one the wrong way round.
    "somebody'd": "somebodyd",
    **{word: str(value) for value, word in enumerate(_NUMBERS)},
    "none": "0",
}
_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
# Meant to spare a full stop between digits; the official lookahead is misspelt, so it spares any before a digit.
_FULL_STOP = re.compile(r"(?!<=\d)(\.)(?!\d)")


def vqa_accuracy(text: str, references: Sequence[str]) -> float:
    """Return the mean, over leaving out each annotator, of min(1, agreeing others / 3).

    Answers are normalised only where the annotators differ. With fewer than four references, which leave-one-out cannot
    score fully, each counts as right.

    Source:
        https://visualqa.org/evaluation.html; big_vision evaluators/proj/paligemma/transfers/vqav2.py (0127fb6).
    """
    text, references = _strip(text), [_strip(reference) for reference in references]
    if len(set(references)) > 1:
        text, references = normalize_answer(text), [normalize_answer(reference) for reference in references]
    matches = sum(reference == text for reference in references)
    if len(references) < 4:
        return float(matches > 0)
    others = matches * min(1.0, (matches - 1) / 3) + (len(references) - matches) * min(1.0, matches / 3)
    return others / len(references)


def normalize_answer(text: str) -> str:
    """Return the answer without punctuation and articles, in lower case, with numbers as digits."""
    has_digit_comma = _DIGIT_COMMA.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        is_at_a_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if has_digit_comma or is_at_a_space else " ")
    words = _FULL_STOP.sub("", cleaned).lower().split()
    return " ".join(_REPLACEMENTS.get(word, word) for word in words if word not in _ARTICLES)


def _strip(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
