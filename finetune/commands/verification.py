"""`finetune verify`: this project's numbers against the original's, on a checkpoint of the original."""

from finetune.verification.comparison import require_all_within
from finetune.verification.pair import Pair, compare_pair
from finetune.verification.table import print_table


def verify(pair: Pair) -> None:
    """Print a table of differences.

    Raises:
        ValueError: If EXPECTED is not what the original returns.
        NotTheOriginalError: If a difference is larger than allowed.
    """
    comparisons = compare_pair(pair)
    print_table(f"{pair.kind} {pair.checkpoint} against {pair.expected}", comparisons)
    require_all_within(comparisons)
    print(f"equal: all {len(comparisons)} quantities are within what is allowed")
