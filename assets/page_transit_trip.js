/* The travel time between two stops of a line: which two, how long, and how that changes by the hour. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };
  const words = function () { return transit.words; };

  /* The places of the two stops in the line, as it may come to a stop twice: those of the link, else its ends. */
  function places(view, stops) {
    const end = stops.length - 1;
    const from = view.fromPlace === null || view.fromPlace >= end ? 0 : view.fromPlace;
    return { from: from, to: view.toPlace === null || view.toPlace <= from || view.toPlace > end ? end : view.toPlace };
  }

  /* What a question about the two says beside its view. */
  function asked(view, stops) {
    const at = places(view, stops);
    return stops.length > 1 ? { from_place: at.from, to_place: at.to } : null;
  }

  function Choose(props) {
    const ctx = props.ctx;
    const at = places(ctx.view, ctx.stops);
    // Ends of the line are not written into the link: they are what it means without them.
    const choose = function (next) {
      ctx.onChange({ fromPlace: next.from || null, toPlace: next.to < ctx.stops.length - 1 ? next.to : null });
    };
    const select = function (name, first, last, value, onChoose) {
      return h(
        "label",
        { key: name, className: "an-field" },
        h("span", null, words().text("transit.trip." + name)),
        h(
          "select",
          { value: value, "data-choose": "trip_" + name, onChange: function (event) { onChoose(Number(event.target.value)); } },
          ctx.stops.map(function (stop, place) { return place < first || place > last ? null : h("option", { key: place, value: place }, place + 1 + " " + (stop.stop_name || stop.stop_id)); }),
        ),
      );
    };
    const end = ctx.stops.length - 1;
    return h(
      "div",
      { className: "tr-trip" },
      select("from", 0, end - 1, at.from, function (from) { choose({ from: from, to: at.to > from ? at.to : end }); }),
      select("to", at.from + 1, end, at.to, function (to) { choose({ from: at.from, to: to }); }),
    );
  }

  function times(row) {
    return { lo: words().minutes(row.p10_s), mid: words().minutes(row.p50_s), hi: words().minutes(row.p90_s), n: row.count };
  }

  function body(ctx) {
    const t = words().text;
    const all = words().rows(ctx.parts.trip)[0];
    const found = words().rows(ctx.parts.trip_hours).filter(function (row) { return row.count; });
    const bars = found.map(function (row) { return { x: row.hour, lo: row.p10_s / 60, mid: row.p50_s / 60, hi: row.p90_s / 60, said: words().minutes(row.p50_s, 0), hint: words().hour(row.hour) + "\n" + t("transit.hint.range", times(row)) }; });
    return h(
      React.Fragment,
      null,
      h(Choose, { ctx: ctx }),
      all && all.count ? h("p", { className: "tr-trip-says", "data-trip": true }, h("b", null, t("transit.trip.median", times(all))), " ", t("transit.trip.range", times(all))) : transit.figure.empty(),
      bars.length ? h(transit.charts.Upright, { name: "trip", label: t("transit.trip"), bars: bars, axis: t("transit.axis.hour_minutes") }) : null,
    );
  }

  transit.trip = { asked: asked, body: body };
})();
