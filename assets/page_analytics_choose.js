/* What the person chooses: time, place, feed and measure, what to compare with; and a chip for each filter. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const PRESETS = ["hour", "today", "yesterday", "week"];
  const COMPARISONS = ["none", "previous", "day", "week"];

  function Select(props) {
    return h(
      "label",
      { className: "an-field" },
      h("span", null, props.label),
      h(
        "select",
        { value: props.value, "data-choose": props.name, disabled: props.disabled, onChange: function (event) { props.onChange(event.target.value); } },
        props.options.map(function (option) { return h("option", { key: option[0], value: option[0] }, option[1]); }),
      ),
    );
  }

  /* A moment on the city's clock; it counts when the field is left or Enter is pressed. */
  function Moment(props) {
    const zone = markaz.settings().timezone;
    const shown = analytics.clock.wall(props.value, zone).slice(0, 16);
    const draft = React.useState(null);
    const leave = function () {
      const ms = draft[0] ? analytics.clock.unwall(draft[0] + ":00", zone) : NaN;
      draft[1](null);
      if (!Number.isNaN(ms) && ms !== props.value) props.onChange(ms);
    };
    return h(
      "label",
      { className: "an-field" },
      h("span", null, props.label),
      h("input", {
        type: "datetime-local",
        value: draft[0] === null ? shown : draft[0],
        "data-choose": props.name,
        onChange: function (event) { draft[1](event.target.value); },
        onBlur: leave,
        onKeyDown: function (event) { if (event.key === "Enter") leave(); },
      }),
    );
  }

  function same(view, span) {
    return Math.abs(view.from - span.from) < 60000 && Math.abs(view.to - span.to) < 60000;
  }

  function Span(props) {
    const view = props.view;
    const presets = analytics.presets(markaz.now(), markaz.settings().timezone);
    const choose = function (span) { props.onChange({ from: span.from, to: span.to, part_from: null, part_to: null, at: null, compare_from: null }); };
    return h(
      React.Fragment,
      null,
      h(
        "div",
        { className: "segmented an-presets", role: "group", "aria-label": markaz.text("analytics.span") },
        PRESETS.map(function (name) {
          const on = same(view, presets[name]);
          return h("button", { key: name, type: "button", className: on ? "on" : "", "aria-pressed": on, "data-span": name, onClick: function () { choose(presets[name]); } }, markaz.text("analytics.span." + name));
        }),
      ),
      h(Moment, { name: "from", label: markaz.text("analytics.from"), value: view.from, onChange: function (ms) { choose({ from: ms, to: ms < view.to ? view.to : ms + (view.to - view.from) }); } }),
      h(Moment, { name: "to", label: markaz.text("analytics.to"), value: view.to, onChange: function (ms) { choose({ from: view.from < ms ? view.from : ms - (view.to - view.from), to: ms }); } }),
    );
  }

  function comparedWith(view) {
    if (view.compare_from === null) return "none";
    const found = COMPARISONS.slice(1).find(function (name) { return analytics.comparison(view, name) === view.compare_from; });
    return found || "own";
  }

  function Compare(props) {
    const view = props.view;
    const chosen = comparedWith(view);
    const own = React.useState(false);
    const options = COMPARISONS.concat(["own"]).map(function (name) { return [name, markaz.text("analytics.compare." + name)]; });
    return h(
      React.Fragment,
      null,
      h(Select, {
        name: "compare",
        label: markaz.text("analytics.compare"),
        value: own[0] && chosen !== "none" ? "own" : chosen,
        options: options,
        onChange: function (name) {
          own[1](name === "own");
          props.onChange({ compare_from: name === "own" ? (view.compare_from === null ? analytics.comparison(view, "previous") : view.compare_from) : analytics.comparison(view, name) });
        },
      }),
      chosen === "own" || (own[0] && chosen !== "none") ? h(Moment, { name: "compare_from", label: markaz.text("analytics.compare_from"), value: view.compare_from, onChange: function (ms) { props.onChange({ compare_from: ms }); } }) : null,
    );
  }

  /* City › district › mahalla, each with what it can be changed to. */
  function Place(props) {
    const view = props.view;
    const names = markaz.areaNames || {};
    const codes = Object.keys(names);
    const named = function (some) {
      return some.map(function (code) { return [code, names[code]]; }).sort(function (one, other) { return one[1].localeCompare(other[1]); });
    };
    const has = function (dimension) { return props.feed.by.indexOf(dimension) >= 0 && props.kinds.indexOf(dimension) >= 0; };
    // A mahalla's code begins with its district's.
    const districts = codes.filter(function (code) { return props.districts.indexOf(code) >= 0; });
    const mahallas = codes.filter(function (code) {
      return props.districts.indexOf(code) < 0 && view.district.some(function (district) { return props.parents[code] === district; });
    });
    const crumb = function (name, list, all) {
      const value = view[name].length === 1 ? view[name][0] : view[name].length ? "*" : "";
      const options = [["", all]].concat(view[name].length > 1 ? [["*", markaz.text("analytics.several", { n: view[name].length })]] : [], named(list));
      return h(
        "span",
        { className: "an-crumb" },
        h(
          "select",
          {
            value: value,
            "aria-label": analytics.words.named("analytics.by.", name),
            "data-choose": name,
            onChange: function (event) {
              const chosen = event.target.value ? [event.target.value] : [];
              props.onChange(name === "district" ? { district: chosen, mahalla: [], level: chosen.length && has("mahalla") ? "mahalla" : "district" } : { mahalla: chosen });
            },
          },
          options.map(function (option) { return h("option", { key: option[0], value: option[0], disabled: option[0] === "*" }, option[1]); }),
        ),
      );
    };
    return h(
      "nav",
      { className: "an-crumbs", "aria-label": markaz.text("analytics.place") },
      h("button", { type: "button", className: view.district.length || view.mahalla.length ? "" : "on", "data-crumb": "city", onClick: function () { props.onChange({ district: [], mahalla: [], vehicle: [], level: "district" }); } }, props.cityName),
      has("district") ? h("i", { "aria-hidden": true }, "›") : null,
      has("district") ? crumb("district", districts, markaz.text("analytics.all_districts")) : null,
      has("mahalla") && view.district.length ? h("i", { "aria-hidden": true }, "›") : null,
      has("mahalla") && view.district.length ? crumb("mahalla", mahallas, markaz.text("analytics.all_mahallas")) : null,
      view.vehicle.length ? h("i", { "aria-hidden": true }, "›") : null,
      view.vehicle.length ? h("b", null, view.vehicle.length === 1 ? view.vehicle[0] : markaz.text("analytics.several", { n: view.vehicle.length })) : null,
      has("mahalla")
        ? h(
            "div",
            { className: "segmented an-level", role: "group" },
            ["district", "mahalla"].map(function (level) {
              return h("button", { key: level, type: "button", className: level === view.level ? "on" : "", "aria-pressed": level === view.level, "data-level": level, onClick: function () { props.onChange({ level: level }); } }, markaz.text("analytics.level." + level));
            }),
          )
        : null,
    );
  }

  /* A route, a vehicle … by its name; those known are proposed. */
  function Filter(props) {
    const able = props.feed.filters.filter(function (name) { return name !== "district" && name !== "mahalla"; });
    const chosen = React.useState(able[0]);
    const name = able.indexOf(chosen[0]) >= 0 ? chosen[0] : able[0];
    const draft = React.useState("");
    if (!able.length) return null;
    const add = function (event) {
      event.preventDefault();
      const values = draft[0].split(",").map(function (one) { return one.trim(); }).filter(Boolean);
      draft[1]("");
      if (values.length) props.onChange({ [name]: Array.from(new Set(props.view[name].concat(values))).sort() });
    };
    const proposals = name === "route" ? props.routes : name === props.view.by ? props.seen : [];
    return h(
      "form",
      { className: "an-filter", onSubmit: add },
      h(Select, { name: "filter", label: markaz.text("analytics.filter"), value: name, options: able.map(function (one) { return [one, analytics.words.named("analytics.by.", one)]; }), onChange: chosen[1] }),
      h("input", { type: "text", list: "an-proposals", maxLength: 400, value: draft[0], "data-choose": "filter_value", "aria-label": analytics.words.named("analytics.by.", name), placeholder: markaz.text("analytics.filter_hint"), onChange: function (event) { draft[1](event.target.value); } }),
      h("datalist", { id: "an-proposals" }, proposals.map(function (one) { return h("option", { key: one, value: one }); })),
      h("button", { type: "submit", className: "button", disabled: !draft[0].trim() }, markaz.text("analytics.filter_add")),
    );
  }

  /* ---- chips ---- */

  function Chip(props) {
    return h(
      "span",
      { className: "an-chip", "data-chip": props.name },
      h("span", null, props.words),
      h("button", { type: "button", "aria-label": markaz.text("analytics.remove", { what: props.words }), title: markaz.text("analytics.remove", { what: props.words }), onClick: props.onRemove }, "×"),
    );
  }

  function Chips(props) {
    const view = props.view;
    const chips = [];
    if (view.part_from !== null) {
      chips.push(h(Chip, { key: "part", name: "part", words: analytics.words.period(view.part_from, view.part_to), onRemove: function () { props.onChange({ part_from: null, part_to: null }); } }));
    }
    analytics.LISTS.forEach(function (name) {
      view[name].forEach(function (value) {
        chips.push(
          h(Chip, {
            key: name + value,
            name: name,
            words: analytics.words.named("analytics.by.", name) + ": " + analytics.words.valueName(name, value),
            onRemove: function () {
              const left = view[name].filter(function (one) { return one !== value; });
              const change = { [name]: left };
              if (name === "district") change.mahalla = view.mahalla.filter(function (code) { return left.indexOf(props.parents[code]) >= 0; });
              if (name === "district" && !left.length) change.level = "district";
              props.onChange(change);
            },
          }),
        );
      });
    });
    Object.keys(analytics.CLOCK).forEach(function (name) {
      if (!view[name].length) return;
      chips.push(h(Chip, { key: name, name: name, words: markaz.text("analytics." + name) + ": " + analytics.words.onClock(view, name), onRemove: function () { props.onChange({ [name]: [] }); } }));
    });
    const within = analytics.words.within(view, props.measure);
    if (within) chips.push(h(Chip, { key: "value", name: "value", words: analytics.words.measureName(view) + ": " + within, onRemove: function () { props.onChange({ value_min: null, value_max: null }); } }));
    if (view.compare_from !== null) {
      const words = markaz.text("analytics.compared_with", { period: analytics.words.period(view.compare_from, view.compare_from + view.to - view.from) });
      chips.push(h(Chip, { key: "compare", name: "compare", words: words, onRemove: function () { props.onChange({ compare_from: null }); } }));
    }
    if (chips.length > 1) {
      const none = { part_from: null, part_to: null, compare_from: null, value_min: null, value_max: null, level: "district" };
      analytics.LISTS.concat(Object.keys(analytics.CLOCK)).forEach(function (name) { none[name] = []; });
      chips.push(h("button", { key: "all", type: "button", className: "an-clear", onClick: function () { props.onChange(none); } }, markaz.text("analytics.clear")));
    }
    return h("div", { className: "an-chips" }, chips.length ? chips : h("span", { className: "an-nothing" }, markaz.text("analytics.no_filter")));
  }

  analytics.choose = { Select: Select, Span: Span, Compare: Compare, Place: Place, Filter: Filter, Chips: Chips };
})();
