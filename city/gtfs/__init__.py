"""GTFS static: a timetable in, checked to the last field, and an observed one out.

`source.files_of` → `reader.read` → `fields`, `checks` → `Feed`; `timetable.timetable_of` makes of it what analysis
reads, `stored` keeps it; `writer.write_feed` makes a zip. By the GTFS Schedule reference of gtfs.org.
"""
