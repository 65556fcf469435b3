"""`mediaml score --metrics list`: what can be asked for."""

from __future__ import annotations

from collections.abc import Iterator

from mediaml.cli.console import output_console, print_table


def print_metrics() -> None:
    """A row a metric: its name as `--metrics` takes it, what it gives, which way is better, what it is."""
    print_table(["metric", "gives", "better", "what it is"], _rows())
    for line in (
        "A group (quality_fr, vmaf) or a column (psnr_y, vif_scale0) may be named too.",
        "vmaf:NAME or a path ending in .json is any other libvmaf model; ?transform=1 behind it is for viewing on a phone.",
        "SOMETHING:convention is the number that another package gives under that name.",
    ):
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _rows() -> Iterator[tuple[str, str, str, str]]:
    from mediaml.engine.score.metrics import full_reference
    from mediaml.metrics.psnr import CONVENTIONS as PSNR
    from mediaml.metrics.ssim_conventions import CONVENTIONS as SSIM
    from mediaml.spec import Table

    for name, cls in full_reference().items():
        columns = [c for c in cls.spec.columns(Table.FRAMES) if c.length is None]
        if not columns or ("quality_fr" not in cls.spec.groups and name != "cambi"):
            continue
        head, _, convention = name.rpartition("_")
        asked = f"{head}:{convention}" if convention in SSIM or convention in PSNR else name
        better = {"higher": "more", "lower": "less"}.get(columns[0].better or "", "")
        gives = ", ".join(c.name for c in columns[:4]) + (f" and {len(columns) - 4} more" if len(columns) > 4 else "")
        yield asked, gives, better, cls.spec.summary
