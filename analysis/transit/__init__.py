"""How the city's buses run: passages of stops, and what follows from them.

`columns.fixes_by_route` → `passages.passages_of` a line → headways, travel times, dwell, punctuality, load, origin and
destination, the observed timetable. Vehicles' use and fuel come from their own rows. Everything is pure: columns in,
frozen results out, one route at a time, so that a day of a city fits into memory.
"""
