/* The page of transport analysis: one route's figures over a span, with their numbers below.
 *
 * What is shown is a view (page_transit_view.js), and a view is a link. The sentence on top asks a question of its own; of the figures
 * only the chosen one asks, as the server works on one question after the other.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const ROWS_MAX = 300;
  const BUSY_SHOWN_MS = 2000;
  const TABLES = ["stop_visits", "trips_performed", "passenger_events", "vehicle_locations"];

  function text(name, values) {
    return transit.words.text(name, values);
  }

  /* ---- which route ---- */

  function ends(line) {
    return [line.begins, line.ends].filter(Boolean).join(" – ");
  }

  function Routes(props) {
    const search = React.useState("");
    const asked = search[0].trim().toLowerCase();
    const chosen = React.useRef(null);
    const shown = (props.routes || []).filter(function (one) {
      return !asked || one.route.toLowerCase().indexOf(asked) === 0 || one.lines.some(function (line) { return ends(line).toLowerCase().indexOf(asked) >= 0; });
    });
    React.useEffect(function () {
      if (chosen.current) chosen.current.scrollIntoView({ block: "nearest" });
    }, [Boolean(props.routes)]);
    return h(
      "aside",
      { className: "tr-routes", "data-busy": props.routes || props.failure ? "0" : "1" },
      h("input", { type: "search", value: search[0], placeholder: text("transit.search"), "aria-label": text("transit.search"), "data-choose": "search", onChange: function (event) { search[1](event.target.value); } }),
      props.failure ? h(markaz.analytics.parts.Failed, { failure: props.failure }) : null,
      h(
        "ul",
        null,
        shown.map(function (one) {
          const on = one.route === props.chosen;
          return h(
            "li",
            { key: one.route },
            h(
              "button",
              { type: "button", ref: on ? chosen : null, className: on ? "on" : "", "aria-pressed": on, "data-route": one.route, onClick: function () { props.onChoose(one.route); } },
              h("b", null, one.route),
              h("span", { title: ends(one.lines[0]) }, ends(one.lines[0]) || text("transit.no_ends")),
            ),
          );
        }),
      ),
      props.routes && !shown.length ? h("p", { className: "empty" }, text(props.routes.length ? "transit.no_such_route" : "transit.no_routes")) : null,
    );
  }

  function Directions(props) {
    return h(
      "div",
      { className: "segmented tr-directions", role: "group", "aria-label": text("transit.direction") },
      props.lines.map(function (line) {
        const on = line.direction === props.chosen;
        const to = line.ends || text("transit.direction.n", { n: line.direction });
        return h("button", { key: line.direction, type: "button", className: on ? "on" : "", "aria-pressed": on, "data-direction": line.direction, title: ends(line), onClick: function () { props.onChoose(line.direction); } }, "→ " + to);
      }),
    );
  }

  /* ---- what is on its way ---- */

  function Work(props) {
    const busy = Object.values(props.parts).filter(function (part) { return part.busy; });
    const beat = React.useState(0);
    const since = busy.reduce(function (so, part) { return Math.min(so, part.since); }, Infinity);
    React.useEffect(
      function () {
        if (!busy.length) return undefined;
        const timer = setInterval(function () { beat[1](function (n) { return n + 1; }); }, 1000);
        return function () { clearInterval(timer); };
      },
      [busy.length > 0],
    );
    const took = Date.now() - since;
    // Most answers come at once: words that come and go would only make the page restless.
    if (!busy.length || took < BUSY_SHOWN_MS) return h("span", { className: "an-work" });
    return h(
      "span",
      { className: "an-work", role: "status" },
      text("transit.working", { n: Math.round(took / 1000) }),
      h("button", { type: "button", className: "button", "data-cancel": true, onClick: props.onCancel }, markaz.text("analytics.cancel")),
    );
  }

  /* ---- the numbers ---- */

  function Numbers(props) {
    const rows = props.rows;
    if (!rows.length) return h("p", { className: "empty" }, text("transit.empty"));
    return h(
      "div",
      { className: "tr-numbers" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, props.columns.map(function (column) { return h("th", { key: column.key, scope: "col", className: column.left ? "" : "n" }, text("transit.col." + column.label)); }))),
        h(
          "tbody",
          null,
          rows.slice(0, ROWS_MAX).map(function (row, at) {
            return h("tr", { key: at }, props.columns.map(function (column) { return h("td", { key: column.key, className: column.left ? "" : "n" }, column.value(row, props.ctx)); }));
          }),
        ),
      ),
      rows.length > ROWS_MAX ? h("p", { className: "tr-more" }, text("transit.rows_cut", { n: ROWS_MAX, all: rows.length })) : null,
    );
  }

  /* Files for those who work on with them elsewhere. */
  function Files(props) {
    const query = "route=" + encodeURIComponent(props.view.route) + "&from=" + encodeURIComponent(markaz.analytics.time(props.view.from)) + "&to=" + encodeURIComponent(markaz.analytics.time(props.view.to));
    const url = React.useState("");
    const wanted = props.scheduled === false;
    const ready = !wanted || /^https?:\/\/\S+$/.test(url[0]);
    const gtfs = transit.PATH + "gtfs?" + query + (wanted && ready ? "&agency_url=" + encodeURIComponent(url[0]) : "");
    return h(
      "details",
      { className: "an-exports tr-files" },
      h("summary", null, text("transit.files")),
      h(
        "div",
        null,
        h("b", null, text("transit.files.tides")),
        TABLES.map(function (table) {
          return h(
            "span",
            { key: table, className: "tr-file" },
            h("code", null, table),
            ["csv", "parquet"].map(function (format) { return h("a", { key: format, href: transit.PATH + "tides/" + table + "?" + query + "&format=" + format, download: table + "." + format, "data-file": table + "." + format }, format === "csv" ? "CSV" : "Parquet"); }),
          );
        }),
        h("b", null, text("transit.files.gtfs")),
        wanted ? h("label", null, h("small", null, text("transit.files.agency_url")), h("input", { type: "url", value: url[0], placeholder: "https://", "data-choose": "agency_url", onChange: function (event) { url[1](event.target.value); } })) : null,
        ready ? h("a", { href: gtfs, download: "gtfs-" + props.view.route + ".zip", "data-file": "gtfs" }, text("transit.files.gtfs_zip")) : h("span", { className: "tr-off" }, text("transit.files.gtfs_zip")),
      ),
    );
  }

  /* ---- what the numbers rest on ---- */

  function Origin(props) {
    const told = props.answer;
    const items = [];
    if (told) {
      const from = told.origin || {};
      items.push(told.what === "fuel" ? text("transit.origin.shifts", { n: told.runs }) : text("transit.origin.runs", { runs: told.runs, passages: told.passages }));
      if (told.passages) items.push(text("transit.origin.estimated", { share: transit.words.share(told.estimated / told.passages) }));
      if (told.against) items.push(text("transit.origin.against", { n: told.against }));
      if (told.scheduled && told.scheduled_share < 1) items.push(text("transit.origin.timetable_part", { share: transit.words.share(told.scheduled_share) }));
      else items.push(text(told.scheduled ? "transit.origin.timetable" : "transit.origin.no_timetable"));
      if (told.assumed) items.push(text("transit.origin.assumed", { n: told.assumed }));
      if (told.clamped) items.push(text("transit.origin.clamped", { n: told.clamped }));
      items.push(markaz.text("analytics.origin.files", { n: from.files || 0 }));
      items.push(markaz.text("analytics.origin.live", { n: from.live_rows || 0 }));
      items.push(markaz.text("analytics.origin.as_of", { at: transit.words.at(told.as_of) }));
    }
    const skipped = (told && told.origin.skipped) || [];
    return h(
      "footer",
      { className: "an-origin" },
      h("b", null, markaz.text("analytics.origin")),
      items.map(function (one, at) { return h("span", { key: at }, one); }),
      skipped.length ? h("span", { className: "an-warning", title: skipped.map(function (one) { return one.join(": "); }).join("\n") }, "▲ " + markaz.text("analytics.origin.skipped", { n: skipped.length })) : null,
      told && told.origin.live_missing ? h("span", { className: "an-warning", title: told.origin.live_missing }, "▲ " + markaz.text("analytics.origin.live_missing")) : null,
    );
  }

  /* ---- the page ---- */

  function Figure(props) {
    const one = props.figure;
    const parts = markaz.analytics.parts;
    const part = props.ctx.parts[one.from] || {};
    const body = part.answer ? one.body() : null;
    const exports = { words: props.fileWords(one.title), picture: props.pictured ? one.name : null, path: transit.PATH + (part.query || "").split("?")[0], query: part.query ? part.query.split("?")[1] : null, formats: ["csv", "parquet"] };
    return h(
      parts.Part,
      { name: one.name, title: one.title, part: part, tools: one.tools, className: props.className, exports: part.query ? exports : null },
      one.legend ? h(transit.charts.Legend, { items: one.legend }) : one.key || null,
      part.answer ? body : part.busy ? h("p", { className: "empty" }, text("transit.asked")) : null,
    );
  }

  // These are words and lists: there is nothing to be saved as a picture.
  const UNPICTURED = ["slowest", "punctuality_all", "boardings", "od_method", "outliers", "use_all"];

  function Page(props) {
    const linked = transit.useView();
    const change = linked[1];
    const round = React.useState(0);
    const known = transit.useOnce("routes", round[0]);
    const routes = known.told ? known.told.routes : null;
    // Nobody chose a route: the first one, so that the page shows at once what it is for.
    const view = Object.assign({}, linked[0], { route: linked[0].route || (routes && routes.length ? routes[0].route : "") });
    const one = transit.useOnce(view.route ? "routes?route=" + encodeURIComponent(view.route) : null, round[0]);
    const lines = one.told && one.told.routes.length ? one.told.routes[0].lines : [];
    const line = lines.find(function (other) { return other.direction === view.direction; }) || null;
    const stops = line ? line.stops : [];
    const figure = transit.figures[view.show];
    const span = figure.span ? figure.span(view) : null;
    const able = Boolean(view.route) && Boolean(line) && stops.length > 0;
    const asked = { summary: able ? transit.question(view, "summary", "line") : null };
    Object.keys(figure.asks).forEach(function (name) { const one = figure.asks[name]; asked[name] = able ? transit.question(view, one[0], one[1], span, one[2] && one[2](view, stops)) : null; });
    const answers = transit.useAnswers(asked, round[0]);
    const parts = answers[0];
    const ctx = { view: view, stops: stops, parts: parts, settings: props.limits, onChange: change };
    const drawn = figure.draw(ctx);
    const summary = parts.summary.answer ? transit.words.sentence(view, parts.summary.answer.rows[0]) : null;
    const period = markaz.analytics.words.period(view.from, view.to);
    const title = text("transit.says.route", { route: view.route }) + (line ? " → " + line.ends : "");
    const main = parts[figure.tableOf || "main"] || {};
    const rows = figure.rows ? figure.rows(ctx) : transit.words.rows(main);
    const fileWords = function (what) {
      return { title: title + ": " + what, period: period, origin: main.answer ? text("transit.origin.runs", { runs: main.answer.runs, passages: main.answer.passages }) + " · " + markaz.text("analytics.origin.as_of", { at: transit.words.at(main.answer.as_of) }) : "", file: "transit-" + view.route + "-" + view.direction + "-" + view.show };
    };
    const pieces = function (found, className) {
      return h(Figure, { key: found.name, figure: found, ctx: ctx, className: className, fileWords: fileWords, pictured: UNPICTURED.indexOf(found.name) < 0 });
    };
    const busy = Object.values(parts).some(function (part) { return part.busy; });
    return h(
      React.Fragment,
      null,
      h(Routes, { routes: routes, failure: known.failure, chosen: view.route, onChoose: function (route) { change({ route: route, direction: 1, at: null, fromPlace: null, toPlace: null }); } }),
      h(
        "div",
        { className: "an-head" },
        h("h1", { role: "status", "data-part": "says", "data-link": window.location.search, "data-busy": busy ? "1" : "0", title: summary ? summary.says + ". " + summary.more : "" }, view.route ? (summary ? summary.says : text("transit.says.route", { route: view.route }) + (one.told && !stops.length ? ": " + text("transit.says.no_stops") : "")) : text("transit.choose_route"), summary && summary.more ? h("small", null, summary.more) : null),
        h(Work, { parts: parts, onCancel: answers[1] }),
        h("button", { type: "button", className: "button", "data-refresh": true, onClick: function () { transit.forget(); round[1](function (n) { return n + 1; }); } }, markaz.text("analytics.refresh")),
      ),
      h(
        "div",
        { className: "an-choose" },
        h(Directions, { lines: lines, chosen: view.direction, onChoose: function (direction) { change({ direction: direction, fromPlace: null, toPlace: null }); } }),
        h(markaz.analytics.choose.Span, { view: view, onChange: function (values) { change({ from: values.from, to: values.to, at: null }); } }),
        h(Files, { view: view, scheduled: parts.summary.answer ? parts.summary.answer.scheduled : null }),
      ),
      h(
        "nav",
        { className: "segmented tr-shows", "aria-label": text("transit.figure") },
        transit.SHOWS.map(function (name) { return h("button", { key: name, type: "button", className: name === view.show ? "on" : "", "aria-pressed": name === view.show, "data-show": name, onClick: function () { change({ show: name }); } }, text("transit.show." + name)); }),
      ),
      one.failure
        ? h("div", { className: "tr-figures alone" }, h(markaz.analytics.parts.Failed, { failure: one.failure }))
        : able || !one.told
        ? h(
            "div",
            { className: "tr-figures" + (drawn.right.length ? "" : " alone"), "data-figures": view.show },
            pieces(drawn.left, "tr-left"),
            drawn.right.length ? h("div", { className: "tr-right" }, drawn.right.map(function (found) { return pieces(found, ""); })) : null,
          )
        : h("div", { className: "tr-figures alone" }, h("p", { className: "empty" }, text(lines.length ? "transit.no_stops" : "transit.no_such_route"))),
      h(
        markaz.analytics.parts.Part,
        { name: "numbers", title: text("transit.numbers"), part: main, className: "tr-table", tools: drawn.note ? h("p", { className: "tr-note", title: drawn.note }, drawn.note) : null, exports: main.query ? { words: fileWords(text("transit.numbers")), path: transit.PATH + main.query.split("?")[0], query: main.query.split("?")[1], formats: ["csv", "parquet"] } : null },
        main.answer ? h(Numbers, { rows: rows, columns: figure.table, ctx: ctx }) : null,
      ),
      h(Origin, { answer: main.answer }),
    );
  }

  /* Nothing is asked before the page knows its words and the city's clock. */
  function Transit(props) {
    markaz.useFrame("summary");
    return markaz.analytics.parts.useReady() ? h(Page, Object.assign({ key: markaz.settings().lang }, props)) : null;
  }

  Object.assign(window.markaz_live, { Transit: Transit });
})();
