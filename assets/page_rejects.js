/* The rejected messages on the page of feeds, and the chosen one as it came.
 *
 * The list is read again when the pushed frame `feeds` says that there are others, never on a timer, and not while
 * somebody points at it: a row must not move away from under a finger. What came from the field is put into the page as
 * text only.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const named = markaz.named;
  const useLive = markaz.useLive;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const LIST_LIMIT = 100;
  const LIST_LEAST_MS = 5000; // between two readings of a list that nobody asked to be read

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

  Object.assign(window.markaz_live, { Rejects: Rejects });
})();
