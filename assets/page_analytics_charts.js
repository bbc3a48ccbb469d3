/* Charts of the page of analytics by Plotly: the values by time, how often which value, the hours of the week.
 *
 * A chart is drawn once and then changed in place; while a new answer is on its way the one before stands.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const INK = "#c9d4df";
  const MUTED = "#8496a8";
  const GRID = "#22303d";
  const NOW = "#4fb3d9";
  const BEFORE = "#e0b04a";
  const CONFIG = { displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: false };

  /* ---- Plotly ---- */

  let arriving = null;

  /* Plotly of Dash's own bundle: it comes when the page has a graph of Dash's, which the layout hides. */
  function plotly() {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    if (!arriving) {
      arriving = new Promise(function (done) {
        const timer = setInterval(function () {
          if (!window.Plotly) return;
          clearInterval(timer);
          done(window.Plotly);
        }, 100);
      });
    }
    return arriving;
  }

  function rem() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  }

  function layoutOf(more) {
    const size = rem();
    const number = markaz.settings().number;
    const axis = { gridcolor: GRID, linecolor: GRID, zeroline: false, tickfont: { size: 0.8 * size }, automargin: true, fixedrange: true };
    return Object.assign({}, more, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: MUTED, size: 0.82 * size, family: "Inter, Segoe UI, Noto Sans, DejaVu Sans, sans-serif" },
      margin: Object.assign({ l: 2.6 * size, r: 0.8 * size, t: 0.5 * size, b: 2.2 * size }, more.margin),
      xaxis: Object.assign({}, axis, more.xaxis),
      yaxis: Object.assign({}, axis, more.yaxis),
      hoverlabel: { bgcolor: "#172330", bordercolor: GRID, font: { color: "#e8eef4", size: 0.85 * size } },
      separators: number.decimal + number.group,
      showlegend: false,
    });
  }

  /* A box is dragged over a figure, or a place of it is clicked: `tell` gets its corners on the axes. */
  function boxed(at, tell) {
    const frame = document.createElement("div");
    frame.className = "an-box";
    let from = null;
    const place = function (event) {
      const x = at._fullLayout.xaxis;
      const y = at._fullLayout.yaxis;
      const corner = at.getBoundingClientRect();
      const held = function (value, most) { return Math.max(0, Math.min(most, value)); };
      return { x: event.clientX - corner.left - x._offset, y: event.clientY - corner.top - y._offset, held: function () { return [held(this.x, x._length), held(this.y, y._length)]; }, inside: function () { return this.x >= 0 && this.y >= 0 && this.x <= x._length && this.y <= y._length; } };
    };
    const draw = function (to) {
      const begin = from.held();
      const end = to.held();
      const layout = at._fullLayout;
      Object.assign(frame.style, { left: layout.xaxis._offset + Math.min(begin[0], end[0]) + "px", top: layout.yaxis._offset + Math.min(begin[1], end[1]) + "px", width: Math.abs(end[0] - begin[0]) + "px", height: Math.abs(end[1] - begin[1]) + "px" });
      if (!frame.parentNode) at.appendChild(frame);
    };
    const move = function (event) { if (from) draw(place(event)); };
    const up = function (event) {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", up);
      frame.remove();
      if (!from || !at._fullLayout) return;
      const ends = [from.held(), place(event).held()];
      from = null;
      const axis = function (name, index) { return ends.map(function (end) { return at._fullLayout[name].p2c(end[index]); }).sort(function (one, other) { return one - other; }); };
      tell(axis("xaxis", 0), axis("yaxis", 1));
    };
    at.addEventListener("pointerdown", function (event) {
      if (event.button !== 0 || !at._fullLayout) return;
      const begin = place(event);
      if (!begin.inside()) return;
      from = begin;
      window.addEventListener("pointermove", move);
      window.addEventListener("pointerup", up);
    });
  }

  /* A figure {data, layout} in its place; `on`: what to do at which of Plotly's events, and `box` when one was dragged. */
  function Figure(props) {
    const holder = React.useRef(null);
    const last = React.useRef(props);
    const turn = React.useRef(null); // one drawing after the other: Plotly takes no second one before the first stands
    last.current = props;
    React.useEffect(
      function () {
        const draw = function (Plotly) {
          const at = holder.current;
          if (!at || last.current.version !== props.version) return undefined; // there is a newer one behind
          const place = at.getBoundingClientRect();
          const layout = Object.assign({}, layoutOf(props.figure.layout), { width: Math.max(50, place.width), height: Math.max(50, place.height) });
          return Plotly.react(at, props.figure.data, layout, CONFIG).then(function () {
            if (at.dataset.listening) return;
            at.dataset.listening = "1";
            boxed(at, function (x, y) { if ((last.current.on || {}).box) last.current.on.box(x, y); });
            ["plotly_click", "plotly_selected"].forEach(function (name) {
              at.on(name, function (event) {
                const does = (last.current.on || {})[name];
                if (does && event) does(event);
              });
            });
          });
        };
        const before = turn.current || Promise.resolve();
        turn.current = before.then(plotly).then(draw).catch(function (error) { console.error(error); });
      },
      [props.version],
    );
    React.useEffect(function () {
      const at = holder.current;
      const watcher = new ResizeObserver(function () {
        if (!window.Plotly || !at.dataset.listening) return; // not drawn yet
        const place = at.getBoundingClientRect();
        if (place.width < 50 || place.height < 50) return;
        window.Plotly.relayout(at, Object.assign({ width: place.width, height: place.height }, { "font.size": 0.82 * rem() }));
      });
      watcher.observe(at);
      return function () {
        watcher.disconnect();
        if (window.Plotly) window.Plotly.purge(at);
      };
    }, []);
    return h("div", { className: "an-figure", ref: holder, "data-export": props.name, role: "img", "aria-label": props.label });
  }

  /* ---- values by time ---- */

  /* Times on the city's clock and values; where steps are missing there is a hole, so that no line goes over it. */
  function line(rows, every_s, zone, measure, shift) {
    const factor = analytics.words.factor(measure);
    const found = { x: [], y: [], at: [], text: [] };
    let last = null;
    rows.forEach(function (row) {
      if (last !== null && row.at - last > every_s * 1500) {
        found.x.push(analytics.clock.wall(last + shift + every_s * 1000, zone));
        found.y.push(null);
        found.at.push(null);
        found.text.push("");
      }
      last = row.at;
      found.x.push(analytics.clock.wall(row.at + shift, zone));
      found.y.push(row.value === null ? null : row.value * factor);
      found.at.push(row.at);
      found.text.push(analytics.words.moment(row.at) + "<br><b>" + analytics.words.full(row.value, measure) + "</b>");
    });
    return found;
  }

  function timeAxis(view, zone) {
    const days = (view.to - view.from) / analytics.DAY;
    return {
      type: "date",
      range: [analytics.clock.wall(view.from, zone), analytics.clock.wall(view.to, zone)],
      tickformat: days > 3 ? "%d.%m" : days > 1 ? "%H:%M\n%d.%m" : "%H:%M",
      nticks: 9,
    };
  }

  function Series(props) {
    const view = props.view;
    const measure = props.measure;
    const zone = markaz.settings().timezone;
    const now = line(props.rows, props.every_s, zone, measure, 0);
    const mode = props.rows.length < 40 ? "lines+markers" : "lines";
    const data = [{ type: "scatter", mode: mode, x: now.x, y: now.y, text: now.text, customdata: now.at, hovertemplate: "%{text}<extra></extra>", connectgaps: false, line: { color: NOW, width: 0.125 * rem() }, marker: { size: 0.32 * rem() } }];
    if (view.compare_from !== null) {
      const before = line(props.before, props.every_s, zone, measure, view.from - view.compare_from);
      data.unshift({ type: "scatter", mode: mode, x: before.x, y: before.y, text: before.text, customdata: before.at, hovertemplate: "%{text}<extra></extra>", connectgaps: false, line: { color: BEFORE, width: 0.125 * rem(), dash: "dot" }, marker: { size: 0.32 * rem(), symbol: "diamond" } });
    }
    const shapes = [];
    if (view.part_from !== null) {
      shapes.push({ type: "rect", xref: "x", yref: "paper", x0: analytics.clock.wall(view.part_from, zone), x1: analytics.clock.wall(view.part_to, zone), y0: 0, y1: 1, fillcolor: "#4fb3d9", opacity: 0.16, line: { width: 0 }, layer: "below" });
    }
    if (view.at !== null) shapes.push({ type: "line", xref: "x", yref: "paper", x0: analytics.clock.wall(view.at, zone), x1: analytics.clock.wall(view.at, zone), y0: 0, y1: 1, line: { color: "#ffffff", width: 1.5, dash: "dash" } });
    const additive = ["count", "sum", "entities", "rise"].indexOf(measure.how) >= 0;
    return h(Figure, {
      name: "series",
      label: props.label,
      version: props.version,
      figure: {
        data: data,
        layout: {
          dragmode: "select",
          selectdirection: "h",
          selections: [],
          newselection: { line: { color: "#ffffff", width: 1, dash: "solid" } },
          hovermode: "closest",
          hoverdistance: 40,
          shapes: shapes,
          xaxis: timeAxis(view, zone),
          yaxis: { rangemode: additive ? "tozero" : "normal", nticks: 5 },
        },
      },
      on: {
        plotly_selected: function (event) {
          if (!event.range || !event.range.x) return;
          const ends = event.range.x.map(function (text) { return analytics.clock.unwall(String(text), zone); });
          props.onPart(Math.min.apply(null, ends), Math.max.apply(null, ends));
        },
        plotly_click: function (event) {
          const at = event.points[0].customdata;
          if (at) props.onMoment(at);
        },
      },
    });
  }

  /* ---- how often which value ---- */

  function Distribution(props) {
    const told = props.answer;
    const factor = analytics.words.factor(props.measure);
    const bins = props.bins;
    const low = (told.low || 0) * factor;
    const width = ((told.high || 0) * factor - low) / bins;
    const trace = function (period, colour, more) {
      const counts = new Array(bins).fill(0);
      told.data.forEach(function (row) { if ((row.period || 0) === period) counts[row.bin] = row.rows; });
      const all = counts.reduce(function (sum, one) { return sum + one; }, 0) || 1;
      return Object.assign(
        {
          x: counts.map(function (unused, at) { return low + (at + 0.5) * width; }),
          y: counts.map(function (count) { return (100 * count) / all; }),
          text: counts.map(function (count, at) {
            const from = markaz.number(low + at * width, width < 1 ? 2 : 0);
            const to = markaz.number(low + (at + 1) * width, width < 1 ? 2 : 0);
            return from + " … " + to + "<br><b>" + markaz.number(count, 0) + "</b>";
          }),
          textposition: "none", // shown beside the pointer alone
          hovertemplate: "%{text}<extra></extra>",
          marker: { color: colour },
        },
        more,
      );
    };
    const first = told.low || 0;
    const step = ((told.high || 0) - first) / bins;
    const edge = function (number) { return Number((first + number * step).toPrecision(6)); };
    const low_si = props.view.value_min;
    const high_si = props.view.value_max;
    const chosen = function (at) { return (low_si === null || edge(at + 1) > low_si) && (high_si === null || edge(at) < high_si); };
    const shapes = [];
    let opacity = 1;
    if (low_si !== null || high_si !== null) {
      opacity = new Array(bins).fill(0).map(function (unused, at) { return chosen(at) ? 1 : 0.35; });
      const line = function (value) { return { type: "line", xref: "x", yref: "paper", x0: value * factor, x1: value * factor, y0: 0, y1: 1, line: { color: "#ffffff", width: 1.5, dash: "dash" } }; };
      [low_si, high_si].forEach(function (value) { if (value !== null) shapes.push(line(value)); });
    }
    const onBox = function (x) {
      const from = Math.max(0, Math.floor((x[0] - low) / width));
      const to = Math.min(bins, Math.max(from + 1, Math.ceil((x[1] - low) / width)));
      // The outermost bins are open: what is beyond them belongs to them.
      if (from < bins) props.onValues(from <= 0 ? null : edge(from), to >= bins ? null : edge(to));
    };
    const data = [trace(0, NOW, { type: "bar", width: width * 0.9, marker: { color: NOW, opacity: opacity } })];
    if (props.compared) data.push(trace(1, BEFORE, { type: "scatter", mode: "lines", line: { color: BEFORE, width: 0.125 * rem(), dash: "dot", shape: "hvh" } }));
    return h(Figure, {
      name: "distribution",
      label: props.label,
      version: props.version,
      figure: { data: data, layout: { bargap: 0, dragmode: false, hovermode: "closest", shapes: shapes, xaxis: { nticks: 8 }, yaxis: { ticksuffix: " %", nticks: 4, rangemode: "tozero" } } },
      on: { box: onBox },
    });
  }

  /* ---- the hours of the week ---- */

  function Heat(props) {
    const factor = analytics.words.factor(props.measure);
    const days = markaz.settings().days || [];
    const z = days.map(function () { return new Array(24).fill(null); });
    const text = days.map(function (day) { return new Array(24).fill(0).map(function (unused, hour) { return day + " " + hour + ":00<br><b>" + markaz.text("analytics.no_data") + "</b>"; }); });
    props.rows.forEach(function (row) {
      if (!z[row.weekday] || row.value === null) return;
      z[row.weekday][row.hour] = row.value * factor;
      text[row.weekday][row.hour] = days[row.weekday] + " " + row.hour + ":00<br><b>" + analytics.words.full(row.value, props.measure) + "</b>";
    });
    const hours = new Array(24).fill(0).map(function (unused, hour) { return hour; });
    const ramp = analytics.scale.RAMP;
    const shown = { hour: props.view.hour.length ? props.view.hour : hours, weekday: props.view.weekday.length ? props.view.weekday : [1, 2, 3, 4, 5, 6, 7] };
    const some = props.view.hour.length || props.view.weekday.length;
    const shapes = [];
    if (some) {
      analytics.words.runs(shown.weekday).forEach(function (week) {
        analytics.words.runs(shown.hour).forEach(function (run) {
          shapes.push({ type: "rect", xref: "x", yref: "y", x0: run[0] - 0.5, x1: run[1] + 0.5, y0: week[0] - 1.5, y1: week[1] - 0.5, line: { color: "#ffffff", width: 2 }, fillcolor: "rgba(0,0,0,0)" });
        });
      });
    }
    const onBox = function (x, y) {
      const between = function (ends, most) {
        const from = Math.max(0, Math.round(ends[0]));
        const to = Math.min(most, Math.round(ends[1]));
        return new Array(Math.max(0, to - from + 1)).fill(0).map(function (unused, at) { return from + at; });
      };
      props.onClock(between(x, 23), between(y, 6).map(function (day) { return day + 1; }));
    };
    return h(Figure, {
      name: "heat",
      label: props.label,
      version: props.version,
      figure: {
        data: [
          {
            type: "heatmap", x: hours, y: days, z: z, text: text, hovertemplate: "%{text}<extra></extra>", xgap: 0.12 * rem(), ygap: 0.12 * rem(), hoverongaps: true,
            colorscale: ramp.map(function (colour, at) { return [at / (ramp.length - 1), colour]; }),
            colorbar: { thickness: 0.6 * rem(), outlinewidth: 0, tickfont: { size: 0.78 * rem() }, nticks: 5, len: 1.05 },
          },
        ],
        layout: { dragmode: false, shapes: shapes, xaxis: { dtick: 3, showgrid: false }, yaxis: { autorange: "reversed", showgrid: false, type: "category" }, plot_bgcolor: "#16202a" },
      },
      on: { box: onBox },
    });
  }

  analytics.charts = { Series: Series, Distribution: Distribution, Heat: Heat, plotly: plotly };
})();
