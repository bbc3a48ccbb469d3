"""Which messages one of several workers takes, and under which name.

With `ingest.share` the broker spreads messages over all workers of a shared subscription (MQTT 5, 4.8.2).
Without it each worker takes a part of the topics (`ingest.parts`), on any broker.
"""

from __future__ import annotations

from msgspec import Struct

from city.config import Config, ConfigError


class Share(Struct, frozen=True, kw_only=True):
    """One worker's part of the work."""

    worker: str  # the client id of its session, and the name of its batches
    topics: tuple[str, ...]  # filters to subscribe to
    alone: bool  # nobody else hears the entities that this worker hears

    @property
    def shared(self) -> bool:
        """Whether the broker spreads the messages over the workers."""
        return not self.alone

    @classmethod
    def of(cls, config: Config, name: str | None) -> Share:
        """The part of the worker `name`, of the only one if None; raises ConfigError."""
        ingest = config.ingest
        base = config.ingest_client_id
        everything = tuple(one.format(city=config.city) for filters in ingest.all_topics.values() for one in filters)
        if ingest.share is not None:
            if name is None:
                raise ConfigError("--worker: with ingest.share every worker needs a name of its own")
            return cls(
                worker=_named(base, name),
                topics=tuple(f"$share/{ingest.share}/{one}" for one in everything),
                alone=False,
            )
        if name is None:
            return cls(worker=base, topics=everything, alone=True)
        part = ingest.parts.get(name)
        if part is None:
            known = ", ".join(ingest.parts) or "none"
            raise ConfigError(f"--worker: {name!r} is not a part of ingest.parts (there: {known})")
        return cls(
            worker=_named(base, name),
            topics=tuple(one.format(city=config.city) for one in part),
            # Positions may come in one part, passengers in another; each entity's own messages of a kind do not.
            alone=True,
        )


def _named(base: str, name: str) -> str:
    worker = f"{base}-{name}"
    if len(worker) > 23:
        # MQTT 3.1.1 lets a broker refuse longer ones.
        raise ConfigError(f"--worker: the client id {worker!r} is longer than 23 characters")
    return worker
