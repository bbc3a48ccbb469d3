/* The figures of a systemic problem: where it is, at which hours of the week, and day by day. Plain SVG, drawn once an answer. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const DAY_MS = 86400000;
  const STEPS = 5;
  const BIG = 0.25; // of the width: who is larger needs no ring to be found

  /* ---- the map ---- */

  const grounds = {}; // by address, for all visits of the page: [{code, name, d, box}]

  function flatten(collection) {
    return collection.features.map(function (feature) {
      const parts = feature.geometry.type === "Polygon" ? [feature.geometry.coordinates] : feature.geometry.coordinates;
      const box = [Infinity, Infinity, -Infinity, -Infinity];
      let path = "";
      parts.forEach(function (rings) {
        rings.forEach(function (ring) {
          ring.forEach(function (point, at) {
            const x = point[0] * 1000 * SQUEEZE;
            const y = -point[1] * 1000;
            box[0] = Math.min(box[0], x);
            box[1] = Math.min(box[1], y);
            box[2] = Math.max(box[2], x);
            box[3] = Math.max(box[3], y);
            path += (at ? "L" : "M") + x.toFixed(2) + " " + y.toFixed(2);
          });
          path += "Z";
        });
      });
      return { code: feature.properties.code, path: path, box: box };
    });
  }
  let SQUEEZE = 1; // a degree of longitude over one of latitude, at the city's middle

  function useGround(addresses) {
    const state = React.useState(null);
    React.useEffect(function () {
      let wanted = true;
      Promise.all(
        addresses.map(function (address) {
          if (!grounds[address]) {
            grounds[address] = fetch(address)
              .then(function (answer) { return answer.json(); })
              .then(function (collection) {
                const first = collection.features[0].geometry.coordinates.flat(Infinity);
                SQUEEZE = Math.cos((first[1] * Math.PI) / 180);
                return flatten(collection);
              });
            grounds[address].catch(function () { delete grounds[address]; });
          }
          return grounds[address];
        }),
      ).then(
        function (layers) { if (wanted) state[1](layers); },
        function () { /* the page says by its banner that the server is away */ },
      );
      return function () { wanted = false; };
    }, []);
    return state[0];
  }

  function around(boxes, margin) {
    const box = boxes.reduce(function (so, one) { return [Math.min(so[0], one[0]), Math.min(so[1], one[1]), Math.max(so[2], one[2]), Math.max(so[3], one[3])]; });
    const pad = margin * Math.max(box[2] - box[0], box[3] - box[1]);
    return [box[0] - pad, box[1] - pad, box[2] - box[0] + 2 * pad, box[3] - box[1] + 2 * pad];
  }

  const Shapes = React.memo(function (props) {
    return props.shapes.map(function (shape) {
      return h("path", { key: shape.code, d: shape.path, className: props.className, "data-area": shape.code });
    });
  });

  function Where(props) {
    const layers = useGround(props.ground);
    const near = React.useState(false);
    const problem = props.problem;
    if (!layers || !layers.length) return h("section", { className: "systemic-map" });
    const all = layers[0].concat(layers[1] || []);
    const byCode = {};
    all.forEach(function (shape) { byCode[shape.code] = shape; });
    const own = problem ? problem.areas.filter(function (code) { return byCode[code]; }) : [];
    const others = {};
    props.problems.forEach(function (one) {
      if (one.kind === "hot_spot" || one.kind === "repeat") one.areas.forEach(function (code) { others[code] = others[code] || one; });
    });
    const shown = near[0] && own.length ? around(own.map(function (code) { return byCode[code].box; }), 1.2) : around(all.map(function (shape) { return shape.box; }), 0.02);
    const unit = shown[2] / 100;
    const choose = function (event) {
      const code = event.target.getAttribute("data-area");
      if (others[code]) props.onChoose(others[code].id);
    };
    const middle = own.length ? around(own.map(function (code) { return byCode[code].box; }), 0) : null;
    const reach = middle ? Math.max(middle[2], middle[3]) / 2 + unit * 2.2 : 0;
    const right = middle && middle[0] + middle[2] / 2 > shown[0] + shown[2] * 0.6;
    return h(
      "section",
      { className: "systemic-map" },
      h(
        "h2",
        null,
        markaz.text("systemic.map"),
        h(
          "span",
          { className: "segmented systemic-zoom", role: "group" },
          [["city", false], ["place", true]].map(function (one) {
            return h("button", { key: one[0], type: "button", className: near[0] === one[1] ? "on" : "", "aria-pressed": near[0] === one[1], disabled: one[1] && !own.length, onClick: function () { near[1](one[1]); } }, markaz.text("systemic.map." + one[0]));
          }),
        ),
      ),
      h(
        "svg",
        { viewBox: shown.join(" "), preserveAspectRatio: "xMidYMid meet", onClick: choose, role: "img", "aria-label": markaz.text("systemic.map") },
        h("defs", null, h("pattern", { id: "systemic-hatch", width: unit * 0.9, height: unit * 0.9, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, h("rect", { width: unit * 0.9, height: unit * 0.9, className: "hatch-ground" }), h("rect", { width: unit * 0.35, height: unit * 0.9, className: "hatch-line" }))),
        h(Shapes, { shapes: layers[0], className: "ground" }),
        Object.keys(others).map(function (code) {
          if (!byCode[code]) return null;
          return h("path", { key: code, d: byCode[code].path, className: "other", "data-area": code }, h("title", null, others[code].title));
        }),
        h(Shapes, { shapes: layers[1] || [], className: "outline" }),
        own.map(function (code) { return h("path", { key: code, d: byCode[code].path, className: "own", style: { fill: "url(#systemic-hatch)" } }, h("title", null, markaz.operate.areaName(code))); }),
        middle && Math.max(middle[2], middle[3]) < BIG * shown[2]
          ? h(
              "g",
              { className: "systemic-mark" },
              h("circle", { cx: middle[0] + middle[2] / 2, cy: middle[1] + middle[3] / 2, r: reach - unit, strokeWidth: unit * 0.28 }),
              h("text", { x: right ? middle[0] + middle[2] / 2 - reach : middle[0] + middle[2] / 2 + reach, y: middle[1] + middle[3] / 2 + unit * 0.9, fontSize: unit * 2.7, strokeWidth: unit * 0.7, textAnchor: right ? "end" : "start" }, markaz.operate.areaName(own[0])),
            )
          : null,
      ),
      h("p", { className: "systemic-legend" }, h("i", { className: "key-own" }), markaz.text("systemic.map.this"), h("i", { className: "key-other" }), markaz.text("systemic.map.others"), problem && !own.length ? " · " + markaz.text("systemic.map.no_place") : ""),
    );
  }

  /* ---- hours of the week ---- */

  function Hours(props) {
    const counts = props.problem.evidence.by_hour;
    if (!counts.length) return null;
    const most = Math.max.apply(null, counts);
    const names = markaz.settings().days;
    const framed = function (day, hour) {
      const problem = props.problem;
      if (!problem.hours.length || problem.hours.indexOf(hour) < 0) return false;
      return problem.days === "all" || (problem.days === "weekend") === day >= 5;
    };
    const cells = [];
    for (let day = 0; day < 7; day++) {
      for (let hour = 0; hour < 24; hour++) {
        const count = counts[day * 24 + hour];
        const step = count ? Math.max(1, Math.ceil((STEPS * count) / most)) : 0;
        cells.push(
          h("span", { key: day + "-" + hour, className: "hour hour-" + step + (framed(day, hour) ? " framed" : ""), title: names[day] + " " + String(hour).padStart(2, "0") + "–" + String(hour + 1).padStart(2, "0") + ": " + markaz.number(count, 0) }),
        );
      }
    }
    const rows = [];
    for (let day = 0; day < 7; day++) rows.push(h("span", { key: "n" + day, className: "hours-day" }, names[day]), cells.slice(day * 24, day * 24 + 24));
    return h(
      "section",
      { className: "systemic-hours" },
      h("h2", null, markaz.text("systemic.hours")),
      h(
        "div",
        { className: "hours-grid", role: "img", "aria-label": markaz.text("systemic.hours") },
        rows,
        h("span", { key: "corner" }),
        [0, 3, 6, 9, 12, 15, 18, 21].map(function (hour) { return h("span", { key: "h" + hour, className: "hours-hour" }, String(hour).padStart(2, "0")); }),
      ),
      h("p", { className: "systemic-legend" }, [0, 1, 2, 3, 4, 5].map(function (step) { return h("i", { key: step, className: "hour hour-" + step }); }), markaz.text("systemic.hours.scale", { most: most })),
    );
  }

  /* ---- day by day ---- */

  function Days(props) {
    const evidence = props.problem.evidence;
    const counts = evidence.by_day;
    if (!counts.length) return null;
    const most = Math.max(1, Math.max.apply(null, counts)) * 1.08;
    const since = Date.parse(evidence.since_at);
    const broken = evidence.break_at ? Math.round((Date.parse(evidence.break_at) - since) / DAY_MS) : null;
    const width = 1000 / counts.length;
    const y = function (value) { return 100 - (100 * value) / most; };
    const split = broken === null ? Math.floor(counts.length / 2) : broken;
    const means = evidence.before_per_day === null ? [] : [[0, split, evidence.before_per_day], [split, counts.length, evidence.after_per_day]];
    // Noon of it: days are 23 or 25 hours long where clocks are changed.
    const dayAt = function (number) { return since + (number + 0.5) * DAY_MS; };
    const short = function (at) { return new Intl.DateTimeFormat("ru", { day: "2-digit", month: "2-digit", timeZone: markaz.settings().timezone }).format(new Date(at)); };
    const marks = [0, 0.25, 0.5, 0.75, 1].map(function (part) { return Math.min(counts.length - 1, Math.round(part * (counts.length - 1))); });
    return h(
      "section",
      { className: "systemic-days" },
      h("h2", null, markaz.text("systemic.trend"), h("span", { className: "count" }, markaz.number(Math.max.apply(null, counts), 0))),
      h(
        "svg",
        { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": markaz.text("systemic.trend") },
        counts.map(function (count, at) {
          return h("rect", { key: at, className: broken !== null && at >= broken ? "after" : "", x: at * width + width * 0.12, y: y(count), width: width * 0.76, height: 100 - y(count) }, h("title", null, short(dayAt(at)) + ": " + markaz.number(count, 0)));
        }),
        means.map(function (mean) { return h("line", { key: mean[0], x1: mean[0] * width, x2: mean[1] * width, y1: y(mean[2]), y2: y(mean[2]), vectorEffect: "non-scaling-stroke" }); }),
        broken === null ? null : h("line", { className: "break", x1: broken * width, x2: broken * width, y1: 0, y2: 100, vectorEffect: "non-scaling-stroke" }),
      ),
      h("div", { className: "strip-times" }, marks.map(function (at, index) { return h("time", { key: index }, short(dayAt(at))); })),
      broken === null ? null : h("p", { className: "systemic-legend" }, markaz.text("systemic.trend.break", { at: short(dayAt(broken)), before: evidence.before_per_day, after: evidence.after_per_day })),
    );
  }

  markaz.systemic = { Where: Where, Hours: Hours, Days: Days };
})();
