/* What the page shows beside the map: tiles, feeds, banner, clock, live values of a selection. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

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
      markaz.PRIORITIES.filter(function (name) {
        return kpi.by[name];
      }).map(function (name) {
        return h("span", { key: name, className: "by by-" + name, title: markaz.text("priority." + name) }, h(markaz.PrioritySign, { priority: name }), markaz.number(kpi.by[name], 0));
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

  Object.assign(window.markaz_live, { Ago: Ago, Tiles: Tiles, Feeds: Feeds, Banner: Banner, Clock: Clock });
})();
