/* The page of the alarm load: the standard's measures beside what is recommended, and the alarms that ask most.
 *
 * It asks the API for a span and again every ten seconds; what is shown stays until the next answer is there.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const SPANS = ["hour", "shift", "day", "week", "month"];
  const PRIORITIES = ["critical", "high", "medium", "low"];
  const EVERY_MS = 10000;
  const BARS_MAX = 168;
  const LIMIT = 10;
  const SIGNS = { met: "✔", manageable: "◆", not_met: "▲", too_few: "–" };
  const STALE_SHOWN = 8;

  /* ---- words ---- */

  function figure(measure, value) {
    if (measure.unit === "ratio") return markaz.number(value * 100, value > 0 && value < 0.0995 ? 1 : 0) + "\u00a0%";
    return markaz.number(value, Number.isInteger(value) || value >= 100 ? 0 : 1);
  }

  function recommendedText(measure) {
    const value = measure.unit === "ratio" ? markaz.number(measure.recommended * 100, 0) + "\u00a0%" : markaz.number(measure.recommended, 0);
    if (measure.name === "low") return markaz.text("alarm_load.least", { value: value });
    if (measure.recommended === 0) return markaz.text("alarm_load.none");
    if (measure.manageable !== null) return markaz.text("alarm_load.manageable", { value: value, more: markaz.number(measure.manageable, 0) });
    return markaz.text("alarm_load.most", { value: value });
  }

  function sourceName(source) {
    if (source.kind === "route") return markaz.text("route", { route: source.id });
    if (source.kind === "area") return markaz.operate.areaName(source.id);
    return markaz.operate.sourceOf({ source_kind: source.kind, source_id: source.id });
  }

  function alarmName(one) {
    return [h("b", { key: "rule" }, markaz.text("rule." + one.rule)), h("span", { key: "source" }, sourceName(one.source))];
  }

  function proposalText(proposal) {
    if (!proposal) return markaz.text("alarm_load.no_proposal");
    const values = {};
    Object.keys(proposal.values).forEach(function (name) {
      const value = proposal.values[name];
      values[name] = markaz.number(value, value >= 10 || Number.isInteger(Number(value.toFixed(1))) ? 0 : 1);
    });
    return markaz.text(proposal.reason, values);
  }

  /* ---- parts ---- */

  /* The bars of a span: where there are more windows than bars, each shows the most of a few. */
  function barsOf(windows) {
    const each = Math.max(1, Math.ceil(windows.announced.length / BARS_MAX));
    const bars = [];
    // From the end, so that the present window is always in the last bar.
    for (let end = windows.announced.length; end > 0; end -= each) {
      const from = Math.max(0, end - each);
      bars.unshift({ at: Date.parse(windows.since_at) + from * windows.every_s * 1000, most: Math.max.apply(null, windows.announced.slice(from, end)) });
    }
    return { each: each, bars: bars };
  }

  function Strip(props) {
    const found = barsOf(props.windows);
    const most = found.bars.reduce(function (so, bar) { return Math.max(so, bar.most); }, 0);
    const top = Math.max(LIMIT * 1.25, most * 1.08);
    const width = 1000 / found.bars.length;
    const marks = [0, 1, 2, 3, 4].map(function (quarter) {
      return found.bars[Math.min(found.bars.length - 1, Math.round((quarter * (found.bars.length - 1)) / 4))];
    });
    return h(
      "section",
      { className: "strip" },
      h("h2", null, found.each === 1 ? markaz.text("alarm_load.windows") : markaz.text("alarm_load.windows_most", { n: found.each })),
      h(
        "div",
        { className: "strip-plot" },
        h(
          "svg",
          { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": true },
          found.bars.map(function (bar, index) {
            const height = (100 * bar.most) / top;
            return h("rect", {
              key: bar.at,
              className: bar.most > LIMIT ? "over" : "",
              x: index * width + width * 0.1,
              y: 100 - height,
              width: width * 0.8,
              height: height,
            });
          }),
          h("line", { x1: 0, x2: 1000, y1: 100 - (100 * LIMIT) / top, y2: 100 - (100 * LIMIT) / top, vectorEffect: "non-scaling-stroke" }),
        ),
        h("span", { className: "strip-limit", style: { bottom: (100 * LIMIT) / top + "%" } }, markaz.text("alarm_load.limit", { n: LIMIT })),
        most > LIMIT * 1.4 ? h("span", { className: "strip-most", style: { bottom: (100 * most) / top + "%" } }, markaz.number(most, 0)) : null,
      ),
      h(
        "div",
        { className: "strip-times" },
        marks.map(function (bar, index) { return h("time", { key: index }, markaz.moment(bar.at)); }),
      ),
    );
  }

  function State(props) {
    return h("span", { className: "load-state load-" + props.state }, h("i", { "aria-hidden": true }, SIGNS[props.state]), markaz.text("alarm_load.state." + props.state));
  }

  function Measures(props) {
    const row = function (measure) {
      return h(
        "tr",
        { key: measure.name, "data-measure": measure.name, "data-state": measure.state },
        h("th", { scope: "row" }, markaz.text("alarm_load.m." + measure.name)),
        h("td", { className: "n" }, figure(measure, measure.value)),
        h("td", { className: "recommended" }, recommendedText(measure)),
        h("td", null, h(State, { state: measure.state })),
      );
    };
    const isPriority = function (measure) { return PRIORITIES.indexOf(measure.name) >= 0; };
    return h(
      "section",
      { className: "measures" },
      h("h2", null, markaz.text("alarm_load.measures")),
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["measure", "value", "recommended"].map(function (name) { return h("th", { key: name, scope: "col" }, markaz.text("alarm_load." + name)); }),
            h("th", null),
          ),
        ),
        h("tbody", null, props.measures.filter(function (one) { return !isPriority(one); }).map(row)),
        h("tbody", null, h("tr", { className: "between" }, h("th", { colSpan: 4, scope: "colgroup" }, markaz.text("alarm_load.priorities"))), props.measures.filter(isPriority).map(row)),
      ),
    );
  }

  /* Each bar is an alarm's share; the mark says how far all down to here come together. */
  function Pareto(props) {
    return h(
      "section",
      { className: "pareto" },
      h("h2", null, markaz.text("alarm_load.top")),
      props.top.length === 0 ? h("p", { className: "empty" }, markaz.text("alarm_load.quiet")) : null,
      props.top.length
        ? h(
            "table",
            null,
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                h("th", null),
                ["alarm", "times", "share"].map(function (name) { return h("th", { key: name, scope: "col" }, markaz.text("alarm_load.top." + name)); }),
              ),
            ),
            h(
              "tbody",
              null,
              props.top.map(function (one, index) {
                return h(
                  "tr",
                  { key: one.alarm, "data-alarm": one.alarm },
                  h("td", { className: "rank" }, markaz.number(index + 1, 0)),
                  h("td", null, h("div", { className: "pareto-alarm" }, alarmName(one)), h("div", { className: "proposal" + (one.proposal ? "" : " nothing") }, proposalText(one.proposal))),
                  h("td", { className: "n" }, markaz.number(one.announced, 0)),
                  h(
                    "td",
                    null,
                    h("div", { className: "share" }, h("i", { style: { width: 100 * one.share + "%" } }), h("u", { style: { left: 100 * one.up_to_share + "%" } })),
                    h("div", { className: "share-words" }, h("span", null, figure({ unit: "ratio" }, one.share)), h("span", null, figure({ unit: "ratio" }, one.up_to_share))),
                  ),
                );
              }),
            ),
          )
        : null,
    );
  }

  function Stale(props) {
    const hidden = props.total - Math.min(STALE_SHOWN, props.stale.length);
    return h(
      "section",
      { className: "load-stale" },
      h("h2", null, markaz.text("alarm_load.stale"), h("span", { className: "count" }, markaz.number(props.total, 0))),
      props.total === 0 ? h("p", { className: "empty" }, markaz.text("alarm_load.stale_none")) : null,
      h(
        "ol",
        null,
        props.stale.slice(0, STALE_SHOWN).map(function (one) {
          return h("li", { key: one.alarm }, h("div", { className: "pareto-alarm" }, alarmName(one)), h("time", null, markaz.moment(Date.parse(one.since_at))));
        }),
      ),
      hidden > 0 && props.total ? h("p", { className: "more" }, markaz.text("shift.more", { n: hidden })) : null,
    );
  }

  function Number_(props) {
    return h("span", null, h("b", null, props.value), " ", props.words);
  }

  function Head(props) {
    const told = props.told;
    return h(
      "header",
      { className: "load-head" },
      h(
        "div",
        { className: "segmented load-spans", role: "group", "aria-label": markaz.text("alarm_load.span") },
        SPANS.map(function (span) {
          return h(
            "button",
            { key: span, type: "button", className: span === props.span ? "on" : "", "aria-pressed": span === props.span, "data-span": span, onClick: function () { props.onSpan(span); } },
            markaz.text("alarm_load.span." + span),
          );
        }),
      ),
      told
        ? h(
            "div",
            { className: "load-numbers" },
            h("span", { className: told.in_flood ? "flood" : "calm" }, h("i", { "aria-hidden": true }, told.in_flood ? "▲ " : "● "), markaz.text(told.in_flood ? "alarm_load.in_flood" : "alarm_load.no_flood")),
            h(Number_, { value: markaz.number(told.announced, 0), words: markaz.text("alarm_load.announced") + " " + markaz.text("alarm_load.since", { at: markaz.moment(Date.parse(told.since_at)) }) }),
            h(Number_, { value: markaz.number(told.last_hour, 0), words: markaz.text("alarm_load.last_hour") }),
            h(Number_, { value: markaz.number(told.last_10min, 0), words: markaz.text("alarm_load.last_10min") }),
            h(Number_, { value: markaz.number(told.flood_s / 60, 0), words: markaz.text("alarm_load.flood_min") }),
          )
        : null,
    );
  }

  function AlarmLoad() {
    const span = React.useState(markaz.memory.get("load.span") || "day");
    const state = React.useState({ span: "", told: null, away: "" });
    markaz.useFrame("summary"); // the words come with the first frames
    React.useEffect(
      function () {
        let wanted = true;
        let timer = 0;
        const ask = function () {
          fetch("/api/v1/alarm-load?span=" + span[0], { cache: "no-store" })
            .then(function (answer) {
              return answer.json().then(function (told) {
                if (!wanted) return;
                if (answer.ok) state[1]({ span: span[0], told: told, away: "" });
                else state[1](function (before) { return Object.assign({}, before, { away: answer.status === 503 ? "alarm_load.reading" : "shift.away" }); });
              });
            })
            .catch(function () {
              if (wanted) state[1](function (before) { return Object.assign({}, before, { away: "shift.away" }); });
            })
            .finally(function () {
              if (wanted) timer = setTimeout(ask, EVERY_MS);
            });
        };
        ask();
        return function () {
          wanted = false;
          clearTimeout(timer);
        };
      },
      [span[0]],
    );
    const told = state[0].told;
    const choose = function (next) {
      markaz.memory.set("load.span", next);
      span[1](next);
    };
    return h(
      "div",
      { className: "load" + (state[0].span === span[0] ? "" : " waiting") },
      h(Head, { told: told, span: span[0], onSpan: choose }),
      state[0].away ? h("p", { className: "load-away", role: "status" }, markaz.text(state[0].away)) : null,
      told ? h(Strip, { windows: told.windows }) : null,
      told
        ? h(
            "div",
            { className: "load-columns" },
            h(Measures, { measures: told.measures }),
            h(Pareto, { top: told.top }),
            h(Stale, { stale: told.stale, total: told.stale_total }),
          )
        : null,
    );
  }

  Object.assign(window.markaz_live, { AlarmLoad: AlarmLoad });
})();
