"""`finetune verify`: this project's numbers against the original's, on a checkpoint of the original."""

from pathlib import Path

from finetune.config.commands import VerifyCommand
from finetune.verification.comparison import require_all_within
from finetune.verification.pair import check_pair, compare_pair
from finetune.verification.table import print_table


def verify(command: VerifyCommand) -> None:
    """Print a table of differences.

    Raises:
        ValueError: If the files are no such pair.
        NotTheOriginalError: If a difference is larger than allowed.
    """
    checkpoint, expected = Path(command.npz), Path(command.expected)
    kind = check_pair(checkpoint, expected)
    comparisons = compare_pair(checkpoint, expected)
    print_table(f"{kind} {checkpoint} against {expected}", comparisons)
    require_all_within(comparisons)
    print(f"equal: all {len(comparisons)} quantities are within what is allowed")
