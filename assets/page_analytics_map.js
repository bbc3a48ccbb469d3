/* The map of values: the city's polygons in one SVG, coloured by classes, hatched where nothing is known.
 *
 * A polygon chooses: a district opens its mahallas, a mahalla filters everything else. With the keyboard the arrows move to the
 * neighbour and Enter chooses.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const ground = analytics.ground;
  const ZOOM_MIN = 0.02;
  const CLICK_PX = 4; // a pointer that moved farther has dragged
  const LABELS_MAX = 60; // of names in the picture; more are no help
  const LINE = "#0b1117";

  /* ---- legend ---- */

  function swatches(scale, measure, signed) {
    const words = signed ? analytics.words.signed : analytics.words.bare;
    return scale.colours.map(function (colour, at) {
      const low = scale.breaks[at - 1];
      const high = scale.breaks[at];
      let text = markaz.text("analytics.all_values");
      if (low !== undefined && high !== undefined) text = words(low, measure) + " … " + words(high, measure);
      else if (high !== undefined) text = "< " + words(high, measure);
      else if (low !== undefined) text = "≥ " + words(low, measure);
      return { colour: colour, words: text };
    });
  }

  function Legend(props) {
    return h(
      "div",
      { className: "an-legend" },
      h("b", null, props.title),
      swatches(props.scale, props.measure, props.signed).map(function (one, at) {
        return h("span", { key: at }, h("i", { style: { background: one.colour } }), one.words);
      }),
      h("span", { key: "none" }, h("i", { className: "an-hatched" }), markaz.text("analytics.no_data")),
      props.signed
        ? null
        : h(
            "label",
            null,
            markaz.text("analytics.classes"),
            h(
              "select",
              { value: props.classes, "data-choose": "classes", onChange: function (event) { props.onClasses(event.target.value); } },
              ["quantiles", "natural"].map(function (name) { return h("option", { key: name, value: name }, markaz.text("analytics.classes." + name)); }),
            ),
          ),
    );
  }

  /* ---- the drawing ---- */

  function useSize(ref) {
    const size = React.useState([800, 600]);
    React.useLayoutEffect(function () {
      const watcher = new ResizeObserver(function (entries) {
        const box = entries[0].contentRect;
        if (box.width > 10 && box.height > 10) size[1]([box.width, box.height]);
      });
      watcher.observe(ref.current);
      return function () { watcher.disconnect(); };
    }, []);
    return size[0];
  }

  /* `values`: code → {value, before, rows}; `chosen`: codes; `onArea(code, more)`: a polygon was chosen, `more` with Ctrl or Shift. */
  function Choropleth(props) {
    const holder = React.useRef(null);
    const svg = React.useRef(null);
    const size = useSize(holder);
    const to = React.useMemo(function () { return ground.projection(props.bounds); }, [props.bounds.join()]);
    const districts = ground.usePolygons(props.kinds.indexOf("district") >= 0 ? "/geo/" + props.city + "/districts.geojson" : "", to);
    const mahallas = ground.usePolygons(props.kinds.indexOf("mahalla") >= 0 ? "/geo/" + props.city + "/mahallas.geojson" : "", to);
    const byMahalla = props.level === "mahalla" && mahallas.length > 0;
    const inside = props.within;
    const all = byMahalla ? mahallas : districts;
    const shapes = byMahalla && inside.length ? all.filter(function (one) { return inside.indexOf(one.district) >= 0; }) : all;
    const ratio = size[0] / size[1];
    const home = React.useMemo(
      function () {
        const shown = inside.length && districts.length ? districts.filter(function (one) { return inside.indexOf(one.code) >= 0; }) : districts;
        return ground.fitted(shown.length ? ground.around(shown) : [0, 0, ground.WIDTH, to.height], ratio);
      },
      [inside.join(), districts, ratio],
    );
    const moved = React.useState(null); // the view box after somebody moved it
    const over = React.useState(null);
    const drag = React.useRef(null);
    React.useEffect(function () { moved[1](null); }, [inside.join(), ratio]);
    const box = moved[0] || home;
    const unit = box[2] / size[0]; // drawing units a pixel
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;

    const zoom = function (factor, x, y) {
      moved[1](function (before) {
        const now = before || home;
        const width = Math.min(home[2] * 4, Math.max(ground.WIDTH * ZOOM_MIN, now[2] * factor));
        const real = width / now[2];
        const at = x === undefined ? [now[0] + now[2] / 2, now[1] + now[3] / 2] : [now[0] + (x / size[0]) * now[2], now[1] + (y / size[1]) * now[3]];
        return [at[0] - (at[0] - now[0]) * real, at[1] - (at[1] - now[1]) * real, width, now[3] * real];
      });
    };
    React.useEffect(
      function () {
        // React listens passively: the page would scroll with the map.
        const wheel = function (event) {
          event.preventDefault();
          const place = holder.current.getBoundingClientRect();
          zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * 0.002), event.clientX - place.left, event.clientY - place.top);
        };
        holder.current.addEventListener("wheel", wheel, { passive: false });
        return function () { holder.current && holder.current.removeEventListener("wheel", wheel); };
      },
      [home, size],
    );

    const down = function (event) { drag.current = { x: event.clientX, y: event.clientY, box: box, far: false }; };
    const move = function (event) {
      const begun = drag.current;
      if (!begun || !(event.buttons & 1)) return;
      const x = event.clientX - begun.x;
      const y = event.clientY - begun.y;
      if (!begun.far && Math.abs(x) + Math.abs(y) < CLICK_PX) return;
      begun.far = true;
      moved[1]([begun.box[0] - (x / size[0]) * begun.box[2], begun.box[1] - (y / size[1]) * begun.box[3], begun.box[2], begun.box[3]]);
    };
    const click = function (event, one) {
      if (drag.current && drag.current.far) return;
      props.onArea(one.code, event.ctrlKey || event.metaKey || event.shiftKey);
    };
    const keys = function (event) {
      if (event.target !== svg.current) return;
      if (event.key === "+" || event.key === "=") return zoom(0.7);
      if (event.key === "-") return zoom(1 / 0.7);
      const at = shapes.find(function (one) { return one.code === over[0]; }) || shapes.find(function (one) { return props.chosen.indexOf(one.code) >= 0; }) || shapes[0];
      if (!at) return undefined;
      if (event.key === "Enter" || event.key === " ") props.onArea(at.code, event.ctrlKey || event.shiftKey);
      else if (event.key.indexOf("Arrow") === 0) over[1](over[0] === null ? at.code : ground.neighbour(shapes, at, event.key).code);
      else return undefined;
      return event.preventDefault();
    };

    const paint = function (one) {
      const found = props.values[one.code];
      const value = found ? (props.signed ? found.difference : found.value) : null;
      return value === null || value === undefined ? "url(#an-hatch)" : props.scale.of(value);
    };
    const labels = (byMahalla ? (shapes.length <= LABELS_MAX ? shapes : []) : shapes)
      .slice()
      .sort(function (one, other) { return other.size - one.size; })
      .filter(function (one) { return Math.sqrt(one.size) / unit > 3.2 * rem; });
    const hovered = over[0] ? props.values[over[0]] : null;

    return h(
      "div",
      { className: "an-map", ref: holder },
      h(
        "svg",
        {
          ref: svg,
          viewBox: box.map(function (value) { return value.toFixed(3); }).join(" "),
          tabIndex: 0,
          role: "application",
          "aria-label": props.title,
          "data-export": "map",
          onPointerDown: down,
          onPointerMove: move,
          onPointerLeave: function () { over[1](null); },
          onKeyDown: keys,
        },
        h("defs", null, h("pattern", { id: "an-hatch", width: 8 * unit, height: 8 * unit, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, h("rect", { width: 8 * unit, height: 8 * unit, fill: "#111a23" }), h("line", { x1: 0, y1: 0, x2: 0, y2: 8 * unit, stroke: "#3a4b5b", strokeWidth: 2.4 * unit }))),
        byMahalla
          ? districts.map(function (one) { return h("path", { key: "d" + one.code, d: one.path, fill: !inside.length || inside.indexOf(one.code) >= 0 ? "url(#an-hatch)" : "#111a23", stroke: "#2b3f52", strokeWidth: 1 * unit, "data-beyond": one.code, onClick: function (event) { click(event, one); } }); })
          : null,
        shapes.map(function (one) {
          return h("path", {
            key: one.code,
            d: one.path,
            fill: paint(one),
            stroke: LINE,
            strokeWidth: (byMahalla ? 0.8 : 1.4) * unit,
            strokeLinejoin: "round",
            fillOpacity: props.chosen.length && props.chosen.indexOf(one.code) < 0 ? 0.45 : 1,
            "data-code": one.code,
            "data-value": props.values[one.code] ? props.values[one.code].value : undefined,
            style: { cursor: "pointer" },
            onPointerEnter: function () { over[1](one.code); },
            onClick: function (event) { click(event, one); },
          });
        }),
        byMahalla ? districts.map(function (one) { return h("path", { key: "o" + one.code, d: one.path, fill: "none", stroke: "#8496a8", strokeWidth: 1.3 * unit, pointerEvents: "none" }); }) : null,
        shapes
          .filter(function (one) { return props.chosen.indexOf(one.code) >= 0 || one.code === over[0]; })
          .map(function (one) {
            const chosen = props.chosen.indexOf(one.code) >= 0;
            return h("path", { key: "c" + one.code, d: one.path, fill: "none", stroke: chosen ? "#ffffff" : "#4fb3d9", strokeWidth: (chosen ? 2.6 : 2) * unit, pointerEvents: "none" });
          }),
        props.track.map(function (run, at) {
          return h("polyline", { key: "t" + at, "data-track": run.length, points: run.map(function (point) { return to.x(point[1]).toFixed(2) + "," + to.y(point[0]).toFixed(2); }).join(" "), fill: "none", stroke: "#f0c860", strokeWidth: 2.2 * unit, strokeLinejoin: "round", pointerEvents: "none" });
        }),
        labels.map(function (one) {
          const found = props.values[one.code];
          const value = found ? (props.signed ? analytics.words.signed(found.difference, props.measure) : analytics.words.bare(found.value, props.measure)) : "–";
          const font = (byMahalla ? 0.8 : 0.92) * rem * unit;
          const text = { x: one.centre[0], textAnchor: "middle", fill: "#ffffff", stroke: "#0b1117", strokeWidth: font * 0.22, paintOrder: "stroke", strokeLinejoin: "round", fontSize: font, fontFamily: "Inter, Segoe UI, Noto Sans, DejaVu Sans, sans-serif", pointerEvents: "none" };
          return h(
            "g",
            { key: "l" + one.code, pointerEvents: "none" },
            h("text", Object.assign({}, text, { y: one.centre[1] - font * 0.1 }), analytics.words.areaName(one.code)),
            h("text", Object.assign({}, text, { y: one.centre[1] + font * 1.05, fontWeight: 700 }), value),
          );
        }),
      ),
      h(
        "p",
        { className: "an-over", role: "status" },
        over[0]
          ? [
              h("b", { key: "name" }, analytics.words.areaName(over[0])),
              h("span", { key: "value" }, hovered ? analytics.words.full(hovered.value, props.measure) : markaz.text("analytics.no_data")),
              hovered && props.signed ? h("span", { key: "change" }, analytics.words.signed(hovered.difference, props.measure)) : null,
              hovered && hovered.rows ? h("small", { key: "rows" }, markaz.text("analytics.rows", { n: hovered.rows })) : null,
            ]
          : props.placed
            ? h("span", null, markaz.text(props.level === "district" ? "analytics.map.districts" : "analytics.map.mahallas"))
            : null,
      ),
      h(
        "div",
        { className: "an-zoom" },
        [["+", 0.7, "analytics.zoom_in"], ["−", 1 / 0.7, "analytics.zoom_out"]].map(function (one) {
          return h("button", { key: one[0], type: "button", title: markaz.text(one[2]), "aria-label": markaz.text(one[2]), onClick: function () { zoom(one[1]); } }, one[0]);
        }),
        h("button", { type: "button", title: markaz.text("analytics.zoom_home"), "aria-label": markaz.text("analytics.zoom_home"), onClick: function () { moved[1](null); } }, "⌂"),
      ),
      props.placed ? h(Legend, { title: props.legend, scale: props.scale, measure: props.measure, signed: props.signed, classes: props.classes, onClasses: props.onClasses }) : h("p", { className: "an-unplaced" }, markaz.text("analytics.unplaced")),
    );
  }

  analytics.Choropleth = Choropleth;
  analytics.swatches = swatches;
})();
