/* Small multiples: a panel a district, all on one scale, so that they can be held against each other at a glance. One SVG. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const WIDTH = 320;
  const HEIGHT = 190;
  const PLOT = { left: 46, right: 10, top: 34, bottom: 22 };
  const FONT = { fontFamily: "Inter, Segoe UI, Noto Sans, DejaVu Sans, sans-serif" };

  function paths(rows, x, y, every_ms) {
    let path = "";
    let last = null;
    rows.forEach(function (row) {
      if (row.value === null) return;
      path += (last !== null && row.at - last <= every_ms * 1.5 ? "L" : "M") + x(row.at).toFixed(1) + "," + y(row.value).toFixed(1);
      // A step alone between holes would be a line without length.
      if (last === null || row.at - last > every_ms * 1.5) path += "h0.1";
      last = row.at;
    });
    return path;
  }

  function byKey(rows) {
    const found = {};
    rows.forEach(function (row) { if (row.key) (found[row.key] = found[row.key] || []).push(row); });
    return found;
  }

  /* `rows`, `before`: {at, key, value} of all districts; `codes`: which there are, in the order to be shown. */
  function Multiples(props) {
    const view = props.view;
    const measure = props.measure;
    const shift = view.compare_from === null ? 0 : view.from - view.compare_from;
    const now = byKey(props.rows);
    const before = byKey(props.before.map(function (row) { return Object.assign({}, row, { at: row.at + shift }); }));
    const values = props.rows.concat(props.before).filter(function (row) { return row.key && row.value !== null; }).map(function (row) { return row.value; });
    const additive = ["count", "sum", "entities", "rise"].indexOf(measure.how) >= 0;
    let low = values.length ? Math.min.apply(null, values) : 0;
    let high = values.length ? Math.max.apply(null, values) : 1;
    if (additive) low = Math.min(0, low);
    if (high === low) high = low + 1;
    const columns = 3;
    const lines = Math.ceil(props.codes.length / columns);
    const x = function (at) { return PLOT.left + ((WIDTH - PLOT.left - PLOT.right) * (at - view.from)) / (view.to - view.from); };
    const y = function (value) { return HEIGHT - PLOT.bottom - ((HEIGHT - PLOT.bottom - PLOT.top) * (value - low)) / (high - low); };
    const ends = [[view.from, "start"], [view.to, "end"]];
    const day = view.to - view.from > 2 * analytics.DAY;
    const zone = markaz.settings().timezone;
    const tick = function (at) {
      const wall = analytics.clock.wall(at, zone);
      return day ? wall.slice(8, 10) + "." + wall.slice(5, 7) : wall.slice(11, 16);
    };
    return h(
      "svg",
      { className: "an-multiples", viewBox: "0 0 " + columns * WIDTH + " " + Math.max(1, lines) * HEIGHT, "data-export": "districts", preserveAspectRatio: "xMidYMin meet" },
      props.codes.map(function (code, at) {
        const rows = now[code] || [];
        const known = rows.filter(function (row) { return row.value !== null; });
        const chosen = view.district.indexOf(code) >= 0;
        const choose = function () { props.onDistrict(code); };
        return h(
          "g",
          {
            key: code,
            transform: "translate(" + (at % columns) * WIDTH + "," + Math.floor(at / columns) * HEIGHT + ")",
            role: "button",
            tabIndex: 0,
            "aria-pressed": chosen,
            "aria-label": analytics.words.areaName(code),
            "data-district": code,
            onClick: choose,
            onKeyDown: function (event) {
              if (event.key !== "Enter" && event.key !== " ") return;
              event.preventDefault();
              choose();
            },
            style: { cursor: "pointer" },
          },
          h("rect", { x: 3, y: 3, width: WIDTH - 6, height: HEIGHT - 6, rx: 6, fill: "#111a23", stroke: chosen ? "#ffffff" : "#233241", strokeWidth: chosen ? 2 : 1 }),
          h("text", Object.assign({ x: 12, y: 23, fontSize: 15, fontWeight: 600, fill: "#e8eef4" }, FONT), analytics.words.areaName(code)),
          h("text", Object.assign({ x: WIDTH - 14, y: 23, fontSize: 14, textAnchor: "end", fill: "#b3c0cd" }, FONT), known.length ? analytics.words.bare(known[known.length - 1].value, measure) : markaz.text("analytics.no_data")),
          [low, high].map(function (value) {
            return h(
              "g",
              { key: value },
              h("line", { x1: PLOT.left, x2: WIDTH - PLOT.right, y1: y(value), y2: y(value), stroke: "#22303d" }),
              h("text", Object.assign({ x: PLOT.left - 6, y: y(value) + 4, fontSize: 11.5, textAnchor: "end", fill: "#8496a8" }, FONT), analytics.words.bare(value, measure)),
            );
          }),
          ends.map(function (end) { return h("text", Object.assign({ key: end[1], x: x(end[0]), y: HEIGHT - 8, fontSize: 11.5, textAnchor: end[1], fill: "#8496a8" }, FONT), tick(end[0])); }),
          before[code] ? h("path", { d: paths(before[code], x, y, props.every_s * 1000), fill: "none", stroke: "#e0b04a", strokeWidth: 1.6, strokeDasharray: "3 3", strokeLinecap: "round" }) : null,
          h("path", { d: paths(rows, x, y, props.every_s * 1000), fill: "none", stroke: "#4fb3d9", strokeWidth: 2, strokeLinejoin: "round", strokeLinecap: "round" }),
        );
      }),
    );
  }

  analytics.Multiples = Multiples;
})();
