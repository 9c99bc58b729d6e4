"""The budget of an export, and the disk that it needs: a run that would exceed either does not begin."""

from __future__ import annotations

from cropflow.config.imagery import Imagery
from cropflow.errors import CropflowError
from cropflow.imagery.fetching.planning import Plan

GIB = 2**30


def check_budget(plan: Plan, settings: Imagery) -> None:
    """Refuse a plan that exceeds the budget.

    Raises:
        CropflowError: One line with every figure that is exceeded, by how much, and the ways out.
    """
    budget = settings.budget
    figures = (
        ("gib", plan.total("bytes") / GIB, budget.gib, "GiB"),
        ("requests", plan.total("requests"), budget.requests, "requests"),
        ("minutes", plan.minutes, budget.minutes, "minutes"),
        ("eecu_hours", plan.eecu_hours or 0.0, budget.eecu_hours, "EECU-hours"),
    )
    exceeded = [
        f"{_number(value)} {unit}, {_number(value - limit)} more than imagery.<name>.budget.{key} allows "
        f"({_number(limit)})"
        for key, value, limit, unit in figures
        if limit is not None and value > limit
    ]
    if not exceeded:
        return
    server = ", reduce: server" if settings.source == "earth_engine" and settings.reduce == "local" else ""
    raise CropflowError(
        f"The export would take {' and '.join(exceeded)}; expected no more than the budget. Take fewer "
        f"sites, bands or months{server}, or raise the budget."
    )


def check_disk(plan: Plan, free: int) -> None:
    """Refuse a plan whose pixels do not fit on the disk.

    Args:
        plan: The plan.
        free: Free bytes.

    Raises:
        CropflowError: One line with both sizes.
    """
    needed = plan.work_bytes + plan.store_bytes
    if needed > free:
        raise CropflowError(
            f"The export needs {needed / GIB:.1f} GiB of disk ({plan.work_bytes / GIB:.1f} until it is finished, "
            f"{plan.store_bytes / GIB:.1f} in the end); {free / GIB:.1f} GiB are free. Free some space, run in a "
            "folder on a larger disk, or take fewer sites, bands or months."
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
