/* The page of feeds: how every feed and every ingest worker does, drawn from the pushed frame `feeds`. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const COMPLETE = 0.8; // below it a feed is called incomplete

  /* ---- words ---- */

  /* A name without a translation is shown as it is. */
  function named(prefix, name) {
    const words = markaz.text(prefix + name);
    return words === prefix + name ? name : words;
  }

  function rate(value) {
    return value === null || value === undefined ? "–" : markaz.number(value, value < 10 ? 1 : 0);
  }

  function count(value) {
    return value === null || value === undefined ? "–" : markaz.number(value, 0);
  }

  function seconds(value) {
    const size = Math.abs(value);
    if (size < 90) return markaz.number(value, size < 10 ? 1 : 0) + " " + markaz.text("unit.s");
    return (value < 0 ? "−" : "") + markaz.age(size);
  }

  function delay(value) {
    if (value === null) return "–";
    if (value >= 1) return seconds(value);
    return markaz.number(value * 1000, value < 0.01 ? 1 : 0) + " " + markaz.text("unit.ms");
  }

  /* The newest frame, and how many seconds old it is by now. */
  function useFeeds() {
    const frame = markaz.useFrame("feeds");
    const now = markaz.useBeat();
    return [frame, frame ? Math.max(0, Math.floor((now - frame.at) / 1000)) : 0];
  }

  /* Whether the page hears the server, and the server the store. */
  function useLive() {
    const link = markaz.useFrame("link");
    return !link || link.state === "live";
  }

  /* State by word and by shape; colour only repeats it. */
  function State(props) {
    return h("span", { className: "state state-" + props.kind }, h("i", { "aria-hidden": true }, props.sign), props.words);
  }

  function columns(widths) {
    return h(
      "colgroup",
      null,
      widths.map(function (width, index) {
        return h("col", { key: index, style: width ? { width: width + "rem" } : undefined });
      }),
    );
  }

  function headings(words) {
    return h(
      "thead",
      null,
      h(
        "tr",
        null,
        words.map(function (word, index) {
          return h("th", { key: index, scope: "col" }, word);
        }),
      ),
    );
  }

  /* ---- feeds ---- */

  function stateOf(feed, age, live) {
    if (!live) return ["unknown", "○"]; // the feed may be well: it is we who do not hear
    if (age === null || (feed.late_after_s !== null && age > feed.late_after_s)) return ["late", "✕"];
    if (feed.completeness !== null && feed.completeness < COMPLETE) return ["part", "◐"];
    return ["live", "●"];
  }

  function Completeness(props) {
    if (props.value === null) return h("span", { className: "unknown" }, "–");
    const percent = Math.floor(props.value * 100);
    return h(
      "span",
      { className: "completeness" + (props.value < COMPLETE ? " part" : "") },
      h("span", { className: "bar", "aria-hidden": true }, h("i", { style: { width: percent + "%" } })),
      markaz.number(percent, 0) + " %",
    );
  }

  function FeedRow(props) {
    const feed = props.feed;
    const age = feed.age_s === null ? null : feed.age_s + props.since;
    const state = stateOf(feed, age, props.live);
    const reasons = Object.keys(feed.rejected).sort(function (one, other) {
      return feed.rejected[other] - feed.rejected[one];
    });
    return h(
      "tr",
      { "data-feed-row": feed.feed, "data-state": state[0] },
      h("th", { scope: "row", title: feed.feed }, named("feed.", feed.feed)),
      h("td", null, h(State, { kind: state[0], sign: state[1], words: markaz.text("feeds.state." + state[0]) })),
      h("td", { className: "n" }, rate(feed.rate_per_s)),
      h("td", { className: "n" }, rate(feed.expected_rate_per_s)),
      h("td", null, h(Completeness, { value: feed.completeness })),
      h("td", { className: "n" }, markaz.age(age)),
      h(
        "td",
        { className: "n" },
        feed.clock ? [h("span", { key: "median" }, seconds(feed.clock.median_s)), h("small", { key: "range" }, seconds(feed.clock.least_s) + " … " + seconds(feed.clock.most_s))] : "–",
      ),
      h("td", { className: "n" }, count(feed.late)),
      h(
        "td",
        null,
        h(
          "div",
          { className: "reasons" },
          reasons.map(function (reason) {
            return h(
              "button",
              {
                key: reason,
                type: "button",
                onClick: function () {
                  markaz.publish("rejects.filter", { feed: feed.feed, reason: reason });
                },
              },
              named("reject.", reason) + " ",
              h("b", null, count(feed.rejected[reason])),
            );
          }),
        ),
      ),
    );
  }

  function FeedTable() {
    const [frame, since] = useFeeds();
    const live = useLive();
    const perSecond = ", " + markaz.text("unit.per_s");
    return h(
      "section",
      { className: "feed-table greyable" },
      h("h2", null, markaz.text("feeds")),
      frame && frame.feeds.length === 0 ? h("p", { className: "empty" }, markaz.text("feeds.none")) : null,
      frame && frame.feeds.length
        ? h(
            "div",
            { className: "scroll" },
            h(
              "table",
              null,
              columns([10.5, 7.6, 4.6, 5.6, 9.2, 5.9, 9.2, 5.8, 0]),
              headings([
                markaz.text("feeds.feed"),
                markaz.text("feeds.state"),
                markaz.text("feeds.rate") + perSecond,
                markaz.text("feeds.expected"),
                markaz.text("feeds.completeness"),
                markaz.text("feeds.age"),
                markaz.text("feeds.clock"),
                markaz.text("feeds.late"),
                markaz.text("feeds.rejected"),
              ]),
              h(
                "tbody",
                null,
                frame.feeds.map(function (feed) {
                  return h(FeedRow, { key: feed.feed, feed: feed, since: since, live: live });
                }),
              ),
            ),
          )
        : null,
    );
  }

  /* ---- workers ---- */

  const WORKER_SIGNS = { connected: "●", disconnected: "✕", silent: "○" };

  function WorkerRow(props) {
    const worker = props.worker;
    const words = markaz.text("workers." + worker.state, { age: markaz.age(worker.age_s + props.since) });
    return h(
      "tr",
      { "data-worker": worker.worker, "data-state": worker.state },
      h("th", { scope: "row", title: worker.worker }, worker.worker),
      h("td", null, h(State, { kind: worker.state, sign: WORKER_SIGNS[worker.state], words: words })),
      h("td", { className: "n" }, rate(worker.rate_per_s)),
      h("td", { className: "n" }, rate(worker.batch_messages)),
      h("td", { className: "n" }, count(worker.queued + worker.in_flight)),
      h("td", { className: "n" }, delay(worker.lag_p50_s), " / ", delay(worker.lag_p99_s)),
      h("td", { className: "n" }, delay(worker.store_p50_s), " / ", delay(worker.store_p99_s)),
    );
  }

  function Workers() {
    const [frame, since] = useFeeds();
    return h(
      "section",
      { className: "workers greyable" },
      h("h2", null, markaz.text("workers")),
      frame && frame.workers.length === 0 ? h("p", { className: "empty" }, markaz.text("workers.none")) : null,
      frame && frame.workers.length
        ? h(
            "div",
            { className: "scroll" },
            h(
              "table",
              null,
              columns([13, 13.5, 6, 5.5, 6.5, 0, 0]),
              headings([
                markaz.text("workers.worker"),
                markaz.text("workers.state"),
                markaz.text("feeds.rate") + ", " + markaz.text("unit.per_s"),
                markaz.text("workers.batch"),
                markaz.text("workers.waiting"),
                markaz.text("workers.lag"),
                markaz.text("workers.store"),
              ]),
              h(
                "tbody",
                null,
                frame.workers.map(function (worker) {
                  return h(WorkerRow, { key: worker.worker, worker: worker, since: since });
                }),
              ),
            ),
          )
        : null,
    );
  }

  Object.assign(window.markaz_live, { FeedTable: FeedTable, Workers: Workers });
  Object.assign(markaz, { named: named, useLive: useLive }); // for page_rejects.js
})();
