/* The frames of the page's parts: a title, what is on its way, what it can be taken away as; the list of the greatest, the origin. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const TOP = 12;

  function Part(props) {
    const part = props.part || {};
    const busy = part.busy;
    return h(
      "section",
      { className: "an-part " + (props.className || "") + (busy ? " busy" : ""), "data-part": props.name, "data-busy": busy ? "1" : "0" },
      h("header", null, h("h2", null, props.title), props.tools, props.exports && part.answer && !part.old ? h(Exports, props.exports) : null),
      h("div", { className: "an-progress", role: "progressbar", "aria-hidden": !busy, "aria-valuenow": Math.round(100 * (part.progress || 0)) }, busy ? h("i", { style: { width: Math.max(4, 100 * (part.progress || 0)) + "%" } }) : null),
      part.failure ? h(Failed, { failure: part.failure }) : null,
      h("div", { className: "an-body" }, props.children),
    );
  }

  function Failed(props) {
    return h(
      "p",
      { className: "an-away", role: "status" },
      markaz.text("analytics.error." + props.failure.kind),
      props.failure.detail ? h("small", null, props.failure.detail) : null,
    );
  }

  /* What a part can be taken away as. */
  function Exports(props) {
    const say = function (format, text) { return markaz.text("analytics.export", { what: text + " " + format.toUpperCase() }); };
    return h(
      "details",
      { className: "an-exports" },
      h("summary", { title: markaz.text("analytics.exports") }, markaz.text("analytics.exports")),
      h(
        "div",
        null,
        props.picture
          ? ["png", "svg"].map(function (format) {
              return h("button", { key: format, type: "button", "data-export-as": format, onClick: function () { analytics.picture(props.picture, format, props.words, props.legend); } }, format.toUpperCase());
            })
          : null,
        props.query
          ? (props.formats || ["csv", "parquet"]).map(function (format) {
              const name = { csv: "CSV", parquet: "Parquet", geojson: "GeoJSON" }[format];
              return h("a", { key: format, href: (props.path || "/api/v1/history/query") + "?" + props.query + (props.more || "") + "&format=" + format, download: props.words.file + "." + format, "data-export-as": format, title: say(format, props.words.title) }, name);
            })
          : null,
      ),
    );
  }

  function Top(props) {
    const most = props.rows.concat(props.before).reduce(function (so, row) { return Math.max(so, Math.abs(row.value || 0)); }, 0) || 1;
    const before = {};
    props.before.forEach(function (row) { before[row.key] = row.value; });
    if (!props.rows.length) return props.told ? h("p", { className: "empty" }, markaz.text("analytics.no_data")) : null;
    return h(
      "ol",
      { className: "an-top" },
      props.rows.slice(0, TOP).map(function (row) {
        const chosen = props.chosen.indexOf(String(row.key)) >= 0;
        const words = [
          h("span", { key: "name", className: "an-name" }, analytics.words.valueName(props.by, row.key)),
          h("span", { key: "bar", className: "an-bar" }, h("i", { style: { width: (100 * Math.abs(row.value)) / most + "%" } }), before[row.key] === undefined || before[row.key] === null ? null : h("u", { style: { left: (100 * Math.abs(before[row.key])) / most + "%" } })),
          h("b", { key: "value" }, analytics.words.bare(row.value, props.measure)),
        ];
        if (!props.able) return h("li", { key: row.key }, h("div", { className: "an-row" }, words));
        return h("li", { key: row.key }, h("button", { type: "button", className: "an-row" + (chosen ? " on" : ""), "aria-pressed": chosen, "data-key": row.key, onClick: function () { props.onChoose(String(row.key)); } }, words));
      }),
    );
  }

  function Origin(props) {
    const row = (props.part.answer ? props.part.answer.data[0] : null) || null;
    const told = props.part.answer || {};
    const from = told.origin || {};
    const items = [];
    if (row) {
      items.push(markaz.text("analytics.origin.rows", { n: row.rows }));
      items.push(markaz.text("analytics.origin.late", { percent: row.rows ? markaz.number((100 * row.late) / row.rows, 1) : "0" }));
      items.push(markaz.text("analytics.origin.entities", { n: row.entities || 0 }));
      items.push(markaz.text("analytics.origin.files", { n: from.files || 0 }));
      items.push(markaz.text("analytics.origin.live", { n: from.live_rows || 0 }));
      if (row.first_at) items.push(markaz.text("analytics.origin.from", { from: analytics.words.moment(Date.parse(row.first_at)), to: analytics.words.moment(Date.parse(row.last_at)) }));
      if (props.gaps !== null) items.push(markaz.text("analytics.origin.gaps", { n: props.gaps }));
      if (told.as_of) items.push(markaz.text("analytics.origin.as_of", { at: analytics.words.moment(Date.parse(told.as_of)) }));
    }
    const skipped = from.skipped || [];
    return h(
      "footer",
      { className: "an-origin", "data-part": "origin", "data-busy": props.part.busy ? "1" : "0" },
      h("b", null, markaz.text("analytics.origin")),
      items.map(function (words, at) { return h("span", { key: at }, words); }),
      skipped.length ? h("span", { className: "an-warning", title: skipped.map(function (one) { return (one.path || one[0]) + ": " + (one.why || one[1]); }).join("\n") }, "▲ " + markaz.text("analytics.origin.skipped", { n: skipped.length })) : null,
      from.live_missing ? h("span", { className: "an-warning", title: from.live_missing }, "▲ " + markaz.text("analytics.origin.live_missing")) : null,
      props.part.failure ? h(Failed, { failure: props.part.failure }) : null,
    );
  }

  /* The moment that was chosen in the time series, and the way to see it played. */
  function Chosen(props) {
    const at = props.view.at !== null ? props.view.at : props.view.part_from;
    if (at === null) return h("p", { className: "an-hint" }, markaz.text("analytics.series.hint"));
    const lang = markaz.settings().lang;
    return h(
      "p",
      { className: "an-hint" },
      h("b", null, analytics.words.moment(at)),
      " ",
      h("a", { href: "/replay?lang=" + lang + "&at=" + encodeURIComponent(analytics.time(at)), "data-replay": at }, markaz.text("analytics.replay")),
      props.view.at !== null ? h("button", { type: "button", className: "an-clear", onClick: function () { props.onChange({ at: null }); } }, markaz.text("analytics.moment_off")) : null,
    );
  }

  /* How much of what was asked is answered, and the way to want it no more. */
  function Work(props) {
    const names = Object.keys(props.parts).filter(function (name) { return props.parts[name].busy; });
    if (!names.length) return h("span", { className: "an-work" });
    const all = Object.keys(props.parts).filter(function (name) { return props.parts[name].asked; }).length;
    return h(
      "span",
      { className: "an-work", role: "status" },
      markaz.text("analytics.working", { done: all - names.length, all: all }),
      h("button", { type: "button", className: "button", "data-cancel": true, onClick: props.onCancel }, markaz.text("analytics.cancel")),
    );
  }

  /* Whether the page knows its words and the city's clock: they come with the first frames. */
  function useReady() {
    const state = React.useState(Boolean(markaz.settings().days));
    React.useEffect(function () {
      if (state[0]) return undefined;
      const timer = setInterval(function () { if (markaz.settings().days) state[1](true); }, 50);
      return function () { clearInterval(timer); };
    }, [state[0]]);
    return state[0];
  }

  analytics.parts = { useReady: useReady, TOP: TOP, Part: Part, Failed: Failed, Exports: Exports, Top: Top, Origin: Origin, Chosen: Chosen, Work: Work };
})();
