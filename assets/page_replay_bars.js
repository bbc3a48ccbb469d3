/* The two scrub bars of the page of the past, over the day and the hour: where there are positions and where none are,
 * and how complete the hour is.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const HOUR_MS = 3600000;
  const MINUTE_MS = 60000;
  const AGAIN_MS = 3000;
  const LOOK_AFTER_MS = 400; // a scrub passes many hours that nobody wants to know of

  /* ---- what is known of the hours ---- */

  const known = { day: null, hours: {}, hour: null, look: null };

  function get(path, query) {
    return fetch("/api/v1/replay" + path + "?" + new URLSearchParams(Object.assign({ page: markaz.replay.page }, query)), { cache: "no-store" }).then(function (answer) {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    });
  }

  /* The hours of the day and the minutes of the hour at a moment; asked for once each, and the present hour again. */
  function useKnown(at) {
    const state = React.useState(0);
    const day = markaz.replayTimes.dayBegin(at);
    const dayEnd = markaz.replayTimes.dayEnd(at);
    const hour = Math.floor(at / HOUR_MS) * HOUR_MS;
    const turn = Math.floor(markaz.now() / MINUTE_MS);
    React.useEffect(
      function () {
        let wanted = true;
        const ask = function () {
          get("/hours", { from: new Date(day).toISOString(), to: new Date(dayEnd).toISOString() })
            .then(function (told) {
              const hours = {};
              told.hours.forEach(function (one) {
                hours[Date.parse(one.at)] = one.positions;
              });
              if (!wanted) return;
              Object.assign(known, { day: day, hours: hours });
              state[1](Math.random());
            })
            .catch(again);
        };
        const again = function () { if (wanted) timer = setTimeout(ask, AGAIN_MS); };
        let timer = setTimeout(ask, LOOK_AFTER_MS);
        return function () {
          wanted = false;
          clearTimeout(timer);
        };
      },
      [day, dayEnd > markaz.now() ? turn : 0],
    );
    React.useEffect(
      function () {
        let wanted = true;
        const ask = function () {
          get("/hour", { at: new Date(hour).toISOString() })
            .then(function (told) {
              if (!wanted) return;
              Object.assign(known, { hour: hour, look: told });
              state[1](Math.random());
            })
            .catch(again);
        };
        const again = function () { if (wanted) timer = setTimeout(ask, AGAIN_MS); };
        let timer = setTimeout(ask, LOOK_AFTER_MS);
        return function () {
          wanted = false;
          clearTimeout(timer);
        };
      },
      [hour, hour + HOUR_MS > markaz.now() ? turn : 0],
    );
    return { day: day, dayEnd: dayEnd, hour: hour, hours: known.day === day ? known.hours : null, look: known.hour === hour ? known.look : null };
  }

  /* ---- scrub bars ---- */

  /* One bar over [from, from + length): `cells` are 0…1 or null (not known yet), each `every` long; 0 is a gap. */
  function Scrub(props) {
    const bar = React.useRef(null);
    const dragged = React.useState(null);
    const momentOf = function (event) {
      const box = bar.current.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return Math.round((props.from + share * props.length) / 1000) * 1000;
    };
    const cells = props.cells;
    const share = (props.at - props.from) / props.length;
    return h(
      "div",
      {
        className: "scrub",
        ref: bar,
        role: "slider",
        tabIndex: 0,
        "aria-label": props.label,
        "aria-valuemin": props.from,
        "aria-valuemax": props.from + props.length,
        "aria-valuenow": Math.round(props.at),
        "aria-valuetext": markaz.replayTimes.dateText(props.at) + " " + markaz.clock(props.at, true),
        onPointerDown: function (event) {
          bar.current.setPointerCapture(event.pointerId);
          dragged[1](momentOf(event));
        },
        onPointerMove: function (event) {
          if (dragged[0] !== null) dragged[1](momentOf(event));
        },
        onPointerUp: function (event) {
          if (dragged[0] === null) return;
          dragged[1](null);
          markaz.replay.seek(momentOf(event));
        },
        onPointerCancel: function () {
          dragged[1](null);
        },
      },
      h(
        "svg",
        { viewBox: "0 0 " + props.length / props.every + " 100", preserveAspectRatio: "none", "aria-hidden": true },
        cells.map(function (cell, index) {
          const missing = cell === 0;
          const tall = cell === null || missing ? 100 : 20 + 80 * cell;
          return h("rect", { key: index, className: cell === null ? "cell-unknown" : missing ? "cell-gap" : "cell", x: index + 0.06, width: 0.88, y: 100 - tall, height: tall });
        }),
      ),
      h(
        "div",
        { className: "scrub-words", "aria-hidden": true },
        props.marks.map(function (mark) {
          return h("span", { key: mark[0], style: { left: ((mark[0] - props.from) / props.length) * 100 + "%" } }, mark[1]);
        }),
      ),
      share >= 0 && share <= 1 ? h("i", { className: "scrub-at", style: { left: share * 100 + "%" } }) : null,
      dragged[0] === null
        ? null
        : h("i", { className: "scrub-drag", style: { left: ((dragged[0] - props.from) / props.length) * 100 + "%" } }, h("span", null, markaz.clock(dragged[0], true))),
    );
  }

  function Bars(props) {
    const now = markaz.now();
    const found = useKnown(props.at);
    const most = Math.max(1, ...Object.values(found.hours || {}));
    const hours = [];
    const marks = [];
    for (let from = found.day; from < found.dayEnd; from += HOUR_MS) {
      // Hours are kept by UTC: in a zone with half an hour the fuller neighbour stands for it.
      const begin = Math.floor(from / HOUR_MS) * HOUR_MS;
      hours.push(found.hours === null || from > now ? null : (found.hours[begin] || 0) / most);
      if (markaz.replayTimes.localHour(from) % 3 === 0) marks.push([from, markaz.clock(from)]);
    }
    const look = found.look;
    const busiest = look ? Math.max(1, ...look.minutes) : 1;
    const minutes = [];
    for (let n = 0; n < 60; n++) minutes.push(!look || found.hour + n * MINUTE_MS > now ? null : look.minutes[n] / busiest);
    const within = [0, 10, 20, 30, 40, 50].map(function (n) {
      return [found.hour + n * MINUTE_MS, markaz.clock(found.hour + n * MINUTE_MS)];
    });
    return h(
      "div",
      { className: "replay-bars" },
      h(Scrub, { label: markaz.text("replay.day_bar"), at: props.at, from: found.day, length: found.dayEnd - found.day, every: HOUR_MS, cells: hours, marks: marks }),
      h(Scrub, { label: markaz.text("replay.hour_bar"), at: props.at, from: found.hour, length: HOUR_MS, every: MINUTE_MS, cells: minutes, marks: within }),
      h("div", { className: "replay-complete" }, completeWords(look, found.hour, now)),
    );
  }

  /* How complete the hour is: what it has, the minutes without anything, how much of it is archived. */
  function completeWords(look, hour, now) {
    if (!look) return markaz.text("replay.hour_unknown");
    const past = Math.max(0, Math.min(60, Math.floor((now - hour) / MINUTE_MS)));
    const empty = look.minutes.slice(0, past).filter(function (n) {
      return n === 0;
    }).length;
    const words = [markaz.text("replay.hour", { positions: look.rows, vehicles: look.vehicles })];
    words.push(empty ? "▨ " + markaz.text("replay.gaps", { n: empty, of: past }) : markaz.text("replay.no_gaps"));
    if (look.late) words.push(markaz.text("replay.late", { n: look.late }));
    if (look.archived < look.rows) words.push(markaz.text("replay.unarchived", { n: look.rows - look.archived }));
    if (look.skipped.length) words.push("✕ " + markaz.text("replay.skipped", { n: look.skipped.length }));
    if (look.unread) words.push("✕ " + markaz.text("replay.unread"));
    return words.join(" · ");
  }

  markaz.ReplayBars = Bars;
})();
