/* The figures that are not stop by stop: the time-distance diagram, origin and destination, fuel, use of vehicles. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };
  const words = function () { return transit.words; };
  const charts = function () { return transit.charts; };

  const HOUR = 3600000;
  const DAY = 24 * HOUR;

  /* ---- the diagram of a day ---- */

  /* The day of the span that the diagram shows: its last one, where there is more than one. */
  function dayOf(view) {
    if (view.to - view.from <= 1.05 * DAY) return { from: view.from, to: view.to };
    // A whole hour: a question that is another one at each look would never be answered.
    const to = Math.min(view.to, Math.ceil(markaz.now() / HOUR) * HOUR);
    return { from: Math.max(view.from, to - DAY), to: to };
  }

  /* The piece of that day that is looked at. Without a choice: from the first run on, as there is nothing before it. */
  function windowOf(view, runs) {
    const day = dayOf(view);
    const first = runs.reduce(function (so, run) { return Math.min(so, Date.parse(run.first_at)); }, Infinity);
    const last = runs.reduce(function (so, run) { return Math.max(so, Date.parse(run.last_at)); }, -Infinity);
    if (!view.window) return runs.length ? { from: Math.max(day.from, first), to: Math.max(Math.min(day.to, last), first + HOUR / 4) } : day;
    const length = view.window * HOUR;
    const latest = (runs.length ? Math.min(day.to, last) : day.to) - length;
    const begin = view.at === null ? latest : Math.min(Math.max(view.at, day.from), day.to - Math.min(length, day.to - day.from));
    return { from: begin, to: begin + length };
  }

  function Windows(props) {
    const view = props.ctx.view;
    const at = windowOf(view, props.runs);
    const move = function (by) { return function () { props.ctx.onChange({ at: at.from + by * view.window * HOUR * 0.5 }, true); }; };
    return h(
      "div",
      { className: "segmented tr-windows", role: "group", "aria-label": words().text("transit.window") },
      view.window ? h("button", { key: "back", type: "button", "data-window-move": "-1", title: words().text("transit.window.earlier"), onClick: move(-1) }, "◀") : null,
      transit.WINDOWS_H.concat([0]).map(function (hours) {
        const on = view.window === hours;
        return h("button", { key: hours, type: "button", className: on ? "on" : "", "aria-pressed": on, "data-window": hours, onClick: function () { props.ctx.onChange({ window: hours, at: hours ? at.from : null }); } }, hours ? words().text("transit.window.hours", { n: hours }) : words().text("transit.window.all"));
      }),
      view.window ? h("button", { key: "on", type: "button", "data-window-move": "1", title: words().text("transit.window.later"), onClick: move(1) }, "▶") : null,
    );
  }

  function runWords(run) {
    const t = words().text;
    const late = run.late_s.filter(words().known);
    const end = late.length ? late[late.length - 1] : null;
    const says = [t("transit.vehicle", { id: run.vehicle_id }), words().at(run.first_at) + " – " + words().at(run.last_at).slice(-8)];
    if (run.trip) says.push(run.trip);
    if (end !== null) says.push(end > 0 ? t("transit.run.late", { n: words().minutes(end) }) : t("transit.run.early", { n: words().minutes(-end) }));
    if (run.estimated) says.push(t("transit.run.estimated", { n: run.estimated }));
    return says.join(" · ");
  }

  const diagram = {
    asks: { main: ["trips", "line"] },
    span: dayOf,
    draw: function (ctx) {
      const t = words().text;
      const runs = words().rows(ctx.parts.main);
      const left = function () {
        if (!runs.length || ctx.stops.length < 2) return transit.figure.empty();
        const at = windowOf(ctx.view, runs);
        return h(transit.diagram.Diagram, { label: t("transit.show.diagram"), runs: runs, stops: ctx.stops, from: at.from, to: at.to, limits: ctx.settings, words: runWords, hint: t("transit.hint.diagram") });
      };
      const whole = dayOf(ctx.view);
      return {
        note: ctx.view.to - ctx.view.from > 1.05 * DAY ? t("transit.note.day", { from: words().at(whole.from), to: words().at(whole.to) }) : "",
        left: Object.assign(transit.figure.part("diagram", t("transit.diagram.title", { n: runs.length }), "main", left), {
          tools: h(Windows, { ctx: ctx, runs: runs }),
          key: h(transit.diagram.Legend, { words: function (kind) { return t("transit.line." + kind, { early: words().minutes(ctx.settings.early_s, 0), late: words().minutes(ctx.settings.late_s, 0) }); } }),
        }),
        right: [],
      };
    },
    table: [
      { key: "vehicle_id", label: "vehicle", left: true, value: function (row) { return row.vehicle_id; } },
      { key: "trip", label: "trip", left: true, value: function (row) { return row.trip || ""; } },
      { key: "first_at", label: "departure", value: function (row) { return words().at(row.first_at); } },
      { key: "last_at", label: "arrival", value: function (row) { return words().at(row.last_at); } },
      { key: "minutes", label: "minutes", value: function (row) { return words().minutes((Date.parse(row.last_at) - Date.parse(row.first_at)) / 1000); } },
      { key: "stops", label: "stops", value: function (row) { return words().number(row.stops.length); } },
      { key: "late_s", label: "late_end", value: function (row) { return words().minutes(row.late_s[row.late_s.length - 1]); } },
      { key: "estimated", label: "estimated", value: function (row) { return words().number(row.estimated); } },
    ],
  };

  /* ---- from where to where ---- */

  function stopName(stops, place, id) {
    return place + 1 + " " + ((stops[place] && stops[place].stop_name) || id);
  }

  function pairsOf(ctx) {
    const estimate = words().rows(ctx.parts.main)[0];
    if (!estimate) return [];
    return estimate.pairs.slice().sort(function (one, other) { return other.passengers - one.passengers; });
  }

  const od = {
    asks: { main: ["od", "stop"] },
    draw: function (ctx) {
      const t = words().text;
      const estimate = words().rows(ctx.parts.main)[0];
      const refused = ((ctx.parts.main.answer || {}).refused || [])[0];
      const pairs = pairsOf(ctx);
      const whole = estimate ? pairs.reduce(function (sum, pair) { return sum + pair.passengers; }, 0) || 1 : 1;
      const left = function () {
        if (refused) {
          const said = ["coverage", "imbalance", "residual"].includes(refused.reason) ? words().share : words().number;
          const values = { value: said(refused.value), needed: said(refused.needed) };
          return h("div", { className: "tr-refused", "data-refused": refused.reason }, h("b", null, t("transit.od.none")), h("p", null, t("transit.od.refused." + refused.reason, values)));
        }
        if (!estimate) return transit.figure.empty("transit.no_counts");
        return h(transit.diagram.Matrix, { label: t("transit.show.od"), stops: ctx.stops, pairs: pairs, words: function (pair, from, to) { return (from.stop_name || from.stop_id) + " → " + (to.stop_name || to.stop_id) + "\n" + t("transit.hint.pair", { n: words().number(pair.passengers, 1), low: words().number(pair.low, 1), high: words().number(pair.high, 1), share: words().share(pair.passengers / whole) }); } });
      };
      const method = function () {
        if (!estimate) return h("p", { className: "tr-words" }, t("transit.od.method"));
        const facts = [
          [t("transit.od.runs"), words().number(estimate.runs)],
          [t("transit.od.passengers"), words().number(estimate.passengers)],
          [t("transit.od.coverage"), words().share(estimate.coverage)],
          [t("transit.od.imbalance"), words().share(Math.abs(estimate.imbalance))],
          [t("transit.od.residual"), words().share(estimate.residual)],
          [t("transit.od.seed"), words().share(estimate.seed_share)],
          [t("transit.od.impossible"), words().number(estimate.impossible)],
          [t("transit.od.mean_trip"), words().number(estimate.mean_trip_m / 1000, 1) + " km"],
        ];
        return h(React.Fragment, null, h("p", { className: "tr-words" }, t("transit.od.method")), h("dl", { className: "tr-pairs" }, facts.map(function (fact) { return h("div", { key: fact[0] }, h("dt", null, fact[0]), h("dd", null, fact[1])); })));
      };
      const top = function () {
        if (!pairs.length) return transit.figure.empty("transit.no_counts");
        const shown = pairs.slice(0, 12).map(function (pair, at) { return { key: at, name: stopName(ctx.stops, pair.from_place, pair.from_stop) + " → " + stopName(ctx.stops, pair.to_place, pair.to_stop), row: pair }; });
        return h(charts().Along, { name: "od_top", label: t("transit.od.top"), rows: shown, nameWidth: 290, columns: [{ title: t("transit.od.interval"), cells: function (one) { return { lo: one.row.low, mid: one.row.passengers, hi: one.row.high, hint: t("transit.hint.pair", { n: words().number(one.row.passengers, 1), low: words().number(one.row.low, 1), high: words().number(one.row.high, 1), share: words().share(one.row.passengers / whole) }) }; }, words: function (one) { return words().number(one.row.passengers); } }] });
      };
      return {
        note: t("transit.note.od"),
        left: Object.assign(transit.figure.part("od", t("transit.od.title"), "main", left), { key: pairs.length ? h(transit.diagram.MatrixLegend, { pairs: pairs }) : null }),
        right: [transit.figure.part("od_method", t("transit.od.how"), "main", method), transit.figure.part("od_top", t("transit.od.top"), "main", top)],
      };
    },
    rows: pairsOf,
    table: [
      { key: "from_stop", label: "from", left: true, value: function (row, ctx) { return stopName(ctx.stops, row.from_place, row.from_stop); } },
      { key: "to_stop", label: "to", left: true, value: function (row, ctx) { return stopName(ctx.stops, row.to_place, row.to_stop); } },
      { key: "passengers", label: "passengers", value: function (row) { return words().number(row.passengers, 1); } },
      { key: "low", label: "low", value: function (row) { return words().number(row.low, 1); } },
      { key: "high", label: "high", value: function (row) { return words().number(row.high, 1); } },
    ],
  };

  /* ---- fuel ---- */

  function outlierWords(one) {
    const t = words().text;
    const use = one.use;
    const values = { vehicle: use.vehicle_id || "", value: words().number(use.per_100km, 1), median: words().number(one.median, 1), count: one.count, z: words().number(Math.abs(one.z), 1) };
    const why = [t(one.z > 0 ? "transit.fuel.more" : "transit.fuel.less", values)];
    if (use.drained_l > 0) why.push(t("transit.fuel.drained", { n: words().number(use.drained_l) }));
    if (use.source !== "counter") why.push(t("transit.fuel.by_gauge"));
    if (use.way !== "odometer") why.push(t("transit.fuel.by_satellite"));
    if (use.km < 30) why.push(t("transit.fuel.few_km", { n: words().number(use.km) }));
    return why.join("; ");
  }

  const fuel = {
    asks: { main: ["fuel", "stop"], shifts: ["fuel", "hour"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const found = (ctx.parts.main.answer || {}).outliers || [];
      const odd = {};
      found.forEach(function (one) { odd[one.use.vehicle_id] = one; });
      const order = rows.slice().sort(function (one, other) { return other.per_100km - one.per_100km; });
      const values = order.map(function (row) { return row.per_100km; });
      const median = values.length ? values[Math.floor(values.length / 2)] : null;
      const left = function () {
        if (!rows.length) return transit.figure.empty("transit.no_fuel");
        return h(charts().Along, {
          name: "fuel", label: t("transit.show.fuel"), nameWidth: 130,
          rows: order.map(function (row, at) { return { key: at, name: row.vehicle_id, mark: odd[row.vehicle_id] ? "▲" : "", row: row }; }),
          columns: [
            { title: t("transit.fuel.per_100km"), share: 1.7, line: words().known(median) ? { value: median, words: t("transit.fuel.median", { n: words().number(median, 1) }) } : null, cells: function (one) { return { bars: [{ value: one.row.per_100km, kind: odd[one.row.vehicle_id] ? "late" : "deep" }], hint: odd[one.row.vehicle_id] ? outlierWords(odd[one.row.vehicle_id]) : "" }; }, words: function (one) { return words().number(one.row.per_100km, 1); } },
            { title: t("transit.fuel.km"), cells: function (one) { return { bars: [{ value: one.row.km }] }; }, words: function (one) { return words().number(one.row.km); } },
          ],
        });
      };
      const strange = function () {
        if (!rows.length) return transit.figure.empty("transit.no_fuel");
        if (!found.length) return h("p", { className: "tr-words" }, rows.length < 8 ? t("transit.fuel.too_few", { n: rows.length }) : t("transit.fuel.none"));
        return h("ol", { className: "tr-outliers" }, found.map(function (one) { return h("li", { key: one.use.vehicle_id, "data-outlier": one.use.vehicle_id }, h("b", null, "▲ " + one.use.vehicle_id), h("span", null, outlierWords(one))); }));
      };
      const shifts = function () {
        const some = words().rows(ctx.parts.shifts);
        if (!some.length) return transit.figure.empty("transit.no_fuel");
        const least = Math.floor(Math.min.apply(null, some.map(function (row) { return row.per_100km; })) / 2) * 2;
        const most = Math.max.apply(null, some.map(function (row) { return row.per_100km; }));
        const width = Math.max(1, Math.ceil((most - least) / 24));
        const bins = [];
        some.forEach(function (row) { const at = Math.floor((row.per_100km - least) / width); bins[at] = (bins[at] || 0) + 1; });
        const bars = Array.from(bins, function (n, at) { return { x: least + at * width, value: n || 0, hint: t("transit.hint.shifts", { from: words().number(least + at * width), to: words().number(least + (at + 1) * width), n: n || 0 }) }; });
        return h(charts().Upright, { name: "shifts", label: t("transit.fuel.shifts"), bars: bars, axis: t("transit.axis.per_100km") });
      };
      return {
        note: t("transit.note.fuel"),
        left: transit.figure.part("fuel", t("transit.fuel.title"), "main", left, [{ kind: "deep", words: t("transit.legend.fuel") }, { kind: "late", words: t("transit.legend.outlier") }]),
        right: [transit.figure.part("outliers", t("transit.fuel.outliers"), "main", strange), transit.figure.part("shifts", t("transit.fuel.shifts"), "shifts", shifts)],
      };
    },
    rows: function (ctx) { return words().rows(ctx.parts.shifts); },
    tableOf: "shifts",
    table: [
      { key: "vehicle_id", label: "vehicle", left: true, value: function (row) { return row.vehicle_id; } },
      { key: "first_at", label: "begins", value: function (row) { return words().at(row.first_at); } },
      { key: "last_at", label: "ends", value: function (row) { return words().at(row.last_at); } },
      { key: "km", label: "km", value: function (row) { return words().number(row.km, 1); } },
      { key: "litres", label: "litres", value: function (row) { return words().number(row.litres, 1); } },
      { key: "per_100km", label: "per_100km", value: function (row) { return words().number(row.per_100km, 1); } },
      { key: "refuelled_l", label: "refuelled", value: function (row) { return words().number(row.refuelled_l); } },
      { key: "drained_l", label: "drained", value: function (row) { return words().number(row.drained_l); } },
      { key: "source", label: "source", left: true, value: function (row) { return words().text("transit.source." + row.source.replace(/ /g, "_")); } },
    ],
  };

  /* ---- use of vehicles ---- */

  const use = {
    asks: { main: ["use", "line"] },
    draw: function (ctx) {
      const t = words().text;
      const rows = words().rows(ctx.parts.main);
      const order = rows.slice().sort(function (one, other) { return other.service_h - one.service_h; });
      const km = function (row) { return words().known(row.odometer_km) ? row.odometer_km : row.gps_km; };
      const left = function () {
        if (!rows.length) return transit.figure.empty();
        return h(charts().Along, {
          name: "use", label: t("transit.show.use"), nameWidth: 130,
          rows: order.map(function (row, at) { return { key: at, name: row.vehicle_id, row: row }; }),
          columns: [
            { title: t("transit.use.hours"), share: 1.4, cells: function (one) { return { bars: [{ value: one.row.service_h, kind: "deep" }], tick: one.row.moving_h, hint: t("transit.hint.use", { service: words().number(one.row.service_h, 1), moving: words().number(one.row.moving_h, 1), heard: words().number(one.row.heard_h, 1) }) }; }, words: function (one) { return words().number(one.row.service_h, 1); } },
            { title: t("transit.use.km"), cells: function (one) { return { bars: [{ value: km(one.row) }] }; }, words: function (one) { return words().number(km(one.row)); } },
            { title: t("transit.use.trips"), cells: function (one) { return { bars: [{ value: one.row.trips }] }; }, words: function (one) { return words().number(one.row.trips); } },
          ],
        });
      };
      const sum = function (of) { return rows.reduce(function (all, row) { return all + (of(row) || 0); }, 0); };
      const whole = function () {
        if (!rows.length) return transit.figure.empty();
        const service = sum(function (row) { return row.service_h; });
        const facts = [
          [t("transit.use.vehicles"), words().number(rows.length)],
          [t("transit.use.hours_all"), words().number(service)],
          [t("transit.use.moving_share"), words().share(service ? sum(function (row) { return row.moving_h; }) / service : null)],
          [t("transit.use.km_all"), words().number(sum(km))],
          [t("transit.use.trips_all"), words().number(sum(function (row) { return row.trips; }))],
          [t("transit.use.km_vehicle"), words().number(sum(km) / rows.length)],
        ];
        return h("dl", { className: "tr-pairs" }, facts.map(function (fact) { return h("div", { key: fact[0] }, h("dt", null, fact[0]), h("dd", null, fact[1])); }));
      };
      return { note: t("transit.note.use"), left: transit.figure.part("use", t("transit.use.title"), "main", left, [{ kind: "deep", words: t("transit.legend.use") }]), right: [transit.figure.part("use_all", t("transit.use.all"), "main", whole)] };
    },
    table: [
      { key: "vehicle_id", label: "vehicle", left: true, value: function (row) { return row.vehicle_id; } },
      { key: "heard_h", label: "heard_h", value: function (row) { return words().number(row.heard_h, 1); } },
      { key: "service_h", label: "service_h", value: function (row) { return words().number(row.service_h, 1); } },
      { key: "moving_h", label: "moving_h", value: function (row) { return words().number(row.moving_h, 1); } },
      { key: "odometer_km", label: "odometer_km", value: function (row) { return words().number(row.odometer_km, 1); } },
      { key: "gps_km", label: "gps_km", value: function (row) { return words().number(row.gps_km, 1); } },
      { key: "trips", label: "trips", value: function (row) { return words().number(row.trips); } },
    ],
  };

  transit.figures = Object.assign(transit.figures || {}, { diagram: diagram, od: od, fuel: fuel, use: use });
})();
