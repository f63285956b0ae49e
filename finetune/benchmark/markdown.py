"""Results as Markdown, for the README: made from the record and from nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def markdown(record: Mapping[str, Any]) -> str:
    """Write every section of a record as a table, and below them on what and with what it was measured."""
    blocks = [_section(section) for section in record["sections"]]
    left_out = [f"Not measured: {one['title']} ({one['why']})." for one in record["left_out"]]
    return "\n\n".join([*blocks, *left_out, _made_by(record)]) + "\n"


def rows_of(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the rows of a section's table, as texts."""
    return {
        "training": _training_rows,
        "sweep": _sweep_rows,
        "loader": _loader_rows,
        "generation": _generation_rows,
        "question": _question_rows,
    }[section["kind"]](section)


def note_of(section: Mapping[str, Any]) -> str:
    """Say in a sentence what a section's numbers are; "" where the title says it all."""
    if section["kind"] == "training":
        samples, ceiling = section["samples"], section["ceiling"]
        clock = "processor seconds" if section["clock"] == "cpu" else "seconds on the clock"
        return (
            f"{samples['tokens_per_step']:.0f} tokens and {samples['targets_per_step']:.0f} targets a step, "
            f"{section['useful_flops_per_step'] / 1e12:.3g} useful TFLOP; {clock}, {_effort(section)}, 95 % bootstrap "
            f"intervals; utilisation of {ceiling['flops'] / 1e12:.3g} TFLOP/s ({ceiling['precision']}, "
            f"{ceiling['side']}^3); memory beyond what is held between steps ({section['peak_memory_by']})"
        )
    if section["kind"] == "generation":
        return f"{section['equal_rows']} of {section['rows']} rows are equal both ways; {section['new_tokens']} new ids"
    return ""


def _section(section: Mapping[str, Any]) -> str:
    columns, rows = rows_of(section)
    note = note_of(section)
    lines = [f"**{section['title']}**", "", _line(columns), _line(["---"] + ["---:"] * (len(columns) - 1))]
    lines += [_line(row) for row in rows]
    return "\n".join([*lines, *(["", note] if note else [])])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _made_by(record: Mapping[str, Any]) -> str:
    made_by = record["made_by"]
    packages = ", ".join(
        f"{name} {made_by[name]}" for name in ("torch", "transformers", "peft", "accelerate") if made_by[name]
    )
    return f"Measured {made_by['at'][:10]} on {made_by['device']}, {made_by['threads']} thread(s); {packages}."


def _effort(section: Mapping[str, Any]) -> str:
    num_rounds = max((len(row.get("turns", ())) for row in section["variants"].values()), default=0)
    return f"median of {num_rounds} rounds of {section['effort']['block_steps']} steps"


def _training_rows(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = ["variant", "ms a step", "images/s", "label tokens/s", "utilisation", "extra MiB", "held MiB"]
    columns += ["first step, s", "time / ours", "extra memory / ours"]
    rows = []
    for name, row in section["variants"].items():
        if "failed" in row:
            rows.append([_named(name), row["failed"], *[""] * 8])
            continue
        numbers = [
            f"{row['milliseconds']:.4g}",
            f"{row['images_per_second']:.3g}",
            f"{row['label_tokens_per_second']:.4g}",
            f"{100 * row['useful_utilisation']:.1f} %",
            "" if row["extra_mib"] is None else f"{row['extra_mib']:.0f}",
            f"{row['held_mib']:.0f}",
            f"{row['first_step_seconds']:.3g}",
        ]
        rows.append([_named(name), *numbers, *_compared(section["ratios"].get(name))])
    return columns, rows


def _compared(ratios: Mapping[str, Any] | None) -> list[str]:
    if ratios is None:
        return ["", ""]
    memory = ratios["extra_memory"]
    return [_ratio(ratios["time"]), "" if memory is None else f"{memory:.2f}"]


def _ratio(ratio: Mapping[str, float]) -> str:
    return f"{ratio['ratio']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _sweep_rows(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    names = list(section["slopes"])
    columns = [section["unit"], *(f"{_named(name)}, ms" for name in names), *(f"{_named(name)}, MiB" for name in names)]
    rows = [
        [
            f"{size:g}",
            *(_cell(point, name, "milliseconds") for name in names),
            *(_cell(point, name, "extra_mib") for name in names),
        ]
        for size, point in zip(section["sizes"], section["points"], strict=True)
    ]
    measures = ("milliseconds", "extra_mib")
    for label, key, pattern in (("each one more", "per_unit", "{:.3g}"), ("exponent", "exponent", "{:.2f}")):
        found = [section["slopes"][name].get(measure) for measure in measures for name in names]
        rows.append([label, *("" if one is None else pattern.format(one[key]) for one in found)])
    return columns, rows


def _cell(section: Mapping[str, Any], name: str, measure: str) -> str:
    row = section["variants"][name]
    value = row.get(measure)
    return row.get("failed", "") if value is None else f"{value:.4g}"


def _loader_rows(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = ["resize", "loader processes", "images/s", "images / processor second"]
    return columns, [
        [
            row["resize"],
            str(row["num_workers"]),
            f"{row['images_per_second']:.0f}",
            "" if row["images_per_cpu_second"] is None else f"{row['images_per_cpu_second']:.0f}",
        ]
        for row in section["rows"]
    ]


def _generation_rows(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rates = section["images_per_second"]
    row = [f"{rates['singly']:.3g}", f"{rates['together']:.3g}", _ratio(section["ratio"])]
    return ["images together", "images/s, one at a time", "images/s, together", "times as fast"], [
        [str(section["rows"]), *row]
    ]


def _question_rows(section: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    answer = section["answer"]
    if isinstance(answer, Mapping):
        return ["what", "how much"], [[name, _text(value)] for name, value in _flat(answer)]
    columns = list(dict.fromkeys(name for row in answer for name in row))
    return columns, [[_text(row.get(name, "")) for name in columns] for row in answer]


def _flat(answer: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested answers by their dotted names; rows of a list by their first two values."""
    for name, value in answer.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            for row in value:
                first, second, *rest = row.items()
                yield from ((f"{before}{name}.{first[1]}.{second[1]}.{key}", number) for key, number in rest)
        else:
            yield f"{before}{name}", value


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(name: str) -> str:
    return name.replace("_", " ")
