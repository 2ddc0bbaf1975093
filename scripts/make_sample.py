"""Make `data/sample.csv`, a small mixed table of flats to let that never were: python scripts/make_sample.py

`data/README.md` says what the columns mean. The same bytes each time.
"""

import datetime
from math import exp, floor
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "data" / "sample.csv"
N_ROWS = 600
TOWNS = {"Aldport": 1.25, "Brenwick": 1.0, "Corsham Bay": 1.1, "Dunmere": 0.8, "Eastvale": 0.9, "Farrow": 0.7}
TOWN_SHARES = (0.36, 0.27, 0.2, 0.1, 0.057, 0.013)
HEATING = {"gas": 0.0, "district": 15.0, "heat pump": 45.0, "oil": -20.0}
HEATING_SHARES = (0.5, 0.3, 0.15, 0.05)
FIRST_DAY = datetime.date(2023, 1, 2)
COLUMNS = (
    "flat", "town", "area", "rooms", "storey", "built", "heating", "balcony", "lift", "listed", "agent", "currency",
    "rent", "let_in_a_week",
)  # fmt: skip


def pick(names: list[str], shares: tuple[float, ...], u: float) -> str:
    """The name at the place u, from 0 to 1, of names that are as long as their shares."""
    return names[int(np.searchsorted(np.cumsum(shares)[:-1], u, side="right"))]


def flat(number: int, u: np.ndarray) -> tuple[str, ...]:
    """A row of the table; u: numbers from 0 to 1, of which it is made."""
    town = pick(list(TOWNS), TOWN_SHARES, u[0])
    area = 22.0 + 120.0 * u[1] ** 1.6
    rooms = min(6, max(1, round(area / 27.0 + 1.4 * (u[2] - 0.5))))
    storey = floor(6 * u[3] ** 1.5)
    built = 1905 + floor(118 * u[4] ** 0.7)
    heating = pick(list(HEATING), HEATING_SHARES, u[5])
    balcony, lift = u[6] < 0.45, built > 1960 and storey > 0 and u[7] < 0.6
    listed = FIRST_DAY + datetime.timedelta(days=floor(730 * u[8]))
    season = 0.04 if 6 <= listed.month <= 9 else 0.0
    age = 1.0 + 0.0012 * max(0, built - 1970) + (0.1 if built < 1925 else 0.0)
    noise = exp(0.16 * (u[9] + u[10] + u[11] - 1.5))
    rent = (130.0 + 9.4 * area**0.95 * TOWNS[town] * age * (1.0 + season)) * noise
    rent += HEATING[heating] + 38.0 * balcony + (12.0 * storey if lift else -9.0 * storey)
    fair = rent / noise
    quick = rent < fair * (1.0 + 0.08 * (u[12] - 0.5))
    cells = (
        str(48211 + number), town, f"{area:.1f}", str(rooms), str(storey), str(built), heating,
        "yes" if balcony else "no", "yes" if lift else "no", listed.isoformat(),
        f"agent {1 + floor(24 * u[13] ** 1.3)}", "EUR", f"{rent:.2f}", "yes" if quick else "no",
    )  # fmt: skip
    gaps = {"area": u[14] < 0.03, "built": u[15] < 0.08, "heating": u[16] < 0.05, "balcony": u[17] < 0.02}
    return tuple("" if gaps.get(name) else cell for name, cell in zip(COLUMNS, cells, strict=True))


def main() -> None:
    """Write the table."""
    numbers = np.random.Generator(np.random.PCG64(20)).random((N_ROWS, 18))
    lines = [",".join(COLUMNS), *(",".join(flat(row, u)) for row, u in enumerate(numbers))]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TARGET}: {N_ROWS} rows, {len(COLUMNS)} columns, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
