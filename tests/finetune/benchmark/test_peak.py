import pytest
import torch

from finetune.benchmark.peak import extra_bytes, means_of

CPU = torch.device("cpu")
MEBIBYTE = 2**20


@pytest.mark.skipif("none" in means_of(CPU), reason="the kernel does not tell how much memory is used")
def test_memory_is_that_of_the_call_and_not_of_an_earlier_one() -> None:
    def take(num_mebibytes: int) -> None:
        torch.ones(num_mebibytes * MEBIBYTE, dtype=torch.uint8)

    take(8)
    large, small = extra_bytes(lambda: take(256), CPU), extra_bytes(lambda: take(64), CPU)
    assert large is not None
    assert small is not None
    assert 240 * MEBIBYTE < large < 320 * MEBIBYTE
    assert 50 * MEBIBYTE < small < 110 * MEBIBYTE
