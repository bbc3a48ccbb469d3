/* What the page of analytics shows, as plain data and as the query of its link; the city's clock. Pure, but for the clock of `presets`.
 *
 * A view has the parameters of a question to history (analysis/questions.py) and a few of the page alone. `from` and `to` span
 * what is looked at; `part_from` and `part_to` are the piece of it that is chosen in the time series and filters everything else.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});

  const MINUTE = 60000;
  const HOUR = 60 * MINUTE;
  const DAY = 24 * HOUR;
  // As analysis/questions.py: the step that gives a picture of so long a span.
  const STEPS_S = [10, 30, 60, 300, 900, 3600, 10800, 21600, 86400, 604800];
  const POINTS = 200;

  const LISTS = ["district", "mahalla", "route", "vehicle", "camera", "sensor", "kind", "rule", "priority", "quantity", "network"];
  const CLOCK = { hour: [0, 23], weekday: [1, 7] }; // of the city's clock
  const BOUNDS = ["value_min", "value_max"]; // of the measure's values
  const TIMES = ["from", "to", "part_from", "part_to", "compare_from", "at"];
  const WORDS = { feed: "position", measure: "", by: "", level: "", late: "with", show: "charts", classes: "quantiles", columns: "" };
  const SHOWS = ["charts", "districts", "table", "changes"];

  /* ---- the city's clock ---- */

  const offsets = {}; // by zone and quarter of an hour: zones change at those only
  let parts = null;
  let partsZone = "";

  function offset(ms, zone) {
    const quarter = Math.floor(ms / (15 * MINUTE));
    const key = zone + quarter;
    if (offsets[key] === undefined) {
      if (partsZone !== zone) {
        partsZone = zone;
        parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" });
      }
      const at = quarter * 15 * MINUTE;
      const found = {};
      parts.formatToParts(new Date(at)).forEach(function (part) { found[part.type] = Number(part.value); });
      offsets[key] = Date.UTC(found.year, found.month - 1, found.day, found.hour, found.minute) - at;
    }
    return offsets[key];
  }

  /* "2026-11-22T08:05:00" on the city's clock: for inputs and for Plotly, which knows no zones. */
  function wall(ms, zone) {
    return new Date(ms + offset(ms, zone)).toISOString().slice(0, 19);
  }

  /* Epoch milliseconds of what the city's clock shows; NaN where it is no time. */
  function unwall(text, zone) {
    const naive = Date.parse(text.replace(" ", "T").slice(0, 19) + "Z");
    if (Number.isNaN(naive)) return NaN;
    const near = naive - offset(naive, zone);
    return naive - offset(near, zone); // once more: the first guess may be on the other side of a change
  }

  function midnight(ms, zone) {
    return unwall(wall(ms, zone).slice(0, 10) + "T00:00:00", zone);
  }

  function dayAfter(ms, days, zone) {
    return midnight(midnight(ms, zone) + days * DAY + 12 * HOUR, zone);
  }

  /* ---- spans ---- */

  function presets(now, zone) {
    const to = Math.ceil(now / MINUTE) * MINUTE;
    const today = midnight(now, zone);
    return {
      hour: { from: to - HOUR, to: to },
      today: { from: today, to: Math.max(to, today + MINUTE) },
      yesterday: { from: dayAfter(now, -1, zone), to: today },
      week: { from: to - 7 * DAY, to: to },
    };
  }

  function stepFor(from, to) {
    const wanted = STEPS_S.find(function (step) { return to - from <= step * 1000 * POINTS; });
    return wanted || STEPS_S[STEPS_S.length - 1];
  }

  /* The span that a picture is held against where nobody chose one: a day before, or whole weeks before. */
  function reference(view) {
    const span = view.to - view.from;
    const back = span <= DAY ? DAY : Math.ceil(span / (7 * DAY)) * 7 * DAY;
    return view.compare_from !== null ? view.compare_from : view.from - back;
  }

  /* How the other span is called: day, week, previous (just before), or other. */
  function referenceName(view) {
    const back = view.from - reference(view);
    if (Math.abs(back - DAY) <= HOUR) return "day"; // the clock may have changed between
    if (Math.abs(back - 7 * DAY) <= HOUR) return "week";
    if (back === view.to - view.from) return "previous";
    return "other";
  }

  /* What a span is compared with, by name. */
  function comparison(view, name) {
    if (name === "previous") return view.from - (view.to - view.from);
    if (name === "day") return view.from - DAY;
    if (name === "week") return view.from - 7 * DAY;
    return null;
  }

  /* ---- links ---- */

  function time(ms) {
    return new Date(ms).toISOString().replace(".000Z", "Z");
  }

  function empty() {
    const view = Object.assign({ every: null }, WORDS);
    LISTS.concat(Object.keys(CLOCK)).forEach(function (name) { view[name] = []; });
    TIMES.concat(BOUNDS).forEach(function (name) { view[name] = null; });
    return view;
  }

  /* The view of a link. What it leaves open or says wrongly is as at first: the last hour of positions. */
  function read(search, feeds, now, zone) {
    const given = new URLSearchParams(search);
    const view = empty();
    Object.keys(WORDS).forEach(function (name) { view[name] = given.get(name) || WORDS[name]; });
    LISTS.forEach(function (name) { view[name] = Array.from(new Set(given.getAll(name))).filter(Boolean).sort(); });
    Object.keys(CLOCK).forEach(function (name) { view[name] = onClock(name, given.getAll(name).map(Number)); });
    BOUNDS.forEach(function (name) { view[name] = given.get(name) && Number.isFinite(Number(given.get(name))) ? Number(given.get(name)) : null; });
    TIMES.forEach(function (name) {
      const ms = given.get(name) ? Date.parse(given.get(name).replace(" ", "+")) : NaN;
      view[name] = Number.isNaN(ms) ? null : ms;
    });
    if (view.from === null || view.to === null || view.from >= view.to) Object.assign(view, presets(now, zone).hour, { part_from: null, part_to: null });
    if (SHOWS.indexOf(view.show) < 0) view.show = "charts";
    return settled(view, feeds);
  }

  /* Hours or weekdays in order, each once; all of them are as good as none. */
  function onClock(name, numbers) {
    const ends = CLOCK[name];
    const found = Array.from(new Set(numbers)).filter(function (one) { return Number.isInteger(one) && one >= ends[0] && one <= ends[1]; });
    return found.length > ends[1] - ends[0] ? [] : found.sort(function (one, other) { return one - other; });
  }

  /* A view in which everything fits its feed: no filter, measure or grouping that the feed does not have. */
  function settled(view, feeds) {
    const next = Object.assign({}, view);
    if (!feeds[next.feed]) next.feed = WORDS.feed;
    const feed = feeds[next.feed];
    if (!feed.measures.some(function (one) { return one.name === next.measure; })) next.measure = feed.first;
    LISTS.forEach(function (name) { if (feed.by.indexOf(name) < 0 && next[name].length) next[name] = []; });
    const measure = feed.measures.find(function (one) { return one.name === next.measure; });
    if (measure.how === "rise") Object.keys(CLOCK).forEach(function (name) { next[name] = []; }); // it is counted over whole spans
    if (!measure.valued || (next.value_min !== null && next.value_max !== null && next.value_min >= next.value_max)) BOUNDS.forEach(function (name) { next[name] = null; });
    const groups = feed.by.filter(function (name) { return name !== "district" && name !== "mahalla"; });
    if (groups.indexOf(next.by) < 0) next.by = feed.by_first;
    if (next.level !== "district" && next.level !== "mahalla") next.level = next.district.length || next.mahalla.length ? "mahalla" : "district";
    if (next.part_from === null || next.part_to === null || next.part_from >= next.part_to || next.part_from < next.from || next.part_to > next.to) {
      next.part_from = null;
      next.part_to = null;
    }
    if (next.compare_from === null && next.show === "changes") next.show = "charts";
    if (next.show === "districts" && feed.by.indexOf("district") < 0) next.show = "charts";
    return next;
  }

  /* The query of the view's link: what is not as at first, always in one order. */
  function write(view, feeds, lang) {
    const pairs = new URLSearchParams();
    if (lang) pairs.set("lang", lang);
    Object.keys(WORDS).forEach(function (name) {
      const first = name === "measure" ? feeds[view.feed].first : name === "by" ? feeds[view.feed].by_first : name === "level" ? (view.district.length || view.mahalla.length ? "mahalla" : "district") : WORDS[name];
      if (view[name] !== first) pairs.set(name, view[name]);
    });
    LISTS.concat(Object.keys(CLOCK)).forEach(function (name) { view[name].forEach(function (value) { pairs.append(name, value); }); });
    BOUNDS.forEach(function (name) { if (view[name] !== null) pairs.set(name, view[name]); });
    TIMES.forEach(function (name) { if (view[name] !== null) pairs.set(name, time(view[name])); });
    return "?" + pairs.toString();
  }

  /* ---- questions ---- */

  /* The query of a question to history about this view. `more`: shape and what belongs to it; `without`: lists that do not count;
     `whole`: also what is beyond the chosen part; `against`: when the other span begins that it is held against. */
  function query(view, more, options) {
    const given = options || {};
    const narrow = !given.whole && view.part_from !== null;
    const pairs = new URLSearchParams();
    pairs.set("feed", view.feed);
    pairs.set("from", time(narrow ? view.part_from : view.from));
    pairs.set("to", time(narrow ? view.part_to : view.to));
    Object.keys(more).forEach(function (name) { if (more[name] !== null) pairs.set(name, more[name]); });
    const counts = function (name) { return (given.without || []).indexOf(name) < 0; };
    LISTS.concat(Object.keys(CLOCK)).forEach(function (name) {
      if (counts(name)) view[name].forEach(function (value) { pairs.append(name, value); });
    });
    BOUNDS.forEach(function (name) {
      if (!counts("value") || view[name] === null) return;
      pairs.set(name, view[name]);
      pairs.set("measure", view.measure); // whose values they bound
    });
    if (view.late !== "with") pairs.set("late", view.late);
    const against = given.against === undefined ? view.compare_from : given.against;
    if (against !== null) pairs.set("compare_from", time(against + (narrow ? view.part_from - view.from : 0)));
    return pairs.toString();
  }

  /* ---- what was not told ---- */

  /* Of what is told when it happens, a place or a step without rows had none of it, where the feed spoke at all. */
  function zeroed(rows, keys, name) {
    const there = new Set(rows.map(function (row) { return row[name]; }));
    const added = keys.filter(function (key) { return !there.has(key); }).map(function (key) { return Object.assign({ at: null, key: null, value: 0, rows: 0 }, { [name]: key }); });
    return rows.concat(added).sort(function (one, other) { return name === "at" ? one.at - other.at : 0; });
  }

  function stepsOf(rows, from, to, every_s) {
    const found = [];
    if (!rows.length || every_s > 3600) return found; // days are not all alike
    const step = every_s * 1000;
    for (let at = rows[0].at - Math.ceil((rows[0].at - from) / step) * step; at < to; at += step) if (at > from - step) found.push(at);
    return found;
  }

  Object.assign(analytics, {
    LISTS: LISTS, CLOCK: CLOCK, SHOWS: SHOWS, HOUR: HOUR, DAY: DAY,
    clock: { wall: wall, unwall: unwall, midnight: midnight },
    presets: presets, stepFor: stepFor, reference: reference, referenceName: referenceName, comparison: comparison,
    onClock: onClock, readView: read, settled: settled, writeView: write, query: query, time: time, zeroed: zeroed, stepsOf: stepsOf,
  });
})();
