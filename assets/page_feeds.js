/* The page of feeds: how every feed and every ingest worker does, and the rejected messages.
 *
 * The tables are drawn from the pushed frame `feeds`. The list of rejects is read again when that frame says that there
 * are others, never on a timer, and not while somebody points at it: a row must not move away from under a finger.
 * What came from the field is put into the page as text only.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const COMPLETE = 0.8; // below it a feed is called incomplete
  const LIST_LIMIT = 100;
  const LIST_LEAST_MS = 5000; // between two readings of a list that nobody asked to be read

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

  /* ---- rejects ---- */

  /* Changes whenever a message is rejected, taken in again or trimmed away. */
  function stamp(frame) {
    if (!frame) return "";
    let rejected = 0;
    frame.feeds.forEach(function (feed) {
      Object.keys(feed.rejected).forEach(function (reason) {
        rejected += feed.rejected[reason];
      });
    });
    return frame.rejects_kept + ":" + rejected;
  }

  function listUrl(filter, cursor) {
    const asked = new URLSearchParams({ limit: LIST_LIMIT, payloads: "false" });
    if (filter.feed) asked.set("feed", filter.feed);
    if (filter.reason) asked.set("reason", filter.reason);
    if (cursor) asked.set("cursor", cursor);
    return "/api/v1/rejects?" + asked.toString();
  }

  /* The list under a filter: its rows, and when it should be read again. */
  function useRejects(filter, busy) {
    const [list, setList] = React.useState({ rows: [], next: null, away: false, read: false });
    const state = React.useRef({ asked: 0, stamp: null, at: 0, filter: null });
    const frame = markaz.useFrame("feeds");
    const live = useLive();
    markaz.useBeat();
    const current = stamp(frame);

    function read(cursor) {
      const asked = ++state.current.asked;
      Object.assign(state.current, { stamp: current, at: performance.now(), filter: filter });
      fetch(listUrl(filter, cursor), { cache: "no-store" })
        .then(function (answer) {
          if (!answer.ok) throw new Error(String(answer.status));
          return answer.json();
        })
        .then(function (body) {
          if (asked !== state.current.asked) return; // a later question has gone out
          setList(function (before) {
            return { rows: cursor ? before.rows.concat(body.rejects) : body.rejects, next: body.next, away: false, read: true };
          });
        })
        .catch(function () {
          if (asked !== state.current.asked) return;
          state.current.stamp = null; // read again when the store is back
          setList(function (before) {
            return Object.assign({}, before, { away: true });
          });
        });
    }

    const newer = frame !== undefined && live && current !== state.current.stamp;
    React.useEffect(function () {
      if (!frame || !live) return;
      const another = state.current.filter !== filter;
      if (another || (newer && !busy() && performance.now() - state.current.at > LIST_LEAST_MS)) read(null);
    });
    React.useEffect(
      function () {
        setList({ rows: [], next: null, away: false, read: false });
      },
      [filter],
    );
    return { list: list, newer: newer && state.current.filter === filter, read: read };
  }

  function Choice(props) {
    return h(
      "select",
      {
        "aria-label": props.label,
        "data-filter": props.name,
        value: props.value,
        onChange: function (event) {
          props.choose(event.target.value);
        },
      },
      h("option", { value: "" }, props.all),
      props.options.map(function (option) {
        return h("option", { key: option, value: option }, named(props.prefix, option));
      }),
    );
  }

  function walk(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.currentTarget.parentElement[step];
    if (!next) return;
    next.firstElementChild.focus();
    event.preventDefault();
  }

  function Message(props) {
    const [state, setState] = React.useState(null);
    const live = useLive();
    /* Asked again when the store is back, unless the message is here already. */
    React.useEffect(
      function () {
        let wanted = true;
        if (!props.id || (state && state.id === props.id)) return undefined;
        setState(null);
        fetch("/api/v1/rejects/" + encodeURIComponent(props.id), { cache: "no-store" })
          .then(function (answer) {
            return answer.ok ? answer.json() : { problem: answer.status === 404 ? "rejects.gone" : "rejects.away" };
          })
          .catch(function () {
            return { problem: "rejects.away" };
          })
          .then(function (body) {
            if (wanted) setState(body);
          });
        return function () {
          wanted = false;
        };
      },
      [props.id, live],
    );
    if (!props.id) return h("p", { className: "empty" }, markaz.text("rejects.choose"));
    if (!state) return h("p", { className: "empty" }, "…");
    if (state.problem) return h("p", { className: "empty" }, markaz.text(state.problem));
    const rows = [
      [markaz.text("rejects.reason"), h("span", null, h("b", null, named("reject.", state.reason)), " · ", state.detail)],
      [markaz.text("rejects.topic"), state.topic],
      [markaz.text("rejects.received"), markaz.day(Date.parse(state.received_at)) + " " + markaz.clock(Date.parse(state.received_at), true)],
    ];
    return h(
      "div",
      { className: "reject-message", "data-message": state.id },
      h(
        "table",
        null,
        h(
          "tbody",
          null,
          rows.map(function (row, index) {
            return h("tr", { key: index }, h("th", { scope: "row" }, row[0]), h("td", null, row[1]));
          }),
        ),
      ),
      h(
        "h3",
        null,
        markaz.text("rejects.payload." + state.readable.kind, { n: markaz.number(state.payload_bytes, 0) }),
        state.readable.cut ? h("small", null, " ", markaz.text("rejects.beginning")) : null,
      ),
      h("pre", { tabIndex: 0 }, state.readable.text),
      state.reason === "too_large"
        ? h("p", { className: "note" }, markaz.text("rejects.cut"))
        : h("p", { className: "note" }, markaz.text("rejects.replay"), ": ", h("code", null, "markaz rejects replay " + state.id)),
    );
  }

  const NO_FILTER = { feed: "", reason: "" };

  function Rejects(props) {
    const [filter, setFilter] = React.useState(markaz.memory.get("rejects") || NO_FILTER);
    const [chosen, setChosen] = React.useState(null);
    const rows = React.useRef(null);
    const hovered = React.useRef(false);
    const frame = markaz.useFrame("feeds");
    const { list, newer, read } = useRejects(filter, function () {
      const box = rows.current;
      return hovered.current || (box && (box.scrollTop > 0 || box.contains(document.activeElement)));
    });

    function choose(next) {
      markaz.memory.set("rejects", next);
      setFilter(next);
    }

    React.useEffect(function () {
      return markaz.on("rejects.filter", function (wanted) {
        if (wanted) choose(wanted);
        delete markaz.frames["rejects.filter"]; // a wish of this visit, not of the next one
      });
    }, []);

    const feeds = (frame ? frame.feeds : []).map(function (feed) {
      return feed.feed;
    });
    return h(
      "section",
      { className: "rejects greyable" },
      h(
        "header",
        null,
        h("h2", null, markaz.text("rejects")),
        h("span", { className: "kept" }, frame && frame.rejects_kept !== null ? markaz.text("rejects.kept", { n: markaz.number(frame.rejects_kept, 0) }) : ""),
        h(
          "button",
          {
            type: "button",
            className: "newer" + (newer ? "" : " nothing"),
            disabled: !newer,
            onClick: function () {
              rows.current.scrollTop = 0;
              read(null);
            },
          },
          "▲ " + markaz.text("rejects.new"),
        ),
      ),
      h(
        "div",
        { className: "filters" },
        h(Choice, {
          name: "feed",
          label: markaz.text("feeds.feed"),
          all: markaz.text("rejects.any_feed"),
          prefix: "feed.",
          value: filter.feed,
          options: feeds.concat(filter.feed && feeds.indexOf(filter.feed) < 0 ? [filter.feed] : []),
          choose: function (feed) {
            choose({ feed: feed, reason: filter.reason });
          },
        }),
        h(Choice, {
          name: "reason",
          label: markaz.text("rejects.reason"),
          all: markaz.text("rejects.any_reason"),
          prefix: "reject.",
          value: filter.reason,
          options: props.reasons,
          choose: function (reason) {
            choose({ feed: filter.feed, reason: reason });
          },
        }),
      ),
      h(
        "ol",
        {
          ref: rows,
          onMouseEnter: function () {
            hovered.current = true;
          },
          onMouseLeave: function () {
            hovered.current = false;
          },
        },
        list.away ? h("li", { className: "empty" }, markaz.text("rejects.away")) : null,
        list.read && list.rows.length === 0 && !list.next ? h("li", { className: "empty" }, markaz.text("rejects.none")) : null,
        list.rows.map(function (reject) {
          return h(
            "li",
            { key: reject.id },
            h(
              "button",
              {
                type: "button",
                className: "reject" + (reject.id === chosen ? " on" : ""),
                "data-reject": reject.id,
                "aria-pressed": reject.id === chosen,
                onKeyDown: walk,
                onClick: function () {
                  setChosen(reject.id);
                },
              },
              h("time", null, markaz.clock(Date.parse(reject.received_at), true)),
              h("b", null, named("reject.", reject.reason)),
              h("span", null, reject.topic),
            ),
          );
        }),
        list.next
          ? h(
              "li",
              { key: "older" },
              h(
                "button",
                {
                  type: "button",
                  className: "older",
                  onClick: function () {
                    read(list.next);
                  },
                },
                markaz.text("rejects.older"),
              ),
            )
          : null,
      ),
      h("div", { className: "chosen" }, h(Message, { id: chosen })),
    );
  }

  Object.assign(window.markaz_live, { FeedTable: FeedTable, Workers: Workers, Rejects: Rejects });
})();
