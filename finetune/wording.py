"""Words for people: how many of something there are."""


def counted(number: int, noun: str) -> str:
    """Say a number of things: "1 array", "2 arrays", "1,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
