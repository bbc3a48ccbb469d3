/* The player of the past: asks for chunks ahead, keeps a few, and gives the map a frame at every refresh of the screen.
 *
 * A chunk has all vehicles at evenly spaced moments; between two of them they are moved here, but never over a silence.
 * Nothing that lies before `known` may change any more; what was asked for later than that is asked for again. What the
 * page shows is published as `replay` (a few times a second) and `replay_alarms` (when they change).
 */
(function () {
  "use strict";
  const markaz = window.markaz;

  const STALE = 1;
  const HAS_BEARING = 2;
  const GONE = 8;
  const JUMPED = 16;
  const UNKNOWN = 255;
  const SAMPLES = 30; // a chunk: five real seconds at most speeds
  const AHEAD = 2; // chunks behind the present one that are asked for beforehand
  const KEPT = 8;
  const ALARMS_LEAST_S = 600;
  const ALARMS_MOST_S = 3600;
  const ALARMS_KEPT = 4;
  const AGAIN_MS = 2000; // what ends in the present is asked for again so often
  const SETTLE_MS = 150; // a key that is held passes many moments that nobody waits for
  const TOLD_EVERY_MS = 200;
  const PAGE = Math.random().toString(36).slice(2); // pages have turns with their questions
  const LONGEST_TICK_MS = 250; // a page that slept goes on where it was

  const player = {
    at: 0, // epoch ms of the city
    speed: 1,
    playing: false,
    steps: { 1: 1 }, // speed → seconds between samples
    running: false,
    ready: false,
    edge: false, // the present is reached
    problem: "",
    chunks: [],
    asked: new Map(), // from → AbortController
    spans: [],
    spansAsked: new Map(),
    alarms: null, // {span, upto, rows, next_ms, list}
    counted: null, // the area columns with alarms that are shown
    frame: null,
    lastTick: 0,
    toldAt: 0,
    failedAt: -Infinity,
    soughtAt: -Infinity,
    hurried: false, // sought again before the last place was reached: the next questions wait until it settles
  };

  function everyMs() {
    return (player.steps[player.speed] || 1) * 1000;
  }

  function rfc3339(ms) {
    return new Date(ms).toISOString();
  }

  /* ---- chunks ---- */

  function decode(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const n = head.ids.length;
    const size = n * head.samples;
    const base = 4 + length;
    const wide = function (index) {
      return new Uint16Array(buffer, base + 2 * size * index, size);
    };
    const narrow = function (index) {
      return new Uint8Array(buffer, base + 6 * size + size * index, size);
    };
    const rows = new Map();
    head.ids.forEach(function (id, index) {
      rows.set(id, index);
    });
    return {
      from: head.from_ms,
      every: head.every_ms,
      samples: head.samples,
      to: head.from_ms + head.every_ms * head.samples,
      known: head.known_ms,
      everybody: head.everybody,
      askedAt: performance.now(),
      n: n,
      rows: rows,
      roster: { ids: head.ids, routes: head.routes, modes: head.modes, box: head.box },
      areas: head.areas,
      x: wide(0),
      y: wide(1),
      age: wide(2),
      bearing: narrow(0),
      load: narrow(1),
      speed: narrow(2),
      flags: narrow(3),
      behind: null, // {chunk, rows}: where its vehicles are in the next one
    };
  }

  function chunkAt(ms) {
    return player.chunks.find(function (chunk) {
      return ms >= chunk.from && ms < chunk.to;
    });
  }

  function fetched(path, query, abort) {
    return fetch("/api/v1/replay" + path + "?" + new URLSearchParams(Object.assign({ page: PAGE }, query)), { signal: abort.signal, cache: "no-store" }).then(function (answer) {
      if (answer.ok) {
        player.problem = "";
        return answer;
      }
      return answer.json().then(function (problem) {
        throw new Error(problem.title || String(answer.status));
      });
    });
  }

  function failed(error) {
    if (error.name === "AbortError") return;
    player.problem = error.message;
    player.failedAt = performance.now();
    tell(true);
  }

  function askChunk(from) {
    if (player.asked.has(from) || performance.now() - player.failedAt < AGAIN_MS) return;
    const abort = new AbortController();
    player.asked.set(from, abort);
    const every = everyMs();
    fetched("/chunk", { at: rfc3339(from), seconds: (every * SAMPLES) / 1000, every: every / 1000 }, abort)
      .then(function (answer) {
        return answer.arrayBuffer();
      })
      .then(function (buffer) {
        if (every !== everyMs()) return;
        const chunk = decode(buffer);
        player.chunks = player.chunks.filter(function (one) {
          return one.from !== chunk.from;
        });
        player.chunks.push(chunk);
        player.chunks.sort(function (a, b) {
          return Math.abs(a.from - player.at) - Math.abs(b.from - player.at);
        });
        player.chunks.length = Math.min(player.chunks.length, KEPT);
      })
      .catch(failed)
      .finally(function () {
        if (player.asked.get(from) === abort) player.asked.delete(from);
      });
  }

  function ensure() {
    const now = performance.now();
    if (player.hurried && now - player.soughtAt < SETTLE_MS) return;
    player.hurried = false;
    const span = everyMs() * SAMPLES;
    let from = Math.floor(player.at / span) * span;
    // A chunk may be shorter than it was asked for: what comes next begins where it ends.
    for (let have = chunkAt(from); have && have.to <= player.at; have = chunkAt(from)) from = have.to;
    for (let ahead = 0; ahead <= (player.playing ? AHEAD : 1); ahead++) {
      if (from > markaz.now()) break;
      const have = chunkAt(from);
      const open = have && have.known < have.to && player.at >= have.known - 2 * player.speed * AGAIN_MS;
      const old = have && (open || !have.everybody) && now - have.askedAt > AGAIN_MS;
      if (!have || old) askChunk(have ? have.from : from);
      from = have ? have.to : from + span;
    }
    const length = alarmsSpanMs();
    const begin = Math.floor(player.at / length) * length;
    askAlarms(begin, length);
    if (player.playing && player.at > begin + length / 2) askAlarms(begin + length, length);
  }

  /* What was asked for and is no longer wanted must not stand in the way of what is. */
  function cancel() {
    [player.asked, player.spansAsked].forEach(function (asked) {
      asked.forEach(function (abort) {
        abort.abort();
      });
      asked.clear();
    });
    player.failedAt = -Infinity;
  }

  /* Another place or pace was chosen: what is asked for now is for nothing; and if it was chosen just before too, a
   * key is held: then nothing is asked until it is let go. */
  function chosen() {
    const now = performance.now();
    player.hurried = now - player.soughtAt < SETTLE_MS;
    player.soughtAt = now;
  }

  /* ---- alarms: those of the span's begin, and how they changed ---- */

  function alarmsSpanMs() {
    return Math.min(ALARMS_MOST_S, Math.max(ALARMS_LEAST_S, player.speed * 20)) * 1000;
  }

  function rowOf(told) {
    return Object.assign({}, told, {
      raised_ms: Date.parse(told.raised_at),
      values: told.values || {},
      deeds: (told.deeds || []).map(function (deed) {
        return Object.assign({}, deed, { at_ms: Date.parse(deed.at) });
      }),
    });
  }

  function askAlarms(from, length) {
    if (from > markaz.now() || player.spansAsked.has(from) || performance.now() - player.failedAt < AGAIN_MS) return;
    // Spans are longer at higher speeds: a shorter one that begins here does not do.
    const have = player.spans.find(function (span) {
      return from >= span.from && from + length <= span.to;
    });
    const old = have && have.known < have.to && player.at >= have.known - 1000 * player.speed && performance.now() - have.askedAt > AGAIN_MS;
    if (have && !old) return;
    const abort = new AbortController();
    player.spansAsked.set(from, abort);
    fetched("/alarms", { from: rfc3339(from), to: rfc3339(from + length) }, abort)
      .then(function (answer) {
        return answer.json();
      })
      .then(function (told) {
        const span = {
          from: from,
          to: from + length,
          known: Date.parse(told.known_at),
          askedAt: performance.now(),
          alarms: told.alarms.map(rowOf),
          changes: told.changes.map(function (change) {
            return { at: Date.parse(change.at), id: change.id, alarm: change.alarm && rowOf(change.alarm) };
          }),
        };
        player.spans = player.spans.filter(function (one) {
          return one.from < from || one.to > from + length; // what lies within is in the new one
        });
        player.spans.unshift(span);
        player.spans.length = Math.min(player.spans.length, ALARMS_KEPT);
      })
      .catch(failed)
      .finally(function () {
        if (player.spansAsked.get(from) === abort) player.spansAsked.delete(from);
      });
  }

  function spanAt(ms) {
    return player.spans.find(function (span) {
      return ms >= span.from && ms < span.to;
    });
  }

  /* The alarms as they were at `player.at`: [] and unread while they are on their way. */
  function alarmsNow() {
    const span = spanAt(player.at);
    let state = player.alarms;
    if (!span) {
      if (!state || state.span) publishAlarms({ span: null, list: [], next: Infinity, at: player.at });
      return player.alarms.list;
    }
    if (!state || state.span !== span || player.at < state.at) {
      state = { span: span, upto: 0, rows: new Map(), list: null, next: -Infinity, at: player.at };
      span.alarms.forEach(function (alarm) {
        state.rows.set(alarm.id, alarm);
      });
    }
    state.at = player.at;
    if (player.at < state.next) return state.list;
    while (state.upto < span.changes.length && span.changes[state.upto].at <= player.at) {
      const change = span.changes[state.upto++];
      if (change.alarm) state.rows.set(change.id, change.alarm);
      else state.rows.delete(change.id);
    }
    state.next = state.upto < span.changes.length ? span.changes[state.upto].at : Infinity;
    state.list = Array.from(state.rows.values());
    publishAlarms(state);
    return state.list;
  }

  function publishAlarms(state) {
    player.alarms = state;
    player.counted = null;
    const announced = state.list.filter(function (alarm) {
      return alarm.announced;
    });
    state.announced = announced;
    markaz.publish("replay_alarms", { known: Boolean(state.span), announced: announced, held: state.list.filter(function (alarm) { return !alarm.announced && alarm.held; }) });
  }

  /* ---- one frame ---- */

  function areasAt(chunk, ms) {
    let found = null;
    chunk.areas.forEach(function (areas) {
      if (!found || areas.at_ms <= ms) found = areas;
    });
    if (!found) return null;
    if (player.counted && player.counted.of === found) return player.counted.shown;
    const alarms = new Array(found.vehicles.length).fill(0);
    player.alarms.list.forEach(function (alarm) {
      if (!alarm.announced || !alarm.active) return;
      [alarm.district, alarm.mahalla].forEach(function (code) {
        const at = code && markaz.areaIndex[code];
        if (at !== undefined && at !== null && at !== "") alarms[at]++;
      });
    });
    player.counted = { of: found, shown: { vehicles: found.vehicles, load: found.load, speed: found.speed, alarms: alarms } };
    return player.counted.shown;
  }

  /* Where each vehicle of a chunk is in the next one. */
  function rowsBehind(chunk) {
    const next = chunkAt(chunk.to);
    if (!next || next.every !== chunk.every) return null;
    if (!chunk.behind || chunk.behind.chunk !== next) {
      const rows = new Int32Array(chunk.n);
      chunk.roster.ids.forEach(function (id, index) {
        const at = next.rows.get(id);
        rows[index] = at === undefined ? -1 : at;
      });
      chunk.behind = { chunk: next, rows: rows };
    }
    return chunk.behind;
  }

  /* All vehicles at a moment between two samples, in the shape of the live fleet. */
  function fleetAt(chunk, ms) {
    const n = chunk.n;
    if (!chunk.fleet) {
      chunk.fleet = { n: n, seq: 0, takenAt: 0, x: new Float32Array(n), y: new Float32Array(n), age: new Uint16Array(n), bearing: new Uint8Array(n), load: null, speed: null, fuel: new Uint8Array(n).fill(UNKNOWN), flags: null };
    }
    const fleet = chunk.fleet;
    const sample = Math.min(chunk.samples - 1, Math.floor((ms - chunk.from) / chunk.every));
    const share = Math.min(1, (ms - chunk.from) / chunk.every - sample);
    const here = sample * n;
    const behind = sample + 1 < chunk.samples ? null : rowsBehind(chunk);
    const to = sample + 1 < chunk.samples ? chunk : behind && behind.chunk;
    fleet.seq++;
    fleet.takenAt = performance.now();
    fleet.load = chunk.load.subarray(here, here + n);
    fleet.speed = chunk.speed.subarray(here, here + n);
    fleet.flags = chunk.flags.subarray(here, here + n);
    for (let index = 0; index < n; index++) {
      const a = here + index;
      fleet.x[index] = chunk.x[a];
      fleet.y[index] = chunk.y[a];
      fleet.age[index] = chunk.age[a];
      fleet.bearing[index] = chunk.bearing[a];
      const b = !to ? -1 : behind ? behind.rows[index] : a + n;
      if (b < 0 || to.flags[b] & (GONE | JUMPED) || chunk.flags[a] & GONE) continue;
      fleet.x[index] += share * (to.x[b] - chunk.x[a]);
      fleet.y[index] += share * (to.y[b] - chunk.y[a]);
      fleet.age[index] += share * (to.age[b] - chunk.age[a]);
      if (chunk.flags[a] & to.flags[b] & HAS_BEARING) {
        const turn = ((to.bearing[b] - chunk.bearing[a] + 384) & 255) - 128; // the shorter way
        fleet.bearing[index] = chunk.bearing[a] + share * turn;
      }
    }
    return fleet;
  }

  function draw() {
    const alarms = alarmsNow();
    const chunk = chunkAt(player.at);
    if (!chunk) return false;
    // Anew, because the map tells areas that changed by their object.
    markaz.showPast({ roster: chunk.roster, fleet: fleetAt(chunk, player.at), alarms: player.alarms.announced || alarms, areas: areasAt(chunk, player.at) });
    player.frame = chunk;
    return true;
  }

  /* ---- the clock ---- */

  function tick(now) {
    if (!player.running) return;
    requestAnimationFrame(tick);
    const passed = Math.min(LONGEST_TICK_MS, now - player.lastTick);
    player.lastTick = now;
    ensure();
    const chunk = chunkAt(player.at);
    if (chunk && player.playing) {
      const edge = chunk.known < chunk.to ? chunk.known : Infinity;
      const next = Math.max(player.at, Math.min(player.at + passed * player.speed, edge));
      player.edge = next >= edge;
      // Faster than the city itself nobody gets beyond the present.
      if (player.edge && player.speed > 1) player.playing = false;
      // What comes next is on its way: the clock waits for it.
      player.at = next < chunk.to || chunkAt(next) ? next : chunk.to - 1;
    }
    const ready = draw();
    if (ready !== player.ready) {
      player.ready = ready;
      tell(true);
    } else tell(false);
  }

  /* How many of the vehicles are drawn, and how many of these in grey. */
  function shown() {
    const found = { vehicles: 0, stale: 0 };
    const chunk = player.ready && player.frame;
    if (!chunk || !chunk.fleet || !chunk.fleet.flags) return found;
    chunk.fleet.flags.forEach(function (flags) {
      if (flags & GONE) return;
      found.vehicles++;
      if (flags & STALE) found.stale++;
    });
    return found;
  }

  function state() {
    return Object.assign({ at: player.at, speed: player.speed, playing: player.playing, ready: player.ready, edge: player.edge, problem: player.problem, chunks: player.chunks.length }, shown());
  }

  function tell(now) {
    if (!now && performance.now() - player.toldAt < TOLD_EVERY_MS) return;
    player.toldAt = performance.now();
    markaz.publish("replay", state());
  }

  markaz.replay = {
    page: PAGE,
    state: state,
    everyMs: everyMs,
    /* Nothing instead of the present, until the past is there. */
    clear: function () {
      markaz.showPast({ roster: { ids: [], routes: [], modes: [], box: [0, 0, 1, 1] }, fleet: null, alarms: [], areas: null });
    },
    start: function (options) {
      player.steps = options.steps;
      player.speed = options.speed;
      player.at = options.at;
      player.playing = options.playing;
      if (player.running) return;
      player.running = true;
      player.lastTick = performance.now();
      requestAnimationFrame(tick);
    },
    stop: function () {
      player.running = false;
      cancel();
      Object.assign(player, { chunks: [], spans: [], alarms: null, frame: null, ready: false, counted: null, edge: false });
      markaz.showPast(null);
    },
    seek: function (ms) {
      const to = markaz.replayTimes.within(ms);
      const wanted = chunkAt(to);
      chosen();
      if (!wanted) {
        cancel();
        player.ready = false;
      }
      player.edge = false;
      player.at = to;
      tell(true);
    },
    play: function (on) {
      player.playing = on;
      player.edge = false;
      tell(true);
    },
    setSpeed: function (speed) {
      const before = everyMs();
      player.speed = speed;
      chosen();
      if (everyMs() !== before) {
        cancel();
        player.chunks = []; // the picture stands until the first new one is there
      }
      tell(true);
    },
    step: function (direction) {
      player.playing = false;
      const every = everyMs();
      markaz.replay.seek((Math.floor(player.at / every) + direction) * every);
    },
  };
})();
