/* Words, numbers and units of the page of analytics. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const EXACT = 100;

  /* A name without a translation is shown as it is. */
  function named(prefix, name) {
    const words = markaz.text(prefix + name);
    return words === prefix + name ? String(name) : words;
  }

  function measureOf(feeds, view) {
    return feeds[view.feed].measures.find(function (one) { return one.name === view.measure; });
  }

  function measureName(view) {
    return named("analytics.m.", view.measure);
  }

  /* People read km/h; everything else stays as it is measured. */
  function factor(measure) {
    return measure.unit === "m/s" ? 3.6 : 1;
  }

  function unit(measure) {
    if (!measure.unit) return "";
    return measure.unit === "m/s" ? markaz.text("unit.km/h") : named("analytics.unit.", measure.unit);
  }

  function digits(value, measure) {
    const whole = ["count", "entities"].indexOf(measure.how) >= 0 || Number.isInteger(value);
    if (whole || Math.abs(value) >= EXACT) return 0;
    return Math.abs(value) >= 1 ? 1 : 2;
  }

  /* A value of a measure as a person reads it, without its unit. */
  function bare(value, measure) {
    if (value === null || value === undefined) return "–";
    const shown = value * factor(measure);
    return markaz.number(shown, digits(shown, measure));
  }

  function full(value, measure) {
    const words = unit(measure);
    return bare(value, measure) + (words && value !== null && value !== undefined ? "\u00a0" + words : "");
  }

  function signed(value, measure) {
    if (value === null || value === undefined) return "–";
    const words = bare(Math.abs(value), measure);
    return (value > 0 ? "+" : value < 0 ? "−" : "±") + words;
  }

  /* How much more in per cent; null where there is nothing to be held against. */
  function change(now, before) {
    if (now === null || now === undefined || !before) return null;
    return (100 * (now - before)) / Math.abs(before);
  }

  function percent(value) {
    if (value === null) return "–";
    const size = Math.abs(value);
    const words = markaz.number(size, size < 9.95 && size > 0 ? 1 : 0) + "\u00a0%";
    return (value > 0 ? "+" : value < 0 ? "−" : "±") + words;
  }

  function title(view, feeds) {
    const measure = measureOf(feeds, view);
    const words = unit(measure);
    return measureName(view) + (words ? ", " + words : "");
  }

  /* ---- places and times ---- */

  function areaName(code) {
    return (markaz.areaNames || {})[code] || code;
  }

  /* Values of one dimension by name; what has none of it is told so. */
  function valueName(dimension, value) {
    if (value === null || value === undefined || value === "") return markaz.text("analytics.none_of");
    if (dimension === "district" || dimension === "mahalla") return areaName(value);
    if (dimension === "route") return markaz.text("route", { route: value });
    if (dimension === "rule") return named("rule.", value);
    if (dimension === "priority") return named("priority.", value);
    if (dimension === "kind") return named("kind.", value);
    return String(value);
  }

  /* Numbers as runs: [[7, 9], [17, 17]]. */
  function runs(numbers) {
    const found = [];
    numbers.forEach(function (one) {
      const last = found[found.length - 1];
      if (last && last[1] === one - 1) last[1] = one;
      else found.push([one, one]);
    });
    return found;
  }

  /* The hours or weekdays of a view: "07:00–10:00, 17:00–18:00", "Mon–Fri". */
  function onClock(view, name) {
    const clock = function (hour) { return String(hour).padStart(2, "0") + ":00"; };
    const days = markaz.settings().days || [];
    return runs(view[name])
      .map(function (run) {
        if (name === "hour") return clock(run[0]) + "–" + clock(run[1] + 1);
        return run[0] === run[1] ? days[run[0] - 1] : days[run[0] - 1] + "–" + days[run[1] - 1];
      })
      .join(", ");
  }

  /* Within which values of the measure: "10 … 20 km/h"; empty where all of them count. */
  function within(view, measure) {
    const low = view.value_min;
    const high = view.value_max;
    if (low !== null && high !== null) return bare(low, measure) + " … " + full(high, measure);
    if (low !== null) return "≥ " + full(low, measure);
    return high !== null ? "< " + full(high, measure) : "";
  }

  function few(values, words) {
    if (values.length <= 2) return values.map(words).join(", ");
    return markaz.text("analytics.many", { first: words(values[0]), n: values.length - 1 });
  }

  /* Where and of what: "Chilonzor · route 12". */
  function place(view, cityName, measure) {
    const found = [];
    if (view.mahalla.length) found.push(few(view.mahalla, areaName));
    else if (view.district.length) found.push(few(view.district, areaName));
    else found.push(cityName);
    analytics.LISTS.forEach(function (name) {
      if (name !== "district" && name !== "mahalla" && view[name].length) found.push(few(view[name], function (value) { return valueName(name, value); }));
    });
    Object.keys(analytics.CLOCK).forEach(function (name) { if (view[name].length) found.push(onClock(view, name)); });
    if (measure && within(view, measure)) found.push(within(view, measure));
    return found.join(" · ");
  }

  function moment(ms) {
    return markaz.day(ms) + " " + markaz.clock(ms);
  }

  function period(from, to) {
    const zone = markaz.settings().timezone;
    const begin = analytics.clock.wall(from, zone);
    const last = analytics.clock.wall(to, zone);
    const day = function (text) { return text.slice(8, 10) + "." + text.slice(5, 7) + "." + text.slice(0, 4); };
    const one = day(begin) === day(analytics.clock.wall(to - 1, zone));
    const end = one && last.slice(11, 16) === "00:00" ? "24:00" : last.slice(11, 16);
    return day(begin) + " " + begin.slice(11, 16) + " – " + (one ? "" : day(last) + " ") + end;
  }

  function step(seconds) {
    if (seconds < 60) return markaz.text("age.seconds", { n: seconds });
    if (seconds < 3600) return markaz.text("age.minutes", { n: seconds / 60 });
    return seconds < 86400 ? markaz.text("age.hours", { n: seconds / 3600 }) : markaz.text("age.days", { n: seconds / 86400 });
  }

  /* ---- the sentence on top ---- */

  // Of a time of which far fewer rows are known nothing is said: it may have been another city then, or half a day.
  const KNOWN_MIN = { count: 0.1, entities: 0.1, sum: 0.1, rise: 0.1 };
  const KNOWN_MIN_ELSE = 0.5;

  /* What the picture shows, for somebody who reads nothing else: {says, range}. `total`, `before`: {value, rows} or nothing. */
  function sentence(view, feeds, cityName, total, before, areas) {
    const measure = measureOf(feeds, view);
    const value = total ? total.value : null;
    const values = { place: place(view, cityName, measure), measure: measureName(view), value: full(value, measure) };
    if (value === null) return { says: markaz.text("analytics.says.nothing", values), range: "" };
    const known = before && before.rows >= total.rows * (KNOWN_MIN[measure.how] || KNOWN_MIN_ELSE);
    const by = known ? change(value, before.value) : null;
    let says = markaz.text("analytics.says.alone", values);
    if (by !== null) {
      values.percent = percent(Math.abs(by)).replace(/^[+±]/, "");
      values.than = markaz.text("analytics.than." + analytics.referenceName(view));
      // Less than half a per cent is the noise of any measurement.
      says = markaz.text("analytics.says." + (Math.abs(by) < 0.5 ? "same" : by > 0 ? "higher" : "lower"), values);
    }
    const order = areas.filter(function (one) { return one.value !== null && one.key; }).sort(function (one, other) { return other.value - one.value; });
    const top = order[0];
    const low = order[order.length - 1];
    if (order.length < 3 || top.value === low.value) return { says: says, range: "" };
    return { says: says, range: markaz.text("analytics.says.range", { top: areaName(top.key), most: full(top.value, measure), low: areaName(low.key), least: full(low.value, measure) }) };
  }

  analytics.words = {
    named: named, measureOf: measureOf, measureName: measureName, unit: unit, factor: factor, bare: bare, full: full, signed: signed, change: change, percent: percent,
    title: title, areaName: areaName, valueName: valueName, place: place, runs: runs, onClock: onClock, within: within, moment: moment, period: period, step: step, sentence: sentence,
  };
})();
