/* Charts of the page of transport analysis, drawn as SVG with everything in attributes, so that they can be saved as they stand.
 *
 * A length here is a sixteenth of the page's rem: a wall of four thousand pixels shows the same picture, larger. Classes differ by
 * light and by hatching, and each has its number or word beside it.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const INK = "#e8eef4";
  const SOFT = "#b3c0cd";
  const MUTED = "#8496a8";
  const GRID = "#22303d";
  const BLUE = "#4fb3d9";
  const DEEP = "#2d6f94";
  const OCHRE = "#e0b04a";
  const VIOLET = "#b39be0";
  const FONT = "Inter, Segoe UI, Noto Sans, DejaVu Sans, sans-serif";
  const ROW = 21;
  const NAME = 200;
  const COLOURS = { plain: BLUE, deep: DEEP, early: VIOLET, on_time: DEEP, late: OCHRE, bunched: VIOLET, gap: OCHRE, on: BLUE, off: OCHRE, none: "#3a4b5b" };
  const HATCHED = ["early", "late", "bunched", "gap", "off"];

  function unit() {
    return (parseFloat(getComputedStyle(document.documentElement).fontSize) || 16) / 16;
  }

  /* The size of a place on the page, in those units; null before it is known. */
  function useSize() {
    const ref = React.useRef(null);
    const state = React.useState(null);
    React.useLayoutEffect(function () {
      const measure = function () {
        const u = unit();
        const next = { w: Math.floor(ref.current.clientWidth / u), h: Math.floor(ref.current.clientHeight / u), u: u };
        state[1](function (before) { return before && before.w === next.w && before.h === next.h && before.u === next.u ? before : next; });
      };
      measure();
      const watcher = new ResizeObserver(measure);
      watcher.observe(ref.current);
      return function () { watcher.disconnect(); };
    }, []);
    return [ref, state[0]];
  }

  /* A picture: `draw(width, height)` gives its parts; `height(size)` where it is taller than its place, which then scrolls. */
  function Chart(props) {
    const sized = useSize();
    const size = sized[1];
    const tall = props.height && size ? Math.max(props.fill ? size.h : 0, props.height) : size ? size.h : 0;
    return h(
      "div",
      { className: "tr-chart" + (props.height ? " tall" : ""), ref: sized[0] },
      size && size.w > 40 && tall > 20
        ? h(
            "svg",
            { viewBox: "0 0 " + size.w + " " + tall, style: { width: "100%", height: tall * size.u + "px" }, "data-export": props.name, role: "img", "aria-label": props.label, fontFamily: FONT, fontSize: 13 },
            h(Patterns, { name: props.name }),
            props.draw(size.w, tall),
          )
        : null,
    );
  }

  /* Hatching: the colour's own ground with lines of the page's dark across. */
  function Patterns(props) {
    return h(
      "defs",
      null,
      HATCHED.map(function (kind, at) {
        return h(
          "pattern",
          { key: kind, id: "tr-" + props.name + "-" + kind, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(" + (at % 2 ? 45 : -45) + ")" },
          h("rect", { width: 6, height: 6, fill: COLOURS[kind] }),
          h("rect", { width: 1.6, height: 6, fill: "#0b1117", fillOpacity: 0.55 }),
        );
      }),
    );
  }

  function fill(name, kind) {
    return HATCHED.indexOf(kind) >= 0 ? "url(#tr-" + name + "-" + kind + ")" : COLOURS[kind] || kind;
  }

  /* Round numbers from nought to about `most`, few of them. */
  function ticks(most, count) {
    if (!(most > 0)) return [0, 1];
    const rough = most / count;
    const size = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 2.5, 5, 10].map(function (one) { return one * size; }).find(function (one) { return one >= rough; });
    const found = [];
    for (let at = 0; at * step < most + step * 0.999; at++) found.push(Math.round(at * step * 1e6) / 1e6);
    return found;
  }

  function digits(step) {
    return step >= 1 ? (Number.isInteger(step) ? 0 : 1) : 2;
  }

  function short(words, width) {
    const letters = Math.floor(width / 7.6);
    const text = String(words === null || words === undefined ? "" : words);
    return text.length <= letters ? text : text.slice(0, Math.max(1, letters - 1)) + "…";
  }

  function word(key, x, y, words, more) {
    return h("text", Object.assign({ key: key, x: x, y: y, fill: SOFT }, more), words);
  }

  /* ---- along the line ---- */

  /* A row a stop (or vehicle), columns of small charts beside its name. `rows`: [{key, name, mark, hint}]; `columns`: [{title, share,
     most, count, format, cells(row) → {lo, mid, hi} | {bars: [{value, kind, words}]} | {parts: [{share, kind}]} | null, words(row), line}]. */
  function Along(props) {
    const rows = props.rows;
    const height = 46 + rows.length * ROW + 6;
    return h(Chart, {
      name: props.name,
      label: props.label,
      height: height,
      draw: function (width) {
        const whole = props.columns.reduce(function (sum, one) { return sum + (one.share || 1); }, 0);
        const side = props.nameWidth || NAME;
        const room = width - side - 6;
        const out = [];
        rows.forEach(function (row, at) {
          const y = 46 + at * ROW;
          if (at % 2) out.push(h("rect", { key: "z" + at, x: 0, y: y, width: width, height: ROW, fill: "#131f2a" }));
          out.push(word("n" + at, 4, y + 15, short((row.mark ? row.mark + " " : "") + row.name, side - 10), { fill: row.mark ? INK : SOFT }));
        });
        let x = side;
        props.columns.forEach(function (column, number) {
          const w = (room * (column.share || 1)) / whole - 22;
          out.push(h(Column, { key: "c" + number, name: props.name, column: column, rows: rows, x: x, width: w, height: height }));
          x += w + 22;
        });
        return out;
      },
    });
  }

  function Column(props) {
    const column = props.column;
    const values = props.rows.map(column.cells);
    const labelled = column.words ? 62 : 0;
    const width = props.width - labelled;
    let most = column.most || 0;
    if (!column.most) {
      values.forEach(function (cell) {
        if (!cell) return;
        if (cell.hi !== undefined) most = Math.max(most, cell.hi);
        (cell.bars || []).forEach(function (bar) { most = Math.max(most, bar.value || 0); });
        if (cell.tick) most = Math.max(most, cell.tick);
      });
      if (column.line) most = Math.max(most, column.line.value * 1.04);
    }
    const lows = values.reduce(function (so, cell) {
      const bars = ((cell && cell.bars) || []).map(function (bar) { return bar.value || 0; });
      return Math.min.apply(null, bars.concat(cell && cell.lo !== undefined ? [so, cell.lo] : [so]));
    }, 0);
    const marks = ticks(most - lows, column.count || Math.max(2, Math.floor(width / 62)));
    const step = marks[1] - marks[0];
    const low = lows < 0 ? -Math.ceil(-lows / step) * step : 0;
    const high = column.most || low + Math.ceil((most - low) / step) * step || 1;
    const at = function (value) { return props.x + (width * (Math.min(value, high) - low)) / (high - low); };
    const out = [word("t", props.x, 14, column.title, { fill: INK, fontWeight: 600 })];
    for (let value = low; value <= high + step / 1000; value += step) {
      out.push(h("line", { key: "g" + value, x1: at(value), x2: at(value), y1: 40, y2: props.height - 6, stroke: value === 0 && low < 0 ? MUTED : GRID }));
      out.push(word("v" + value, at(value), 34, column.format ? column.format(value, true) : markaz.number(value, digits(step)), { textAnchor: "middle", fontSize: 12, fill: MUTED }));
    }
    values.forEach(function (cell, row) {
      const y = 46 + row * ROW;
      if (!cell) {
        out.push(word("e" + row, props.x, y + 15, "–", { fill: MUTED }));
        return;
      }
      const hint = props.rows[row].name + (cell.hint ? "\n" + cell.hint : "");
      const shapes = [];
      if (cell.hi !== undefined) {
        shapes.push(h("rect", { key: "r", x: at(cell.lo), y: y + 6, width: Math.max(1, at(cell.hi) - at(cell.lo)), height: ROW - 12, rx: 3, fill: DEEP }));
        shapes.push(h("rect", { key: "m", x: at(cell.mid) - 1.5, y: y + 3, width: 3, height: ROW - 6, fill: INK }));
      }
      let from = 0;
      (cell.parts || []).forEach(function (part, index) {
        shapes.push(h("rect", { key: "p" + index, x: at(high * from), y: y + 4, width: Math.max(0, at(high * part.share) - at(0) - 0.5), height: ROW - 8, fill: fill(props.name, part.kind) }));
        from += part.share;
      });
      const bars = cell.bars || [];
      bars.forEach(function (bar, index) {
        if (bar.value === null || bar.value === undefined) return;
        const thick = (ROW - 7) / bars.length;
        const x0 = at(Math.min(0, bar.value));
        shapes.push(h("rect", { key: "b" + index, x: x0, y: y + 3.5 + index * thick, width: Math.max(0.8, at(Math.max(0, bar.value)) - x0), height: thick - 0.7, fill: fill(props.name, bar.kind || "plain") }));
      });
      if (cell.tick !== undefined && cell.tick !== null) shapes.push(h("path", { key: "k", d: "M" + at(cell.tick) + " " + (y + 3) + "v" + (ROW - 6), stroke: INK, strokeWidth: 2 }));
      out.push(h("g", { key: "row" + row }, shapes, h("rect", { x: props.x, y: y, width: width, height: ROW, fill: "transparent" }, h("title", null, hint))));
      if (column.words) out.push(word("w" + row, props.x + width + 8, y + 15, column.words(props.rows[row]), { fill: INK }));
    });
    if (column.line) {
      const x = at(column.line.value);
      out.push(h("line", { key: "line", x1: x, x2: x, y1: 40, y2: props.height - 6, stroke: INK, strokeDasharray: "5 4", strokeWidth: 1.4 }, h("title", null, column.line.words)));
    }
    return h("g", null, out);
  }

  /* ---- upright columns: hours of the day, bins of a distribution ---- */

  /* `bars`: [{x, words, hint, lo, mid, hi | parts: [{share, kind}] | value, kind}]; `most` where the scale is fixed. */
  function Upright(props) {
    return h(Chart, {
      name: props.name,
      label: props.label,
      draw: function (width, height) {
        const left = 46;
        const bottom = height - 36;
        const top = props.bars.some(function (bar) { return bar.said; }) ? 22 : 12;
        const most = props.most || props.bars.reduce(function (so, bar) { return Math.max(so, bar.hi || bar.value || 0); }, 0);
        const marks = ticks(most, Math.max(2, Math.floor((bottom - top) / 64)));
        const high = props.most || marks[marks.length - 1];
        const y = function (value) { return bottom - ((bottom - top) * Math.min(value, high)) / high; };
        const band = (width - left - 8) / Math.max(1, props.bars.length);
        const inner = Math.min(band * 0.74, 46);
        const every = Math.ceil(30 / band);
        const out = marks.filter(function (value) { return value <= high + 1e-9; }).map(function (value) {
          return h("g", { key: "g" + value }, h("line", { x1: left, x2: width - 4, y1: y(value), y2: y(value), stroke: GRID }), word("t", left - 6, y(value) + 4, props.format ? props.format(value) : markaz.number(value, digits(marks[1])), { textAnchor: "end", fontSize: 12, fill: MUTED }));
        });
        props.bars.forEach(function (bar, at) {
          const middle = left + band * (at + 0.5);
          const x = middle - inner / 2;
          const shapes = [];
          if (bar.hi !== undefined && bar.hi !== null) {
            shapes.push(h("rect", { key: "r", x: middle - Math.min(inner, 16) / 2, y: y(bar.hi), width: Math.min(inner, 16), height: Math.max(1, y(bar.lo) - y(bar.hi)), rx: 3, fill: DEEP }));
            shapes.push(h("rect", { key: "m", x: x, y: y(bar.mid) - 1.5, width: inner, height: 3, fill: INK }));
          }
          let from = 0;
          (bar.parts || []).forEach(function (part, index) {
            shapes.push(h("rect", { key: "p" + index, x: x, y: y(high * (from + part.share)), width: inner, height: Math.max(0, y(high * from) - y(high * (from + part.share)) - 0.6), fill: fill(props.name, part.kind) }));
            from += part.share;
          });
          if (bar.value !== undefined && bar.value !== null) shapes.push(h("rect", { key: "v", x: x, y: y(bar.value), width: inner, height: Math.max(0.5, bottom - y(bar.value)), fill: fill(props.name, bar.kind || "plain") }));
          if (bar.said && inner >= 22) shapes.push(word("s", middle, y(bar.hi || bar.value || 0) - 4, bar.said, { textAnchor: "middle", fontSize: 12, fill: INK, stroke: "#111a23", strokeWidth: 3.5, paintOrder: "stroke" }));
          out.push(h("g", { key: "b" + at }, shapes, h("rect", { x: middle - band / 2, y: top, width: band, height: bottom - top, fill: "transparent" }, h("title", null, bar.hint))));
          if (at % every === 0) out.push(word("x" + at, middle, bottom + 16, bar.x, { textAnchor: "middle", fontSize: 12, fill: MUTED }));
        });
        out.push(word("axis", width - 4, height - 4, props.axis, { textAnchor: "end", fontSize: 12, fill: MUTED }));
        if (props.line !== undefined && props.line !== null && props.line <= high) {
          out.push(h("g", { key: "line" }, h("line", { x1: left, x2: width - 4, y1: y(props.line), y2: y(props.line), stroke: INK, strokeDasharray: "5 4" }), word("w", width - 6, y(props.line) - 4, props.lineWords, { textAnchor: "end", fontSize: 12, fill: INK })));
        }
        return out;
      },
    });
  }

  /* What the classes of a picture are called. */
  function Legend(props) {
    return h(
      "div",
      { className: "tr-legend" },
      props.items.map(function (item) {
        return h("span", { key: item.kind }, h("i", { className: "tr-swatch " + (HATCHED.indexOf(item.kind) >= 0 ? (HATCHED.indexOf(item.kind) % 2 ? "up" : "down") : ""), style: { backgroundColor: COLOURS[item.kind] } }), item.words);
      }),
    );
  }

  transit.charts = { Chart: Chart, Along: Along, Upright: Upright, Legend: Legend, ticks: ticks, digits: digits, short: short, word: word, fill: fill, COLOURS: COLOURS, INK: INK, SOFT: SOFT, MUTED: MUTED, GRID: GRID };
})();
