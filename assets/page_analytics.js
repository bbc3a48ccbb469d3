/* The page of analytics: any question to history, seen on a map, by time, by value, by hour of the week and as a list.
 *
 * What is shown is a view (page_analytics_view.js), and a view is a link: every change of it is a step in the browser's history.
 * Each picture asks its own question with every filter but its own; choosing in one filters the others.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const PATH = "/analytics";
  const CHANGES_MAX = 1000;
  const BINS = 30;
  const TRACK_MAX = 20000;

  /* ---- the link ---- */

  let heard = null; // who is told that the link has changed by itself

  // Dash's own listener would build the page anew for each step back. Scripts of assets come before it.
  window.addEventListener(
    "popstate",
    function (event) {
      if (!heard || window.location.pathname !== PATH) return;
      event.stopImmediatePropagation();
      heard();
    },
    true,
  );
  window.addEventListener("_dashprivate_pushstate", function () {
    if (heard && window.location.pathname === PATH) heard();
  });

  function useView(feeds) {
    const zone = markaz.settings().timezone;
    const readNow = function () { return analytics.readView(window.location.search, feeds, markaz.now(), zone); };
    const state = React.useState(readNow);
    const set = state[1];
    const view = React.useRef(state[0]);
    view.current = state[0];
    const lang = function () { return new URLSearchParams(window.location.search).get("lang"); };
    React.useEffect(
      function () {
        heard = function () { set(readNow()); };
        // What was opened without times has them from now on: the link says what is seen.
        window.history.replaceState(window.history.state, "", PATH + analytics.writeView(view.current, feeds, lang()));
        // The page in another language is the same view.
        const languages = function (event) {
          const link = event.target.closest && event.target.closest(".languages a");
          if (!link) return;
          event.preventDefault();
          window.location.assign(PATH + analytics.writeView(view.current, feeds, link.lang));
        };
        document.addEventListener("click", languages);
        return function () {
          heard = null;
          document.removeEventListener("click", languages);
        };
      },
      [zone],
    );
    const change = React.useCallback(
      function (some) {
        const next = analytics.settled(Object.assign({}, view.current, some), feeds);
        const link = PATH + analytics.writeView(next, feeds, lang());
        if (link !== window.location.pathname + window.location.search) window.history.pushState(null, "", link);
        view.current = next;
        set(next);
      },
      [feeds],
    );
    return [state[0], change];
  }

  /* ---- the questions of a view ---- */

  function questions(view, feed, measure, kinds) {
    const ask = function (more, options) { return analytics.query(view, Object.assign({ measure: view.measure }, more), options); };
    const every_s = analytics.stepFor(view.from, view.to);
    const placed = feed.by.indexOf(view.level) >= 0 && kinds.indexOf(view.level) >= 0;
    const charts = view.show === "charts";
    const oneVehicle = view.feed === "position" && view.vehicle.length === 1 && view.to - view.from <= 1.05 * analytics.DAY;
    const above = view.level === "district" ? ["district", "mahalla"] : ["mahalla"];
    return {
      total: ask({ shape: "total" }, { against: analytics.reference(view) }),
      areas: placed ? ask({ shape: "areas", by: view.level }, { without: above }) : null,
      series: charts ? ask({ shape: "series", every: every_s + "s" }, { whole: true }) : null,
      top: ask({ shape: "top", by: view.by, limit: view.show === "changes" ? CHANGES_MAX : analytics.parts.TOP }, { without: [view.by] }),
      heat: charts && measure.how !== "rise" ? ask({ shape: "heat" }, { against: null, without: Object.keys(analytics.CLOCK) }) : null,
      distribution: charts && measure.valued ? ask({ shape: "distribution", bins: BINS }, { without: ["value"] }) : null,
      districts: view.show === "districts" ? ask({ shape: "series", every: every_s + "s", by: "district" }, { without: ["district", "mahalla"], whole: true }) : null,
      track: oneVehicle ? ask({ shape: "track", measure: "count", limit: TRACK_MAX }, { without: ["district", "mahalla", "route", "value"], against: null }) : null,
      origin: ask({ shape: "origin" }, { against: null }),
    };
  }

  function gapsOf(rows, view, every_s) {
    if (!rows.length) return null;
    const until = Math.min(view.to, markaz.now());
    const steps = Math.max(rows.length, Math.floor((until - view.from) / (every_s * 1000)));
    return steps - rows.length;
  }

  function toggled(list, value, more) {
    if (list.indexOf(value) >= 0) return list.filter(function (one) { return one !== value; });
    return more ? list.concat([value]).sort() : [value];
  }

  /* ---- the page ---- */

  function Page(props) {
    const frame = analytics.parts;
    const feeds = props.feeds;
    const held = useView(feeds);
    const view = held[0];
    const change = held[1];
    const round = React.useState(0);
    const feed = feeds[view.feed];
    const measure = analytics.words.measureOf(feeds, view);
    const every_s = analytics.stepFor(view.from, view.to);
    const asked = questions(view, feed, measure, props.kinds);
    const answers = analytics.useAnswers(asked, round[0]);
    const parts = answers[0];
    const part = function (name) { return parts[name] || {}; };
    const compared = view.compare_from !== null;

    React.useEffect(function () {
      const page = document.getElementById("analytics");
      if (page) page.dataset.show = view.show;
    });

    const totalBefore = analytics.rowsOf(part("total"), null, 1)[0];
    const counted = feed.sporadic && ["count", "entities", "sum"].indexOf(measure.how) >= 0;
    const codes = view.level === "district" ? props.districts : Object.keys(props.parents);
    const spoke = function (name, rows) {
      const from = part(name).answer ? part(name).answer.origin || {} : {};
      return counted && (rows.length > 0 || (!compared && (from.archived_rows || 0) + (from.live_rows || 0) > 0));
    };
    const total = analytics.rowsOf(part("total"), null, 0)[0];
    if (total && !total.rows && !spoke("total", [])) total.value = null;
    const ofAreas = function (period) {
      const rows = analytics.rowsOf(part("areas"), view.level, period);
      return spoke("areas", rows) && (period === 0 || compared) ? analytics.zeroed(rows, codes, "key") : rows;
    };
    const byArea = ofAreas(0);
    const byAreaBefore = ofAreas(1);
    const values = {};
    byArea.forEach(function (row) { if (row.key) values[row.key] = { value: row.value, rows: row.rows, difference: null }; });
    byAreaBefore.forEach(function (row) {
      if (!row.key) return;
      const now = (values[row.key] = values[row.key] || { value: null, rows: 0, difference: null });
      if (now.value !== null && row.value !== null) now.difference = now.value - row.value;
    });
    const scale = React.useMemo(
      function () {
        const known = Object.keys(values).map(function (code) { return compared ? values[code].difference : values[code].value; });
        return compared ? analytics.scale.diverging(known) : analytics.scale.sequential(known, view.classes);
      },
      [part("areas").answer, compared, view.classes],
    );
    const ofSteps = function (period, from, to) {
      const rows = analytics.rowsOf(part("series"), null, period);
      return counted ? analytics.zeroed(rows, analytics.stepsOf(rows, from, Math.min(to, markaz.now()), every_s), "at") : rows;
    };
    const series = ofSteps(0, view.from, view.to);
    const seriesBefore = compared ? ofSteps(1, view.compare_from, view.compare_from + view.to - view.from) : [];
    const top = analytics.rowsOf(part("top"), view.by, 0);
    const topBefore = analytics.rowsOf(part("top"), view.by, 1);
    const track = React.useMemo(function () { return analytics.runs(part("track").answer ? part("track").answer.data : []); }, [part("track").answer]);

    const says = part("total").answer && !part("total").old
      ? analytics.words.sentence(view, feeds, props.cityName, total, totalBefore, part("areas").old ? [] : byArea)
      : { says: markaz.text(part("total").failure ? "analytics.error." + part("total").failure.kind : "analytics.asking"), range: "" };
    const title = analytics.words.title(view, feeds);
    const mapTitle = compared ? markaz.text("analytics.map.change", { what: title }) : title;
    const where = analytics.words.place(view, props.cityName, measure);
    const zone = markaz.settings().timezone;
    const span = view.part_from === null ? [view.from, view.to] : [view.part_from, view.part_to];
    const originRow = part("origin").answer && part("origin").answer.data[0];
    // What is printed below a picture: of how many rows it is made, and when.
    const originWords = function (name) {
      const answer = part(name).answer;
      const rows = answer ? answer.data.reduce(function (sum, row) { return sum + (row.period ? 0 : row.rows || 0); }, 0) : 0;
      return [
        markaz.text("analytics.origin.rows", { n: rows }),
        answer ? markaz.text("analytics.origin.files", { n: (answer.origin || {}).files || 0 }) : "",
        answer ? markaz.text("analytics.origin.as_of", { at: analytics.words.moment(Date.parse(answer.as_of)) }) : "",
        "Markaz, " + props.cityName,
      ].filter(Boolean).join(" · ");
    };
    const words = function (name, whole) {
      const periodWords = whole ? analytics.words.period(view.from, view.to) : analytics.words.period(span[0], span[1]);
      const more = compared ? " " + markaz.text("analytics.compared_with", { period: analytics.words.period(view.compare_from, view.compare_from + view.to - view.from) }) : "";
      return {
        title: title + " — " + where,
        period: periodWords + " (" + zone + ")" + more,
        origin: originWords(name),
        file: ["markaz", view.feed, view.measure, name, analytics.clock.wall(whole ? view.from : span[0], zone).slice(0, 16).replace(/[-:]/g, "")].join("-"),
      };
    };
    const shows = analytics.SHOWS.filter(function (name) { return (name !== "changes" || compared) && (name !== "districts" || (feed.by.indexOf("district") >= 0 && props.kinds.indexOf("district") >= 0)); });

    const onArea = function (code, more) {
      if (asked.areas === null) return; // these rows bear no place
      if (view.level === "district" && props.kinds.indexOf("mahalla") >= 0 && !more) change({ district: [code], mahalla: [], level: "mahalla" });
      else if (view.level === "district") change({ district: toggled(view.district, code, more), mahalla: [], level: "district" });
      else if (props.parents[code] === undefined) change({ district: [code], mahalla: [] }); // a neighbouring district
      else change({ mahalla: toggled(view.mahalla, code, more) });
    };
    const onPart = function (from, to) {
      const ends = [Math.max(view.from, Math.floor(from / 1000) * 1000), Math.min(view.to, Math.ceil(to / 1000) * 1000)];
      if (ends[1] - ends[0] >= 1000) change({ part_from: ends[0], part_to: ends[1], at: null });
    };
    const onClock = function (hours, weekdays) {
      const next = { hour: analytics.onClock("hour", hours), weekday: analytics.onClock("weekday", weekdays) };
      const again = String(next.hour) === String(view.hour) && String(next.weekday) === String(view.weekday);
      change(again ? { hour: [], weekday: [] } : next); // the same once more takes it back
    };
    const key = function () { return Array.prototype.join.call(arguments, "|"); };
    const language = markaz.settings().lang;

    return h(
      React.Fragment,
      null,
      h(
        "div",
        { className: "an-head" },
        h("h1", { role: "status", "data-part": "total", "data-link": window.location.search, "data-busy": part("total").busy ? "1" : "0", title: says.says + " " + says.range }, says.says, says.range ? h("small", null, says.range) : null),
        h(frame.Work, { parts: parts, onCancel: answers[1] }),
        h("button", { type: "button", className: "button", "data-refresh": true, onClick: function () { analytics.forgetAnswers(); round[1](function (n) { return n + 1; }); } }, markaz.text("analytics.refresh")),
      ),
      h(
        "div",
        { className: "an-choose" },
        h(analytics.choose.Span, { view: view, onChange: change }),
        h(analytics.choose.Compare, { view: view, onChange: change }),
        h(analytics.choose.Select, { name: "feed", label: markaz.text("analytics.feed"), value: view.feed, options: Object.keys(feeds).map(function (name) { return [name, analytics.words.named("analytics.feed.", name)]; }), onChange: function (name) { change({ feed: name, measure: "", by: "", value_min: null, value_max: null }); } }),
        h(analytics.choose.Select, { name: "measure", label: markaz.text("analytics.measure"), value: view.measure, options: feed.measures.map(function (one) { return [one.name, analytics.words.named("analytics.m.", one.name)]; }), onChange: function (name) { change({ measure: name, value_min: null, value_max: null }); } }),
        h(analytics.choose.Select, { name: "late", label: markaz.text("analytics.late"), value: view.late, options: ["with", "without", "only"].map(function (name) { return [name, markaz.text("analytics.late." + name)]; }), onChange: function (name) { change({ late: name }); } }),
        h(analytics.choose.Filter, { view: view, feed: feed, routes: props.routes, seen: top.map(function (row) { return String(row.key); }), onChange: change }),
      ),
      h(
        "div",
        { className: "an-filters" },
        h(analytics.choose.Place, { view: view, feed: feed, kinds: props.kinds, districts: props.districts, parents: props.parents, cityName: props.cityName, onChange: change }),
        h(analytics.choose.Chips, { view: view, measure: measure, parents: props.parents, onChange: change }),
        h(
          "div",
          { className: "segmented an-shows", role: "group", "aria-label": markaz.text("analytics.show") },
          shows.map(function (name) { return h("button", { key: name, type: "button", className: name === view.show ? "on" : "", "aria-pressed": name === view.show, "data-show": name, onClick: function () { change({ show: name }); } }, markaz.text("analytics.show." + name)); }),
        ),
      ),
      h(
        "div",
        { className: "an-left" },
        h(
          frame.Part,
          { name: "areas", title: mapTitle, part: part("areas"), className: "an-map-part", exports: { picture: "map", words: words("areas"), legend: analytics.swatches(scale, measure, compared), query: asked.areas, formats: ["csv", "geojson", "parquet"] } },
          h(analytics.Choropleth, {
            city: props.city, bounds: props.bounds, kinds: props.kinds, level: view.level, within: view.district, chosen: view.level === "mahalla" ? view.mahalla : view.district,
            values: values, scale: scale, measure: measure, signed: compared, placed: asked.areas !== null, classes: view.classes, legend: mapTitle, title: mapTitle, track: track,
            onArea: onArea, onClasses: function (name) { change({ classes: name }); },
          }),
        ),
        h(
          frame.Part,
          {
            name: "top", title: markaz.text("analytics.top"), part: part("top"), className: "an-top-part",
            tools: h(analytics.choose.Select, { name: "by", label: "", value: view.by, options: feed.by.filter(function (name) { return name !== "district" && name !== "mahalla"; }).map(function (name) { return [name, analytics.words.named("analytics.by.", name)]; }), onChange: function (name) { change({ by: name }); } }),
            exports: { words: words("top"), query: asked.top },
          },
          h(frame.Top, { told: Boolean(part("top").answer), rows: top, before: compared ? topBefore : [], by: view.by, chosen: view[view.by] || [], able: feed.filters.indexOf(view.by) >= 0, measure: measure, onChoose: function (value) { change({ [view.by]: toggled(view[view.by], value, true) }); } }),
        ),
      ),
      view.show === "charts"
        ? h(
            "div",
            { className: "an-side" },
            h(
              frame.Part,
              { name: "series", title: markaz.text("analytics.series", { every: analytics.words.step(every_s) }), part: part("series"), tools: h(frame.Chosen, { view: view, onChange: change }), exports: { picture: "series", words: words("series", true), query: asked.series, legend: compared ? [{ colour: "#4fb3d9", words: analytics.words.period(view.from, view.to) }, { colour: "#e0b04a", words: analytics.words.period(view.compare_from, view.compare_from + view.to - view.from) }] : [] } },
              compared ? h("div", { className: "an-lines" }, h("span", null, h("i", null), analytics.words.period(view.from, view.to)), h("span", { className: "before" }, h("i", null), analytics.words.period(view.compare_from, view.compare_from + view.to - view.from))) : null,
              h(analytics.charts.Series, { view: view, rows: series, before: seriesBefore, every_s: every_s, measure: measure, label: title, version: key(part("series").query, part("series").answer ? part("series").answer.as_of : "", view.part_from, view.part_to, view.at, language), onPart: onPart, onMoment: function (at) { change({ at: at }); } }),
            ),
            h(
              "div",
              { className: "an-pair" },
              h(
                frame.Part,
                { name: "heat", title: markaz.text("analytics.heat"), part: part("heat"), tools: h("p", { className: "an-hint" }, markaz.text("analytics.box.hint")), exports: { picture: "heat", words: words("heat"), query: asked.heat } },
                asked.heat === null ? h("p", { className: "empty" }, markaz.text("analytics.no_heat")) : h(analytics.charts.Heat, { view: view, rows: part("heat").answer ? part("heat").answer.data : [], measure: measure, label: title, version: key(part("heat").query, part("heat").answer ? part("heat").answer.as_of : "", view.hour, view.weekday, language), onClock: onClock }),
              ),
              h(
                frame.Part,
                { name: "distribution", title: markaz.text("analytics.distribution"), part: part("distribution"), tools: h("p", { className: "an-hint" }, markaz.text("analytics.box.hint")), exports: { picture: "distribution", words: words("distribution"), query: asked.distribution } },
                asked.distribution === null ? h("p", { className: "empty" }, markaz.text("analytics.no_distribution")) : part("distribution").answer ? h(analytics.charts.Distribution, { view: view, answer: part("distribution").answer, bins: BINS, compared: compared, measure: measure, label: title, version: key(part("distribution").query, part("distribution").answer.as_of, view.value_min, view.value_max, language), onValues: function (low, high) { change({ value_min: low, value_max: high }); } }) : null,
              ),
            ),
          )
        : null,
      view.show === "districts"
        ? h(
            "div",
            { className: "an-side" },
            h(
              frame.Part,
              { name: "districts", title: markaz.text("analytics.districts"), part: part("districts"), exports: { picture: "districts", words: words("districts", true), query: asked.districts } },
              h(analytics.Multiples, { view: view, rows: analytics.rowsOf(part("districts"), "district", 0), before: compared ? analytics.rowsOf(part("districts"), "district", 1) : [], codes: props.districts.slice().sort(function (one, other) { return analytics.words.areaName(one).localeCompare(analytics.words.areaName(other)); }), every_s: every_s, measure: measure, onDistrict: function (code) { change({ district: toggled(view.district, code, false), mahalla: [] }); } }),
            ),
          )
        : null,
      view.show === "changes"
        ? h(
            "div",
            { className: "an-side an-scroll" },
            asked.areas !== null ? h(frame.Part, { name: "changes_areas", title: markaz.text("analytics.changes.areas"), part: part("areas"), exports: { words: words("areas"), query: asked.areas } }, h(analytics.table.Changes, { now: byArea, before: byAreaBefore, by: view.level, measure: measure, onChoose: function (code) { onArea(code, false); } })) : null,
            h(frame.Part, { name: "changes", title: markaz.text("analytics.changes"), part: part("top"), exports: { words: words("top"), query: asked.top } }, h(analytics.table.Changes, { now: top, before: topBefore, by: view.by, measure: measure, onChoose: function (value) { if (feed.filters.indexOf(view.by) >= 0) change({ [view.by]: toggled(view[view.by], String(value), true) }); } })),
          )
        : null,
      h(
        "div",
        { className: "an-rows", hidden: view.show !== "table" },
        h("h2", null, markaz.text("analytics.rows_title")),
        originRow ? h("span", null, markaz.text("analytics.rows", { n: originRow.rows })) : null,
        h(analytics.table.Rows, { shown: view.show === "table", query: analytics.query(view, {}, { against: null }), feed: feed, round: round[0] }),
        h(frame.Exports, { words: words("rows"), query: analytics.query(view, {}, { against: null }), path: "/api/v1/history/rows", more: "&limit=100000", formats: ["csv", "geojson", "parquet"] }),
      ),
      h(frame.Origin, { part: part("origin"), gaps: view.show === "charts" ? gapsOf(series, view, every_s) : null }),
    );
  }

  /* Nothing is asked before the page knows its words and the city's clock. */
  function Analytics(props) {
    markaz.useFrame("summary");
    return analytics.parts.useReady() ? h(Page, Object.assign({ key: markaz.settings().lang }, props)) : null;
  }

  Object.assign(window.markaz_live, { Analytics: Analytics });
})();
