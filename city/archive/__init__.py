"""The archive: what the city said, for ever, as Parquet files by feed and hour with a log of commits beside them."""
