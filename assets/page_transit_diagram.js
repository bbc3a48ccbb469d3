/* The time-distance diagram of a line: every run a line over time and stops. And the table of origins and destinations.
 *
 * How late a run is shows in colour, dash and weight: the later, the brighter, longer dashed and heavier.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const HOUR = 3600000;
  const LEFT = 170;
  const VERY_LATE_S = 600;
  // class → stroke, weight, dash
  const LINES = {
    unknown: ["#7d92a6", 1, ""],
    on_time: ["#5aa9cf", 1.2, ""],
    early: ["#b39be0", 1.5, "1.5 3"],
    late: ["#e0b04a", 1.6, "7 3"],
    very_late: ["#ffe08a", 2.4, "13 4"],
  };

  function classOf(late_s, limits) {
    if (late_s === null || late_s === undefined) return "unknown";
    if (late_s < -limits.early_s) return "early";
    if (late_s > VERY_LATE_S) return "very_late";
    return late_s > limits.late_s ? "late" : "on_time";
  }

  /* The pieces of a run by class: class → path. A piece has the class of the stop that it leads to. */
  function paths(run, x, y, limits) {
    const found = {};
    let last = "";
    const first = Date.parse(run.first_at);
    run.stops.forEach(function (stop, at) {
      const came = x(first + 1000 * run.arrivals_s[at]);
      const left = x(first + 1000 * run.departures_s[at]);
      const place = y(stop);
      if (at) {
        const kind = classOf(run.late_s[at], limits);
        const before = x(first + 1000 * run.departures_s[at - 1]);
        const begin = kind === last ? "" : "M" + before.toFixed(1) + " " + y(run.stops[at - 1]).toFixed(1);
        found[kind] = (found[kind] || "") + begin + "L" + came.toFixed(1) + " " + place.toFixed(1) + (at < run.stops.length - 1 && left - came > 0.3 ? "H" + left.toFixed(1) : "");
        last = kind;
      }
    });
    return found;
  }

  function wallHour(ms, zone) {
    return markaz.analytics.clock.wall(ms, zone).slice(11, 16);
  }

  function Diagram(props) {
    const zone = markaz.settings().timezone;
    const said = React.useRef(null);
    const stops = props.stops;
    const show = function (event) {
      const group = event.target.closest && event.target.closest("[data-run]");
      const run = group ? props.runs[Number(group.dataset.run)] : null;
      if (said.current) said.current.textContent = run ? props.words(run) : props.hint;
    };
    return h(
      React.Fragment,
      null,
      h(
        "div",
        { className: "tr-fill", onMouseMove: show, onMouseLeave: show },
        h(transit.charts.Chart, {
          name: "diagram",
          label: props.label,
          draw: function (width, height) {
            const bottom = height - 24;
            const top = 10;
            const whole = Math.max(1, stops[stops.length - 1].along_m - stops[0].along_m);
            const x = function (ms) { return LEFT + ((width - LEFT - 8) * (ms - props.from)) / (props.to - props.from); };
            const y = function (stop) { return top + ((bottom - top - 4) * (stops[stop].along_m - stops[0].along_m)) / whole; };
            const out = [];
            let lowest = -100;
            stops.forEach(function (stop, at) {
              const place = y(at);
              out.push(h("line", { key: "s" + at, x1: LEFT, x2: width - 8, y1: place, y2: place, stroke: transit.charts.GRID }));
              const named = at === stops.length - 1 ? true : place - lowest >= 15 && y(stops.length - 1) - place >= 15;
              if (!named && at) return;
              lowest = place;
              out.push(transit.charts.word("n" + at, LEFT - 8, place + 4, transit.charts.short(stop.stop_name || stop.stop_id, LEFT - 14), { textAnchor: "end", fontSize: 12 }));
            });
            const hours = (props.to - props.from) / HOUR;
            const step = [0.25, 0.5, 1, 2, 3, 6, 12, 24].find(function (one) { return hours / one <= (width - LEFT) / 70; }) || 24;
            const begin = markaz.analytics.clock.midnight(props.from, zone);
            for (let ms = begin; ms <= props.to; ms += step * HOUR) {
              if (ms < props.from) continue;
              out.push(h("line", { key: "h" + ms, x1: x(ms), x2: x(ms), y1: top, y2: bottom, stroke: transit.charts.GRID }));
              if (x(ms) > LEFT + 14 && x(ms) < width - 20) out.push(transit.charts.word("t" + ms, x(ms), height - 6, wallHour(ms, zone), { textAnchor: "middle", fontSize: 12, fill: transit.charts.MUTED }));
            }
            const lines = props.runs.map(function (run, at) {
              if (Date.parse(run.last_at) < props.from || Date.parse(run.first_at) > props.to) return null;
              const found = paths(run, x, y, props.limits);
              const whole = Object.keys(found).map(function (kind) {
                const style = LINES[kind];
                return h("path", { key: kind, d: found[kind], fill: "none", stroke: style[0], strokeWidth: style[1], strokeDasharray: style[2] || undefined, strokeLinejoin: "round" });
              });
              const all = Object.values(found).join("");
              return h("g", { key: at, "data-run": at, className: "tr-run" }, h("path", { d: all, fill: "none", stroke: "transparent", strokeWidth: 7 }), whole);
            });
            out.push(h("clipPath", { key: "clip", id: "tr-diagram-clip" }, h("rect", { x: LEFT, y: 0, width: Math.max(0, width - LEFT - 8), height: height })));
            out.push(h("g", { key: "runs", clipPath: "url(#tr-diagram-clip)" }, lines));
            return out;
          },
        }),
      ),
      h("p", { className: "tr-said", ref: said }, props.hint),
    );
  }

  function DiagramLegend(props) {
    return h(
      "div",
      { className: "tr-legend" },
      ["early", "on_time", "late", "very_late", "unknown"].map(function (kind) {
        const style = LINES[kind];
        return h(
          "span",
          { key: kind },
          h("svg", { viewBox: "0 0 40 10", className: "tr-line" }, h("path", { d: "M0 5H40", stroke: style[0], strokeWidth: style[1] + 0.6, strokeDasharray: style[2] || undefined })),
          props.words(kind),
        );
      }),
    );
  }

  /* ---- from where to where ---- */

  function scaleOf(pairs) {
    return markaz.analytics.scale.sequential(pairs.map(function (one) { return one.passengers; }), "quantiles");
  }

  function MatrixLegend(props) {
    const scale = scaleOf(props.pairs);
    const edges = scale.breaks.map(function (value) { return markaz.number(value, value < 9.5 ? 1 : 0); });
    return h(
      "div",
      { className: "tr-legend" },
      scale.colours.map(function (colour, at) {
        const words = at === 0 ? (edges.length ? "< " + edges[0] : "") : at === edges.length ? "≥ " + edges[at - 1] : edges[at - 1] + " – " + edges[at];
        return h("span", { key: colour }, h("i", { className: "tr-swatch", style: { backgroundColor: colour } }), words);
      }),
    );
  }

  /* `pairs`: [{from_place, to_place, passengers, low, high}]; rows ride from, columns ride to. */
  function Matrix(props) {
    const stops = props.stops;
    const count = stops.length;
    return h(transit.charts.Chart, {
      name: "od",
      label: props.label,
      height: 40 + Math.max(11, 15) * count,
      fill: true,
      draw: function (width, height) {
        const left = 178;
        const top = 26;
        const cell = Math.min((width - left - 8) / count, (height - top - 8) / count);
        const scale = scaleOf(props.pairs);
        const out = [];
        stops.forEach(function (stop, at) {
          out.push(transit.charts.word("r" + at, left - 8, top + cell * (at + 0.5) + 4, transit.charts.short(at + 1 + " " + (stop.stop_name || stop.stop_id), left - 10), { textAnchor: "end", fontSize: 12 }));
          if (cell >= 17 || at % 2 === 0) out.push(transit.charts.word("c" + at, left + cell * (at + 0.5), top - 8, at + 1, { textAnchor: "middle", fontSize: 11, fill: transit.charts.MUTED }));
        });
        out.push(h("path", { key: "edge", d: "M" + left + " " + top + "H" + (left + cell * count) + "V" + (top + cell * count), fill: "none", stroke: transit.charts.GRID }));
        props.pairs.forEach(function (pair, number) {
          const row = pair.from_place;
          const column = pair.to_place;
          if (row >= count || column >= count) return;
          const colour = scale.of(pair.passengers);
          const dark = ["#63b0d8", "#b5e0f5"].indexOf(colour) >= 0;
          out.push(
            h(
              "g",
              { key: number },
              h("rect", { x: left + cell * column + 0.5, y: top + cell * row + 0.5, width: cell - 1, height: cell - 1, fill: colour }, h("title", null, props.words(pair, stops[row], stops[column]))),
              cell >= 24 ? transit.charts.word("n", left + cell * (column + 0.5), top + cell * (row + 0.5) + 4, markaz.number(pair.passengers, pair.passengers < 9.5 ? 1 : 0), { textAnchor: "middle", fontSize: 11, fill: dark ? "#0b1117" : transit.charts.INK, pointerEvents: "none" }) : null,
            ),
          );
        });
        return out;
      },
    });
  }

  transit.diagram = { Diagram: Diagram, Legend: DiagramLegend, Matrix: Matrix, MatrixLegend: MatrixLegend, classOf: classOf };
})();
