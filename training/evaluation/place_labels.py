"""Names beside the points of a plot, none over another: what finds no room is left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE = 9  # points
CHARACTER = 0.6  # mean width of a character, in font sizes
GAP = 6  # points between a point and its name


@dataclass(frozen=True)
class Box:
    """A rectangle in points."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: "Box") -> bool:
        return self.left < other.right and other.left < self.right and self.low < other.high and other.low < self.high

    def inside(self, other: "Box") -> bool:
        return (
            self.left >= other.left and self.right <= other.right and self.low >= other.low and self.high <= other.high
        )


def label_points(figure: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write the name of each (name, x, y), the first ones with the first choice of room."""
    figure.draw_without_rendering()
    scale = 72.0 / figure.dpi
    at = [axes.transData.transform((x, y)) * scale for _, x, y in points]
    edge = axes.bbox
    frame = Box(*(float(side) * scale for side in (edge.x0, edge.y0, edge.x1, edge.y1)))
    taken = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    for (name, x, y), (across, up) in zip(points, at, strict=True):
        for side, lift in ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            box = _beside(name, float(across), float(up), side, lift)
            if box.inside(frame) and not any(box.meets(other) for other in taken):
                taken.append(box)
                axes.annotate(
                    name,
                    (x, y),
                    xytext=(side * GAP, lift * (SIZE + 1)),
                    textcoords="offset points",
                    ha="left" if side > 0 else "right",
                    va="center",
                    fontsize=SIZE,
                )
                break


def _beside(name: str, across: float, up: float, side: int, lift: int) -> Box:
    width = CHARACTER * SIZE * len(name)
    left = across + GAP if side > 0 else across - GAP - width
    middle = up + lift * (SIZE + 1)
    return Box(left, middle - SIZE / 2, left + width, middle + SIZE / 2)
