"""The results as a picture: one group of bars a scenario, one bar a contender, from the figures that run.py wrote.

python plot.py bench/results/latest, in an environment that has matplotlib; writes latest.svg beside latest.json.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
from contenders import BARE
from results import Results

mpl.use("svg")
from matplotlib import pyplot as plt

# One hue for each distribution, paler by setting; the settings that are not here are left to the table.
HUES = {"tracebaton": "#0b6e4f", "upstream": "#b23a48", "ddtrace": "#6a4c93", "elastic": "#c98a1b"}
STRENGTHS = {"10 %": 1.0, "100 %": 0.6, "disabled": 0.3}
SHOWN = {
    "hello": "GET /hello",
    "chat": "POST /chat\n(Redis, httpx)",
    "routes-500": "GET /hello\n500 routes",
    "headers-40": "GET /hello\n40 headers",
}
INK, MUTED = "#222222", "#777777"


def main(out: Path) -> None:
    results = Results.read(out.with_suffix(".json"))
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",  # text stays text: small, and sharp at any size
            "svg.hashsalt": "tracebaton",  # the same figures give the same file
            "font.family": ["DejaVu Sans", "sans-serif"],
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )
    scenarios = [name for name in SHOWN if name in results.scenarios]
    names = [name for name in results.names if _is_shown(name) and any(_ratio(results, name, s) for s in scenarios)]
    figure, axes = plt.subplots(figsize=(10, 4.6), layout="constrained")
    width = 0.86 / max(len(names), 1)
    for number, name in enumerate(names):
        ratios = [_ratio(results, name, scenario) for scenario in scenarios]
        places = [place + (number - (len(names) - 1) / 2) * width for place in range(len(scenarios))]
        bars = axes.bar(places, [ratio or 0 for ratio in ratios], width * 0.92, color=_color(name), label=name)
        labels = [f"{ratio:.2f}" if ratio else "" for ratio in ratios]
        axes.bar_label(bars, labels, rotation=90, padding=3, fontsize=7, color=INK)
    axes.axhline(1, color=INK, linewidth=0.9)
    axes.annotate("bare = 1", (1, 1), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                  va="center", fontsize=8, color=MUTED, annotation_clip=False)  # fmt: skip
    axes.set_xticks(range(len(scenarios)), [SHOWN[name] for name in scenarios])
    axes.set_ylabel("CPU per request, ratio to bare uvicorn")
    axes.margins(x=0.01, y=0.1)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(out.with_suffix(".svg"), facecolor="white", metadata={"Date": None, "Creator": None})


def _is_shown(name: str) -> bool:
    return name != BARE and name.partition(" ")[2] in STRENGTHS


def _ratio(results: Results, contender: str, scenario: str) -> float | None:
    return results.ratio(contender, scenario)


def _color(name: str) -> tuple[float, float, float]:
    venv, _, setting = name.partition(" ")
    red, green, blue = mpl.colors.to_rgb(HUES.get(venv, MUTED))
    strength = STRENGTHS[setting]
    return (1 - (1 - red) * strength, 1 - (1 - green) * strength, 1 - (1 - blue) * strength)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
