/* What the page shows beside the map: tiles, alarms, feeds, banner, clock, live values of a selection. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const PRIORITIES = ["critical", "high", "medium", "low"];

  /* ---- tiles ---- */

  function digitsOf(name) {
    return name === "fuel_l_per_100km" || name === "mean_speed_kmh" ? 1 : 0;
  }

  function shown(kpi, value) {
    if (value === null || value === undefined) return "–";
    if (kpi.unit === "ratio") return markaz.number(value * 100, 0);
    return markaz.number(value, digitsOf(kpi.name));
  }

  function Spark(props) {
    const points = props.points;
    const known = points.filter(function (value) {
      return value !== null;
    });
    if (known.length < 2) return h("svg", { className: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none" });
    const low = Math.min.apply(null, known);
    const high = Math.max.apply(null, known);
    const span = high - low || 1;
    const runs = [[]];
    points.forEach(function (value, index) {
      if (value === null) {
        if (runs[runs.length - 1].length) runs.push([]);
        return;
      }
      const x = (100 * index) / (points.length - 1);
      const y = high === low ? 12 : 22 - (20 * (value - low)) / span;
      runs[runs.length - 1].push(x.toFixed(1) + "," + y.toFixed(1));
    });
    return h(
      "svg",
      { className: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": true },
      runs
        .filter(function (run) {
          return run.length > 1;
        })
        .map(function (run, index) {
          return h("polyline", { key: index, points: run.join(" "), vectorEffect: "non-scaling-stroke" });
        }),
    );
  }

  function trend(kpi) {
    if (kpi.value === null || kpi.hour_ago === null || kpi.hour_ago === undefined) {
      return { arrow: "", words: markaz.text("trend.none") };
    }
    const delta = kpi.value - kpi.hour_ago;
    const scaled = kpi.unit === "ratio" ? delta * 100 : delta;
    const digits = kpi.unit === "ratio" ? 0 : digitsOf(kpi.name);
    const rounded = Number(scaled.toFixed(digits));
    const arrow = rounded > 0 ? "▲" : rounded < 0 ? "▼" : "■";
    const sign = rounded > 0 ? "+" : rounded < 0 ? "−" : "±";
    return { arrow: arrow, words: sign + markaz.number(Math.abs(rounded), digits) + " " + markaz.text("trend.hour") };
  }

  function detail(kpi) {
    const same = kpi.name === "vehicles_in_service" || kpi.name === "cameras_online";
    if (same && kpi.of !== null && kpi.of !== undefined) return " / " + markaz.number(kpi.of, 0);
    return "";
  }

  function priorities(kpi) {
    if (!kpi.by) return null;
    return h(
      "span",
      { className: "tile-by" },
      PRIORITIES.filter(function (name) {
        return kpi.by[name];
      }).map(function (name) {
        return h("span", { key: name, className: "by by-" + name, title: markaz.text("priority." + name) }, h(Sign, { priority: name }), markaz.number(kpi.by[name], 0));
      }),
    );
  }

  function Tile(props) {
    const kpi = props.kpi;
    const now = trend(kpi);
    const late = kpi.age_s !== null && kpi.age_s > props.staleAfter;
    return h(
      "div",
      { className: "tile" + (late ? " tile-late" : ""), "data-kpi": kpi.name },
      h("div", { className: "tile-name" }, markaz.text("kpi." + kpi.name)),
      h(
        "div",
        { className: "tile-value" },
        h("span", { className: "tile-number" }, shown(kpi, kpi.value), h("small", null, detail(kpi))),
        detail(kpi) ? null : h("span", { className: "tile-unit" }, markaz.text("unit." + kpi.unit)),
        priorities(kpi),
      ),
      h(Spark, { points: kpi.spark || [] }),
      h(
        "div",
        { className: "tile-foot" },
        h("span", { className: "tile-trend" }, h("i", null, now.arrow), " ", now.words),
        kpi.target !== null && kpi.target !== undefined
          ? h("span", { className: "tile-target" }, markaz.text("tile.target", { value: shown(kpi, kpi.target) }))
          : null,
        h("span", { className: "tile-age" + (late ? " late" : "") }, kpi.age_s === null ? "–" : markaz.age(kpi.age_s)),
      ),
    );
  }

  function Tiles() {
    const summary = markaz.useFrame("summary");
    markaz.useBeat();
    const kpis = summary ? summary.kpis : [];
    const since = summary ? Math.max(0, (markaz.now() - summary.at) / 1000) : 0;
    return h(
      "div",
      { className: "tiles greyable", role: "list" },
      kpis.map(function (kpi) {
        const aged = Object.assign({}, kpi, { age_s: kpi.age_s === null ? null : kpi.age_s + Math.floor(since) });
        return h(Tile, { key: kpi.name, kpi: aged, staleAfter: markaz.settings().kpi_stale_after_s });
      }),
    );
  }

  /* ---- alarms ---- */

  /* Priority by shape and number as well as colour (ISA-101, EEMUA 191). */
  function Sign(props) {
    const shapes = {
      critical: h("path", { d: "M8 0 L16 8 L8 16 L0 8 Z" }),
      high: h("path", { d: "M8 1 L16 15 L0 15 Z" }),
      medium: h("rect", { x: 1.5, y: 1.5, width: 13, height: 13 }),
      low: h("circle", { cx: 8, cy: 8, r: 7 }),
    };
    return h(
      "svg",
      { className: "sign sign-" + props.priority, viewBox: "0 0 16 16", role: "img", "aria-label": markaz.text("priority." + props.priority) },
      shapes[props.priority],
      h("text", { x: 8, y: props.priority === "high" ? 13.2 : 11.6, textAnchor: "middle" }, PRIORITIES.indexOf(props.priority) + 1),
    );
  }

  /* A kind without a translation is shown as the camera said it. */
  function kindText(kind) {
    const words = markaz.text("kind." + kind);
    return words === "kind." + kind ? kind : words;
  }

  function alarmText(alarm) {
    const values = Object.assign({}, alarm.values);
    if (values.kind !== undefined) values.kind = kindText(values.kind) + (values.count === undefined ? "" : " (" + markaz.text("camera.people", { n: values.count }) + ")");
    return markaz.text("alarm." + alarm.rule, values);
  }

  function placeOf(alarm) {
    const names = markaz.areaNames || {};
    const parts = [];
    if (alarm.district) parts.push(names[alarm.district] || alarm.district);
    if (alarm.mahalla) parts.push(names[alarm.mahalla] || alarm.mahalla);
    return parts.join(" · ");
  }

  function sourceOf(alarm) {
    const route = alarm.route ? " · " + markaz.text("route", { route: alarm.route }) : "";
    if (alarm.source_kind === "feed") return markaz.text("feed." + alarm.source_id);
    if (alarm.source_kind === "store") return markaz.text("store." + alarm.source_id);
    return alarm.source_id + route;
  }

  /* One stop for the tab key; arrows go up and down the list. */
  function walk(event, choose) {
    const row = event.currentTarget;
    const next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
    if (event.key === "Enter" || event.key === " ") choose();
    else if (next) next.focus();
    else return;
    event.preventDefault();
  }

  function Alarm(props) {
    const alarm = props.alarm;
    const choose = function () {
      if (markaz.select) markaz.select(alarm.source_kind, alarm.source_id, true);
    };
    return h(
      "li",
      {
        className: "alarm alarm-" + alarm.priority,
        "data-alarm": alarm.id,
        "data-rule": alarm.rule,
        role: "button",
        tabIndex: props.first ? 0 : -1,
        onClick: choose,
        onKeyDown: function (event) {
          walk(event, choose);
        },
      },
      h(Sign, { priority: alarm.priority }),
      h(
        "div",
        { className: "alarm-words" },
        h("div", { className: "alarm-title" }, h("b", null, markaz.text("rule." + alarm.rule)), h("span", null, sourceOf(alarm))),
        h("div", { className: "alarm-text" }, alarmText(alarm)),
        h("div", { className: "alarm-place" }, placeOf(alarm)),
      ),
      h("div", { className: "alarm-time" }, h("b", null, markaz.moment(alarm.raised_ms)), h("span", null, markaz.age((markaz.now() - alarm.raised_ms) / 1000))),
    );
  }

  function Alarms(props) {
    const frame = markaz.useFrame("alarms");
    markaz.useBeat();
    const alarms = frame ? frame.alarms : [];
    const list = props.limit ? alarms.slice(0, props.limit) : alarms;
    const hidden = frame ? frame.total - list.length : 0;
    return h(
      "section",
      { className: "alarms greyable", "aria-label": markaz.text("alarms") },
      h("h2", null, markaz.text("alarms"), h("span", { className: "count" }, frame ? markaz.number(frame.total, 0) : "–")),
      frame && alarms.length === 0 ? h("p", { className: "empty" }, markaz.text("alarms.none")) : null,
      h(
        "ol",
        null,
        list.map(function (alarm, index) {
          return h(Alarm, { key: alarm.id, alarm: alarm, first: index === 0 });
        }),
      ),
      hidden > 0 ? h("p", { className: "more" }, markaz.text("alarms.more", { n: hidden })) : null,
    );
  }

  /* ---- feeds ---- */

  const RECENT_MS = 600000;
  const rejectsThen = {}; // by feed: what was rejected at first sight and at most ten minutes ago

  function rejectedLately(feed, at) {
    const looks = (rejectsThen[feed.feed] = rejectsThen[feed.feed] || []);
    if (!looks.length || at - looks[looks.length - 1][0] > 10000) looks.push([at, feed.rejected_total]);
    while (looks.length > 1 && at - looks[1][0] >= RECENT_MS) looks.shift();
    return feed.rejected_total > looks[0][1];
  }

  function Feeds() {
    const summary = markaz.useFrame("summary");
    markaz.useBeat();
    const since = summary ? Math.max(0, (markaz.now() - summary.at) / 1000) : 0;
    return h(
      "div",
      { className: "feeds greyable", "aria-label": markaz.text("feeds") },
      (summary ? summary.feeds : []).map(function (feed) {
        const age = feed.age_s === null ? null : feed.age_s + Math.floor(since);
        const late = age === null || (feed.late_after_s !== null && age > feed.late_after_s);
        const reasons = Object.keys(feed.rejected)
          .map(function (reason) {
            return markaz.text("reject." + reason) + " " + markaz.number(feed.rejected[reason], 0);
          })
          .join(", ");
        return h(
          "button",
          {
            key: feed.feed,
            type: "button",
            className: "feed" + (late ? " late" : ""),
            "data-feed": feed.feed,
            title: reasons,
            onClick: function () {
              if (markaz.select) markaz.select("feed", feed.feed, false);
            },
          },
          h("span", { className: "feed-dot", "aria-hidden": true }, late ? "✕" : "●"),
          h("span", { className: "feed-name" }, markaz.text("feed." + feed.feed)),
          h("span", { className: "feed-rate" }, feed.rate_per_s === null ? "–" : markaz.number(feed.rate_per_s, feed.rate_per_s < 10 ? 1 : 0), " ", markaz.text("unit.per_s")),
          h("span", { className: "feed-age" }, markaz.age(age)),
          h(
            "span",
            { className: "feed-rejected" + (rejectedLately(feed, summary.at) ? " some" : "") },
            feed.rejected_total ? markaz.text("feed.rejected", { n: feed.rejected_total }) : markaz.text("feed.no_rejects"),
          ),
        );
      }),
    );
  }

  /* ---- banner and clock ---- */

  function Banner() {
    const link = markaz.useFrame("link");
    const summary = markaz.useFrame("summary");
    markaz.useBeat();
    let words = null;
    if (link && link.state === "lost") words = markaz.text("banner.lost", { at: markaz.clock(link.since, true) });
    else if (link && link.state === "stale" && summary) words = markaz.text("banner.store", { at: markaz.clock(summary.store_since_ms, true) });
    return words ? h("div", { className: "banner", role: "alert" }, h("span", { className: "banner-sign", "aria-hidden": true }, "▲"), words) : null;
  }

  function Clock() {
    const now = markaz.useBeat();
    const link = markaz.useFrame("link");
    const state = link ? link.state : "connecting";
    return h(
      "div",
      { className: "clock" },
      h("span", { className: "clock-link link-" + state }, state === "live" ? "●" : "✕", " ", markaz.text("link." + state)),
      h("span", { className: "clock-day" }, markaz.day(now)),
      h("time", { className: "clock-time" }, markaz.clock(now, true)),
    );
  }

  /* How long ago something was, counting on. */
  function Ago(props) {
    const now = markaz.useBeat();
    return h("span", { className: "ago" }, markaz.text("age", { age: markaz.age((now - props.at) / 1000) }));
  }

  Object.assign(window.markaz_live, { Ago: Ago, Tiles: Tiles, Alarms: Alarms, Feeds: Feeds, Banner: Banner, Clock: Clock });
  markaz.PRIORITIES = PRIORITIES;
})();
