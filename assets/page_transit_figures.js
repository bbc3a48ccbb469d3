/* The figures of a line, stop by stop: headways, travel times, punctuality, load, dwell.
 *
 * A figure says what it asks ({name: [what, by, more of a view and its stops]}), what it draws of the answers ({left, right: [{name, title, body, legend}]}) and the
 * columns of its table of numbers. Those of other kinds are in page_transit_figures_other.js.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };
  // Those of the other files are there when the page draws, not yet when this is read.
  const words = function () { return transit.words; };
  const charts = function () { return transit.charts; };

  /* The line's stops as rows: [{key, name, row}], `row` that of the answer, or null. */
  function along(ctx, rows) {
    const found = {};
    rows.forEach(function (row) { found[row.place] = row; });
    return ctx.stops.map(function (stop, at) { return { key: at, name: at + 1 + " " + (stop.stop_name || stop.stop_id), row: found[at] || null }; });
  }

  function column(title, more) {
    return Object.assign({ title: title }, more);
  }

  function name(row) {
    return row.stop_name || row.stop_id || "";
  }

  const stopColumn = { key: "stop_name", label: "stop", value: name, left: true };
  const count = function (key, label) { return { key: key, label: label, value: function (row) { return words().number(row[key]); } }; };
  const inMinutes = function (key, label, digits) { return { key: key, label: label, value: function (row) { return words().minutes(row[key], digits); } }; };
  const asShare = function (key, label) { return { key: key, label: label, value: function (row) { return words().share(row[key]); } }; };
  const seconds = function (key, label) { return { key: key, label: label, value: function (row) { return words().number(row[key]); } }; };

  function part(partName, title, from, body, legend) {
    return { name: partName, title: title, from: from, body: body, legend: legend };
  }

  function empty(key) {
    return h("p", { className: "empty" }, words().text(key || "transit.empty"));
  }

  /* ---- headways ---- */

  function referenceWords(rows) {
    const found = rows.map(function (row) { return row.reference; }).find(Boolean);
    return found ? words().text("transit.reference." + found) : "";
  }

  const headways = {
    asks: { main: ["headways", "stop"], hours: ["headways", "hour"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const spread = (ctx.parts.main.answer && ctx.parts.main.answer.spread) || [];
      const all = spread.reduce(function (sum, one) { return sum + one; }, 0);
      const left = function () {
        if (!rows.length) return empty();
        return h(charts().Along, {
          name: "headways", label: t("transit.show.headways"), rows: along(ctx, rows),
          columns: [
            column(t("transit.headway_min"), { share: 1.5, cells: function (one) { const row = one.row; return row && { lo: row.p10_s / 60, mid: row.p50_s / 60, hi: row.p90_s / 60, hint: t("transit.hint.range", { lo: words().minutes(row.p10_s), mid: words().minutes(row.p50_s), hi: words().minutes(row.p90_s), n: row.count }) }; }, words: function (one) { return one.row ? words().minutes(one.row.p50_s) : ""; } }),
            column(t("transit.bunched_gaps"), { share: 1.1, cells: function (one) { const row = one.row; return row && row.referenced ? { bars: [{ value: 100 * row.bunched_share, kind: "bunched" }, { value: 100 * row.gap_share, kind: "gap" }], hint: t("transit.hint.bunched", { bunched: row.bunched, gaps: row.gaps, n: row.referenced }) } : null; }, words: function (one) { return one.row && one.row.referenced ? words().number(100 * one.row.bunched_share) + " | " + words().number(100 * one.row.gap_share) : ""; } }),
            column(t("transit.excess_wait_min"), { cells: function (one) { const row = one.row; return row && words().known(row.excess_wait_s) ? { bars: [{ value: row.excess_wait_s / 60 }], hint: t("transit.hint.wait", { wait: words().minutes(row.wait_s), meant: words().minutes(row.reference_wait_s) }) } : null; }, words: function (one) { return one.row ? words().minutes(one.row.excess_wait_s) : ""; } }),
          ],
        });
      };
      const distribution = function () {
        if (!all) return empty();
        // The longest twentieth is told as one column.
        let cut = 0;
        for (let sum = 0; cut < spread.length && sum < 0.95 * all; cut++) sum += spread[cut];
        cut = Math.max(cut, 5);
        const bars = spread.slice(0, cut).map(function (n, minute) { return { x: minute, value: (100 * n) / all, hint: t("transit.hint.spread", { from: minute, to: minute + 1, n: n, share: words().share(n / all) }) }; });
        const rest = spread.slice(cut).reduce(function (sum, one) { return sum + one; }, 0);
        if (rest) bars.push({ x: "≥" + cut, value: (100 * rest) / all, kind: "none", hint: t("transit.hint.spread_rest", { from: cut, n: rest, share: words().share(rest / all) }) });
        return h(charts().Upright, { name: "spread", label: t("transit.distribution"), bars: bars, axis: t("transit.axis.minutes"), format: function (value) { return markaz.number(value, 0) + " %"; } });
      };
      const hours = function () {
        const found = words().rows(ctx.parts.hours);
        if (!found.length) return empty();
        return h(charts().Upright, {
          name: "headway_hours", label: t("transit.by_hour"), axis: t("transit.axis.hour_headway"),
          bars: found.map(function (row) { return { x: row.hour, lo: row.p10_s / 60, mid: row.p50_s / 60, hi: row.p90_s / 60, said: row.referenced ? words().share(row.bunched_share) : "", hint: words().hour(row.hour) + "\n" + t("transit.hint.range", { lo: words().minutes(row.p10_s), mid: words().minutes(row.p50_s), hi: words().minutes(row.p90_s), n: row.count }) }; }),
        });
      };
      return {
        note: referenceWords(rows),
        left: part("headways", t("transit.along.headways"), "main", left, [{ kind: "deep", words: t("transit.legend.range") }, { kind: "bunched", words: t("transit.legend.bunched", { n: markaz.number(100 * ctx.settings.bunched_share, 0) }) }, { kind: "gap", words: t("transit.legend.gaps", { n: markaz.number(100 * ctx.settings.gap_share, 0) }) }]),
        right: [part("spread", t("transit.distribution.headways"), "main", distribution), part("headway_hours", t("transit.by_hour.headways"), "hours", hours)],
      };
    },
    table: [stopColumn, count("count", "n"), inMinutes("mean_s", "mean_min"), inMinutes("p10_s", "p10"), inMinutes("p50_s", "p50"), inMinutes("p90_s", "p90"), { key: "variation", label: "variation", value: function (row) { return words().number(row.variation, 2); } }, asShare("bunched_share", "bunched"), asShare("gap_share", "gaps"), inMinutes("wait_s", "wait"), inMinutes("excess_wait_s", "excess"), count("unseen", "unseen"), count("pauses", "pauses")],
  };

  /* ---- travel times ---- */

  const travel = {
    asks: {
      main: ["travel-times", "stop"],
      trip: ["travel-times", "line", function (view, stops) { return transit.trip.asked(view, stops); }],
      trip_hours: ["travel-times", "hour", function (view, stops) { return transit.trip.asked(view, stops); }],
    },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const left = function () {
        if (!rows.length) return empty();
        const shown = rows.map(function (row, at) { return { key: at, name: (row.from_name || row.from_stop) + " → " + (row.to_name || row.to_stop), row: row }; });
        return h(charts().Along, {
          name: "travel", label: t("transit.show.travel"), rows: shown, nameWidth: 330,
          columns: [
            column(t("transit.travel_min"), { share: 1.5, cells: function (one) { const row = one.row; return { lo: row.p10_s / 60, mid: row.p50_s / 60, hi: row.p90_s / 60, hint: t("transit.hint.range", { lo: words().minutes(row.p10_s), mid: words().minutes(row.p50_s), hi: words().minutes(row.p90_s), n: row.count }) }; }, words: function (one) { return words().minutes(one.row.p50_s); } }),
            column(t("transit.speed_kmh"), { cells: function (one) { return { bars: [{ value: one.row.speed_kmh }] }; }, words: function (one) { return words().number(one.row.speed_kmh, 1); } }),
          ],
        });
      };
      const slowest = function () {
        const order = rows.filter(function (row) { return row.count >= 5; }).sort(function (one, other) { return (other.p90_s - other.p50_s) / other.distance_m - (one.p90_s - one.p50_s) / one.distance_m; }).slice(0, 8);
        if (!order.length) return empty();
        return h("ol", { className: "tr-list" }, order.map(function (row, at) { return h("li", { key: at }, h("span", null, (row.from_name || row.from_stop) + " → " + (row.to_name || row.to_stop)), h("b", null, "+" + words().minutes(row.p90_s - row.p50_s)), h("small", null, words().number(row.distance_m) + " m")); }));
      };
      return {
        note: t("transit.note.travel"),
        left: part("travel", t("transit.along.travel"), "main", left, [{ kind: "deep", words: t("transit.legend.range") }]),
        right: [part("trip", t("transit.trip"), "trip_hours", function () { return transit.trip.body(ctx); }), part("slowest", t("transit.unreliable"), "main", slowest)],
      };
    },
    table: [{ key: "from_name", label: "from", left: true, value: function (row) { return row.from_name || row.from_stop; } }, { key: "to_name", label: "to", left: true, value: function (row) { return row.to_name || row.to_stop; } }, count("distance_m", "metres"), count("count", "n"), inMinutes("p10_s", "p10", 2), inMinutes("p50_s", "p50", 2), inMinutes("p90_s", "p90", 2), inMinutes("mean_s", "mean_min", 2), { key: "speed_kmh", label: "kmh", value: function (row) { return words().number(row.speed_kmh, 1); } }],
  };

  /* ---- punctuality ---- */

  function thirds(row) {
    return ["early", "on_time", "late"].map(function (kind) { return { kind: kind, share: row[kind] / row.compared }; });
  }

  function told(row) {
    return words().text("transit.hint.punctuality", { early: words().share(row.early / row.compared), on_time: words().share(row.on_time / row.compared), late: words().share(row.late / row.compared), n: row.compared });
  }

  const punctuality = {
    asks: { main: ["punctuality", "stop"], hours: ["punctuality", "hour"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const compared = rows.some(function (row) { return row.compared; });
      const left = function () {
        if (!rows.length) return empty();
        if (!compared) return empty("transit.no_schedule");
        return h(charts().Along, {
          name: "punctuality", label: t("transit.show.punctuality"), rows: along(ctx, rows),
          columns: [
            column(t("transit.on_time_shares"), { share: 1.7, most: 1, format: function (value) { return markaz.number(100 * value, 0) + " %"; }, cells: function (one) { const row = one.row; return row && row.compared ? { parts: thirds(row), hint: told(row) } : null; }, words: function (one) { return one.row ? words().share(one.row.on_time_share) : ""; } }),
            column(t("transit.late_min"), { cells: function (one) { const row = one.row; return row && row.compared ? { lo: row.p10_late_s / 60, mid: row.p50_late_s / 60, hi: row.p90_late_s / 60, hint: t("transit.hint.range", { lo: words().minutes(row.p10_late_s), mid: words().minutes(row.p50_late_s), hi: words().minutes(row.p90_late_s), n: row.compared }) } : null; }, words: function (one) { return one.row ? words().minutes(one.row.p50_late_s) : ""; } }),
          ],
        });
      };
      const hours = function () {
        const found = words().rows(ctx.parts.hours).filter(function (row) { return row.compared; });
        if (!found.length) return empty(rows.length && !compared ? "transit.no_schedule" : "transit.empty");
        return h(charts().Upright, { name: "punctuality_hours", label: t("transit.by_hour"), most: 1, axis: t("transit.axis.hour"), format: function (value) { return markaz.number(100 * value, 0) + " %"; }, bars: found.map(function (row) { return { x: row.hour, parts: thirds(row), hint: words().hour(row.hour) + "\n" + told(row) }; }) });
      };
      const all = rows.reduce(function (sum, row) { return { early: sum.early + row.early, on_time: sum.on_time + row.on_time, late: sum.late + row.late, compared: sum.compared + row.compared }; }, { early: 0, on_time: 0, late: 0, compared: 0 });
      const whole = function () {
        if (!all.compared) return empty(rows.length ? "transit.no_schedule" : "transit.empty");
        return h("dl", { className: "tr-facts" }, ["early", "on_time", "late"].map(function (kind) { return h("div", { key: kind }, h("dt", null, t("transit.fact." + kind)), h("dd", null, words().share(all[kind] / all.compared)), h("small", null, markaz.number(all[kind], 0))); }));
      };
      const classes = ["early", "on_time", "late"].map(function (kind) { return { kind: kind, words: t("transit.legend." + kind, { early: words().minutes(ctx.settings.early_s, 0), late: words().minutes(ctx.settings.late_s, 0) }) }; });
      return {
        note: t("transit.note.punctuality", { early: words().minutes(ctx.settings.early_s, 0), late: words().minutes(ctx.settings.late_s, 0) }),
        left: part("punctuality", t("transit.along.punctuality"), "main", left, classes),
        right: [part("punctuality_all", t("transit.all_stops"), "main", whole), part("punctuality_hours", t("transit.by_hour.punctuality"), "hours", hours)],
      };
    },
    table: [stopColumn, count("count", "n"), count("compared", "compared"), count("early", "early"), count("on_time", "on_time"), count("late", "late"), asShare("on_time_share", "on_time_share"), inMinutes("mean_late_s", "mean_late"), inMinutes("p50_late_s", "p50_late"), inMinutes("p90_late_s", "p90_late")],
  };

  /* ---- load ---- */

  const load = {
    asks: { main: ["load", "stop"], hours: ["load", "stop,hour"], areas: ["boardings", "stop"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const answer = ctx.parts.main.answer || {};
      const places = answer.capacity;
      const line = words().known(places) ? { value: places, words: t("transit.capacity", { n: words().number(places) }) } : null;
      const left = function () {
        if (!rows.length) return empty("transit.no_counts");
        return h(charts().Along, {
          name: "load", label: t("transit.show.load"), rows: along(ctx, rows),
          columns: [
            column(t("transit.load_people"), { share: 1.5, line: line, cells: function (one) { const row = one.row; return row && words().known(row.load_mean) ? { bars: [{ value: row.load_mean, kind: "deep" }], tick: row.load_max, hint: t("transit.hint.load", { mean: words().number(row.load_mean, 1), p90: words().number(row.load_p90), max: words().number(row.load_max), n: row.loaded }) } : null; }, words: function (one) { return one.row ? words().number(one.row.load_mean) + " | " + words().number(one.row.load_max) : ""; } }),
            column(t("transit.on_off"), { cells: function (one) { const row = one.row; return row && words().known(row.boarded_mean) ? { bars: [{ value: row.boarded_mean, kind: "on" }, { value: row.alighted_mean, kind: "off" }], hint: t("transit.hint.on_off", { on: words().number(row.boarded), off: words().number(row.alighted), n: row.counted }) } : null; }, words: function (one) { return one.row ? words().number(one.row.boarded_mean, 1) + " | " + words().number(one.row.alighted_mean, 1) : ""; } }),
          ],
        });
      };
      const hours = function () {
        const found = {};
        words().rows(ctx.parts.hours).forEach(function (row) {
          if (!words().known(row.load_mean)) return;
          const one = (found[row.hour] = found[row.hour] || { hour: row.hour, mean: 0, max: 0, where: "" });
          if (row.load_mean > one.mean) Object.assign(one, { mean: row.load_mean, where: name(row) });
          one.max = Math.max(one.max, row.load_max);
        });
        const order = Object.values(found).sort(function (one, other) { return one.hour - other.hour; });
        if (!order.length) return empty("transit.no_counts");
        return h(charts().Upright, { name: "load_hours", label: t("transit.by_hour"), axis: t("transit.axis.hour_load"), line: places, lineWords: line ? line.words : "", bars: order.map(function (one) { return { x: one.hour, value: one.mean, kind: "deep", said: words().number(one.mean), hint: words().hour(one.hour) + "\n" + t("transit.hint.peak", { mean: words().number(one.mean, 1), max: words().number(one.max), stop: one.where }) }; }) });
      };
      const areas = function () {
        const found = words().rows(ctx.parts.areas).filter(function (row) { return row.boarded || row.alighted; });
        if (!found.length) return empty("transit.no_counts");
        const most = found.reduce(function (so, row) { return Math.max(so, row.boarded); }, 1);
        return h("ol", { className: "tr-areas" }, found.slice(0, 40).map(function (row) { return h("li", { key: row.area || "" }, h("span", null, row.area ? markaz.analytics.words.areaName(row.area) : t("transit.no_area")), h("i", null, h("u", { style: { width: (100 * row.boarded) / most + "%" } })), h("b", null, words().number(row.boarded)), h("small", null, t("transit.stops_n", { n: row.stops }))); }));
      };
      return {
        note: words().known(answer.coverage) ? t("transit.note.load", { share: words().share(answer.coverage) }) : "",
        left: part("load", t("transit.along.load"), "main", left, [{ kind: "deep", words: t("transit.legend.load") }, { kind: "on", words: t("transit.legend.on") }, { kind: "off", words: t("transit.legend.off") }]),
        right: [part("load_hours", t("transit.by_hour.load"), "hours", hours), part("boardings", t("transit.by_area"), "areas", areas)],
      };
    },
    table: [stopColumn, count("passages", "n"), count("counted", "counted"), { key: "boarded_mean", label: "on_mean", value: function (row) { return words().number(row.boarded_mean, 1); } }, { key: "alighted_mean", label: "off_mean", value: function (row) { return words().number(row.alighted_mean, 1); } }, count("boarded", "on"), count("alighted", "off"), { key: "load_mean", label: "load_mean", value: function (row) { return words().number(row.load_mean, 1); } }, count("load_p90", "load_p90"), count("load_max", "load_max")],
  };

  /* ---- time at stops ---- */

  const dwell = {
    asks: { main: ["dwell", "stop"], hours: ["dwell", "stop,hour"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const left = function () {
        if (!rows.length) return empty();
        return h(charts().Along, {
          name: "dwell", label: t("transit.show.dwell"), rows: along(ctx, rows),
          columns: [
            column(t("transit.dwell_s"), { share: 1.5, cells: function (one) { const row = one.row; return row && row.stood ? { bars: [{ value: row.p50_s, kind: "deep" }], tick: row.p90_s, hint: t("transit.hint.dwell", { mean: words().number(row.mean_s), p50: words().number(row.p50_s), p90: words().number(row.p90_s), n: row.stood }) } : null; }, words: function (one) { return one.row && one.row.stood ? words().number(one.row.p50_s) + " | " + words().number(one.row.p90_s) : ""; } }),
            column(t("transit.stood_share"), { most: 1, format: function (value) { return markaz.number(100 * value, 0) + " %"; }, cells: function (one) { const row = one.row; return row && { bars: [{ value: row.stood / row.count }] }; }, words: function (one) { return one.row ? words().share(one.row.stood / one.row.count) : ""; } }),
          ],
        });
      };
      const hours = function () {
        const found = {};
        words().rows(ctx.parts.hours).forEach(function (row) {
          const one = (found[row.hour] = found[row.hour] || { hour: row.hour, sum: 0, n: 0 });
          one.sum += row.mean_s * row.stood;
          one.n += row.stood;
        });
        const order = Object.values(found).filter(function (one) { return one.n; }).sort(function (one, other) { return one.hour - other.hour; });
        if (!order.length) return empty();
        return h(charts().Upright, { name: "dwell_hours", label: t("transit.by_hour"), axis: t("transit.axis.hour_dwell"), bars: order.map(function (one) { return { x: one.hour, value: one.sum / one.n, said: words().number(one.sum / one.n), hint: words().hour(one.hour) + "\n" + t("transit.hint.dwell_hour", { mean: words().number(one.sum / one.n, 1), n: one.n }) }; }) });
      };
      return {
        note: t("transit.note.dwell"),
        left: part("dwell", t("transit.along.dwell"), "main", left, [{ kind: "deep", words: t("transit.legend.dwell") }]),
        right: [part("dwell_hours", t("transit.by_hour.dwell"), "hours", hours)],
      };
    },
    table: [stopColumn, count("count", "n"), count("stood", "stood"), seconds("mean_s", "mean_s"), seconds("p50_s", "p50_s"), seconds("p90_s", "p90_s")],
  };

  transit.figures = Object.assign(transit.figures || {}, { headways: headways, travel: travel, punctuality: punctuality, load: load, dwell: dwell });
  transit.figure = { part: part, empty: empty, column: column, count: count, inMinutes: inMinutes };
})();
