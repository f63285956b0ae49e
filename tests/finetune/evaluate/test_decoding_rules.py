from finetune.evaluate.decoding_rules import worth_handing_on


def test_one_free_row_in_four_is_worth_a_stop_and_of_few_rows_any() -> None:
    assert [worth_handing_on(num_rows) for num_rows in (1, 3, 4, 8, 32)] == [1, 1, 1, 2, 8]
