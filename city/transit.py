"""Settings of the transport analysis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from city.checked import Section

NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Transit(Section):
    """What is on time, bunched, a gap; where a service day begins; how many counts an estimate needs."""

    early_s: NotNegative = 60
    late_s: NotNegative = 300
    bunched_share: Share = 0.25
    gap_share: Annotated[float, Field(gt=1)] = 1.75
    day_begins_h: Annotated[int, Field(ge=0, le=12)] = 3
    stop_within_m: Annotated[float, Field(gt=0, le=200)] = 30
    counted_min_share: Share = 0.5
    days_max: Annotated[int, Field(ge=1, le=366)] = 7
