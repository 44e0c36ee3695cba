"""The table of all data sets that have a name, `table.md`: python table.py > table.md"""

from __future__ import annotations

import sys

from pixprompt.data import DATASETS


def reader(layout: object) -> str:
    """Returns the names of the readers of a layout."""
    if type(layout).__name__ == "FirstShare":
        return f"{reader(layout.layout)}, first {layout.share:.0%} of train"  # type: ignore[attr-defined]
    if type(layout).__name__ != "Files":
        kind = getattr(layout, "kind", "")
        return f"{type(layout).__name__} {kind}".strip()
    return " and ".join(dict.fromkeys(type(rows).__name__ for rows in layout.parts.values()))  # type: ignore[attr-defined]


def main() -> None:
    """Prints a line per data set."""
    lines = ["| name | classes | official splits | reader | how it is had | checked on | unchecked facts |"]
    lines.append("|" + "---|" * 7)
    for name in DATASETS:
        data = DATASETS[name]
        splits = ", ".join(f"{part} {size:,}" for part, size in data.sizes.items())
        had = "installed" if data.built_in else "download or brought" if data.download else "brought"
        checked = "the whole set" if data.digests else "a miniature"
        facts = ", ".join(data.unchecked) or "-"
        lines.append(
            f"| {name} | {data.num_classes} | {splits} | {reader(data.layout)} | {had} | {checked} | {facts} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
