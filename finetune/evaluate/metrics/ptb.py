"""Penn Treebank tokenisation of captions in plain Python, for where Java does not run.

    A woman isn't holding her umbrella; it's raining (w/o a hat).
    a woman is n't holding her umbrella it 's raining -lrb- w/o a hat -rrb-

Written from the official tokeniser's observed output (Stanford's PTBTokenizer 3.4.1, -preserveLines -lowerCase, then
COCO's list of dropped punctuation). The two agree on captions; they may differ on rare tokens such as long telephone
numbers and abbreviations in front of a new sentence.
"""

import re
from collections.abc import Iterable, Iterator

# What the official scorer drops. Brackets are listed there in capitals, after lowering, and so stay in.
_DROPPED = frozenset(
    {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
)

# Characters that the official tokeniser rewrites, and those past the basic plane, which it cannot read.
_REWRITTEN = str.maketrans(
    {
        **dict.fromkeys("‘’‹›", "'"),
        **dict.fromkeys("“”«»", '"'),
        **dict.fromkeys("–—―", "--"),
        "…": "...",
        # Two spaces: after one, the fraction would join the number in front of it.
        "½": "  1/2 ",
        "¼": "  1/4 ",
        "¾": "  3/4 ",
        "⅓": "  1/3 ",
        "⅔": "  2/3 ",
        "£": "#",
        "€": "$",
        "¢": " cents ",
        "\u00ad": "",
        "\u202f": "",
    }
)
_UNREADABLE = re.compile("[\U00010000-\U0010ffff\ufe00-\ufe0f\u200d]")
# It knows none of these and parts words by them: marks of direction, rare punctuation, most East Asian brackets.
_PARTING = re.compile(
    "[\u060d-\u0613\u066b\u066c\u09f2-\u09fb\u2012\u201b\u2024\u2025\u2027\u202a-\u202e\u203c\u203d\u2043\u2045-\u2063"
    "\u2066-\u206f\u3003\u3004\u3007-\u3011\u3013-\u3030\u3036-\u303a\u303d-\u303f\u3099-\u309c\u30a0]"
)
_ABBREVIATIONS = (
    r"a\.d|adm|al|ala|alex|apr|assn|aug|ave|b\.a|bancorp|bhd|bldg|blvd|brig|bros|capt|cf|cie|cmdr|co|col|colo|"
    r"comdr|conn|corp|cos|cpl|ct|dec|dept|det|dr|drs|elec|ens|esq|est|etc|feb|fla|fri|ft|ga|gen|gov|hon|inc|"
    r"ind|insp|intl|invt|jan|jos|jr|jul|jun|kan|kans|ky|lieut|lt|ltd|m\.d|maj|mar|md|messrs|mfg|mich|minn|miss|"
    r"mo|mon|mont|mr|mrs|ms|mt|natl|neb|nev|nov|oct|okla|p|penn|pfc|ph|ph\.d|plc|pres|prof|pty|pvt|rd|rep|rev|"
    r"rt|sen|sep|sept|seq|sgt|spc|sq|sr|st|supt|sys|tel|tenn|thu|thurs|tue|tues|univ|v|va|vs|vt|wash|wed|wis|"
    r"wisc|wm|wyo"
)
# Common words in lower case, abbreviations of states in capitals.
_STATES = "Ariz|Ark|Calif|Del|Ill|La|Mass|Nebr|Ore|Pa|Tex"
# Marks over and under letters belong to them, in Hebrew, Arabic, Indian scripts and Thai, too; dandas do not.
_MARKS = (
    r"\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0615-\u061a\u064b-\u065e\u0670\u06d6-\u06ef"
    r"\u0900-\u0963\u0966-\u0dff\u0e00-\u0e3e\u0e40-\u0e4e\u0e50-\u0e59\u0e80-\u0eff"
)
_LETTER = rf"(?:(?![²³¹⁰-₟⅐-⅟])[^\W_]|[{_MARKS}])"
_WORD = f"{_LETTER}+"
# Where a word may end that is followed by a further letter: nowhere.
_END = r"(?![^\W_])"

# The longest match wins, and the first of two equally long ones.
_PATTERNS = [
    re.compile(pattern)
    for pattern in (
        # Addresses, names and markup.
        r"https?://[^\s\"<>|(){}]*[^\s\"<>|.!?(){},-]",
        rf"(?:[A-Za-z0-9-]+\.)+(?:com|net|org)(?:/[^\s\"<>|()]*[^\s\"<>|.!?(){{}},-])?{_END}",
        r"[A-Za-z0-9][^\s\"<>|(){}@]*@[^\s\"<>|(){}.]+(?:\.[^\s\"<>|(){}.]+)*",
        r"[@#][A-Za-z_]\w*",
        r"</?[A-Za-z!][^<>]*>",
        # What an apostrophe begins: the n't of isn't, the 's of it's, and short forms.
        rf"[nN]'[tT]{_END}",
        rf"'(?i:s|m|d|re|ve|ll|n|em|til|cause|tis|twas){_END}",
        rf"'[nN]'|'\d\ds{_END}|'\d\d(?=\s|$)",
        # Words that keep their apostrophe.
        rf"[A-HJ-XZdlno]'(?!(?i:s|m|d|re|ve|ll){_END}){_LETTER}{{2,}}",
        rf"(?i:ma'am|o'clock|c'mon|c'est|qu'il|s'mores|o'er|ne'er){_END}|(?i:somethin|dunkin|ol)'{_END}",
        rf"[dDlLjJ]'{_END}|j'(?={_LETTER}{{2}})|[yY]'(?![sSmMdD])(?={_LETTER}{{2}})",
        # Words, joined by hyphens, strokes or single underscores; n't stays outside.
        rf"{_WORD}(?:[-/_‐‑]{_WORD})*(?!'[tT]{_END})",
        # Numbers.
        rf"\d+(?:[.,]\d+)+(?:-{_WORD})+",
        r"[-+]?\d*(?:[.,:]\d+)+|[-+]?\d+",
        r"\d+ \d{1,2}/\d{1,2}(?![/\d])",
        r"\(\d{3}\)(?:\d{3}-\d{4}|(?=\s\d{3}[- ]\d{4}))",
        # Abbreviations and initials.
        rf"(?:non-)?(?:[A-Za-z]\.)+{_END}",
        rf"(?:[A-Za-z]\.)+-{_WORD}",
        rf"[^\W\d_]+(?:\.[A-Za-z]+)+{_END}",
        rf"(?:(?i:{_ABBREVIATIONS})|{_STATES})\.{_END}",
        r"(?i:nos?|figs?|art|op|pp|ca)\.(?=\s?\d)|[A-Za-z]+\.(?=[,;:])",
        r"[A-Z]+(?:&[A-Z]+)+|[CcFf]#|[CcJj]\+\+|[A-Z]{1,3}\$",
        # Faces, and runs of signs.
        rf"[<>]?[:;=][-o']?[()DdPpO\[\]{{@|\\]{_END}|[-^x=<>]_[-^x=<>]",
        r"''|[?!]+|-{5,}|-{2,4}|_+|\*+|#+|@+|<<|>>|&(?:amp|lt|gt|quot|apos|nbsp);",
        r"\S",
    )
]
_SPACE = re.compile(r"\s*")
# Most tokens; anything that could go on differently is left to the patterns.
_PLAIN = re.compile(r"[A-Za-z]+(?=[\s,;!?]|$)")
# What a token becomes, where it does not only become lower case.
_REPLACED = {
    "cannot": "can not",
    "gonna": "gon na",
    "gotta": "got ta",
    "wanna": "wan na",
    "lemme": "lem me",
    "gimme": "gim me",
    "'tis": "'t is",
    "'twas": "'t was",
    '"': "''",
    "---": "--",
    "----": "--",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": "''",
    "&apos;": "'",
    "&nbsp;": "",
}


def tokenize(text: str) -> str:
    """Return the tokens, joined by spaces, in lower case and without punctuation."""
    line = _PARTING.sub(" ", _UNREADABLE.sub("", to_one_line(text).translate(_REWRITTEN)))
    return drop_punctuation(_finish(token) for token in _split(line))


def _split(line: str) -> Iterator[str]:
    position = 0
    while (space := _SPACE.match(line, position)) and space.end() < len(line):
        match = _PLAIN.match(line, space.end()) or _longest_match(line, space.end())
        yield match.group()
        position = match.end()


def _longest_match(line: str, position: int) -> re.Match[str]:
    matches = (pattern.match(line, position) for pattern in _PATTERNS)
    return max((match for match in matches if match), key=re.Match.end)


def _finish(token: str) -> str:
    lower = token.lower()
    # A number and its fraction, such as 1 1/2, are one token, joined by a no-break space.
    return _REPLACED.get(lower, lower.replace("(", "-lrb-").replace(")", "-rrb-").replace(" ", "\u00a0"))


def to_one_line(text: str) -> str:
    """Return the text with every line break as a space; tokens are given back line by line."""
    return " ".join(text.splitlines())


def drop_punctuation(tokens: Iterable[str]) -> str:
    """Join the tokens that the official scorer keeps."""
    return " ".join(token for token in tokens if token and token not in _DROPPED)
