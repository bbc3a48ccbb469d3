/* The operator's list: incidents, and the alarms that are in none, in a chosen order that stands still under the
 * pointer, and what operators do about them.
 *
 * The alarms of an incident are not pushed: its row has their numbers, and who unfolds it asks for the newest of them. So
 * the page stays as quick with a thousand alarms of one cause as with ten.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const PRIORITIES = markaz.PRIORITIES;
  const remembered = operate.remembered;
  const remember = operate.remember;
  const isSeen = operate.isSeen;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const ORDERS = ["urgent", "newest", "first"];
  const RELEASE_MS = 2500; // the list moves again so long after the pointer has left it
  const UNFOLDED = 50; // alarms of the one incident that is unfolded; more are on its page
  const UNFOLD_EVERY_MS = 1000;

  /* ---- the rows ---- */

  function alarmRow(alarm, inside) {
    return { id: alarm.id, alarm: alarm, priority: alarm.priority, since_ms: alarm.raised_ms, seen: isSeen(alarm), inside: inside };
  }

  function incidentRow(incident) {
    return { id: "incident:" + incident.id, incident: incident, priority: incident.priority, since_ms: incident.opened_ms, seen: !incident.unseen };
  }

  /* Incidents with something to announce, and the alarms that are in none. */
  function rowsOf(frame) {
    if (!frame) return [];
    const incidents = (frame.incidents || []).filter(function (incident) {
      return incident.announced > 0;
    });
    return incidents.map(incidentRow).concat(
      frame.alarms.map(function (alarm) {
        return alarmRow(alarm, false);
      }),
    );
  }

  function ranked(rows, order) {
    const rank = function (row) {
      return PRIORITIES.indexOf(row.priority);
    };
    const by = {
      urgent: function (a, b) {
        // Of equals what has many alarms goes first: it must not be looked for below them.
        return a.seen - b.seen || rank(a) - rank(b) || Boolean(b.incident) - Boolean(a.incident) || b.since_ms - a.since_ms || (a.id < b.id ? -1 : 1);
      },
      newest: function (a, b) {
        return b.since_ms - a.since_ms || (a.id < b.id ? -1 : 1);
      },
      first: function (a, b) {
        return a.since_ms - b.since_ms || (a.id < b.id ? -1 : 1);
      },
    };
    return rows.slice().sort(by[order]);
  }

  /* ---- the list ---- */

  /* A short tone where the operator wants one; the count in the heading is its visual twin. */
  function beep() {
    try {
      const context = (beep.context = beep.context || new AudioContext());
      const tone = context.createOscillator();
      const volume = context.createGain();
      volume.gain.setValueAtTime(0.15, context.currentTime);
      volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.6);
      tone.frequency.value = 880;
      tone.connect(volume).connect(context.destination);
      tone.start();
      tone.stop(context.currentTime + 0.6);
    } catch (error) {
      /* a browser without sound, or a page that nobody has touched yet */
    }
  }

  /* The rows to show: while the list is held, in the places where they were. */
  function useStill(rows, order, held) {
    const before = React.useRef({ order: order, ids: [], known: {} });
    const last = before.current;
    const now = {};
    rows.forEach(function (row) {
      now[row.id] = row;
    });
    if (held && last.order === order) {
      const ids = new Set(last.ids);
      const fresh = rows.filter(function (row) { return !ids.has(row.id); }).length;
      const shown = last.ids.map(function (id) {
        if (now[id]) last.known[id] = now[id];
        return now[id] || Object.assign({}, last.known[id], { gone: true });
      });
      return { shown: shown, fresh: fresh };
    }
    const shown = ranked(rows, order);
    before.current = { order: order, ids: shown.map(function (row) { return row.id; }), known: now };
    return { shown: shown, fresh: 0 };
  }

  /* The newest alarms of the unfolded incident, asked for again when its row changed; held, they keep their places. */
  function useUnfolded(incident, held) {
    const alarms = React.useState({ of: "", rows: [], total: 0 });
    const asked = React.useRef({ of: "", stamp: "", at: 0, number: 0 });
    const stamp = incident ? [incident.version, incident.announced, incident.unseen, incident.standing].join() : "";
    const still = React.useRef(held);
    still.current = held;
    React.useEffect(function () {
      const last = asked.current;
      const other = !incident || incident.id !== last.of;
      if (other) Object.assign(last, { of: incident ? incident.id : "", stamp: "", at: 0 });
      if (!incident || last.stamp === stamp || performance.now() - last.at < UNFOLD_EVERY_MS) return;
      const number = last.number + 1;
      Object.assign(last, { stamp: stamp, at: performance.now(), number: number });
      fetch("/api/v1/incidents/" + encodeURIComponent(incident.id) + "?timeline=0&limit=" + UNFOLDED, { cache: "no-store" })
        .then(function (answer) {
          if (!answer.ok) throw new Error(String(answer.status));
          return answer.json();
        })
        .then(function (body) {
          if (number !== last.number) return; // another one was unfolded meanwhile
          const fresh = body.alarms.map(function (told) { return alarmRow(operate.alarmOf(told), true); });
          alarms[1](function (before) {
            const rows = still.current && before.of === body.id && before.rows.length ? inPlace(before.rows, fresh) : fresh;
            return { of: body.id, rows: rows, total: body.known };
          });
        })
        .catch(function () {
          last.stamp = ""; // asked again with the next beat
        });
    });
    return incident && alarms[0].of === incident.id ? alarms[0] : { of: "", rows: [], total: 0 };
  }

  function inPlace(before, fresh) {
    const now = {};
    fresh.forEach(function (row) { now[row.id] = row; });
    return before.map(function (row) { return now[row.id] || row; });
  }

  function Alarms(props) {
    const frame = markaz.useFrame("alarms");
    const quiet = Boolean(props.limit); // a wall: nothing to press
    const order = React.useState(remembered("alarms.order", "urgent"));
    const least = React.useState(remembered("alarms.least", "low"));
    const unseen = React.useState(false);
    const muted = React.useState(remembered("alarms.muted", "yes"));
    const held = React.useState(false);
    const chosen = React.useState("");
    const unfolded = React.useState(""); // the id of the one incident whose alarms are shown
    const release = React.useRef(0);
    const heard = React.useRef(null);
    markaz.useBeat();
    const all = rowsOf(frame);
    const waiting = all.reduce(function (sum, row) { return sum + (row.incident ? row.incident.unseen : row.seen ? 0 : 1); }, 0);
    React.useEffect(
      function () {
        if (!frame) return;
        // An incident is told once, and again where it becomes more urgent: not with each alarm that joins it.
        const loud = all
          .filter(function (row) { return !row.seen && (row.priority === "critical" || row.priority === "high"); })
          .map(function (row) { return row.incident ? row.id + "!" + row.priority : row.id + "@" + row.since_ms; });
        const before = heard.current;
        // What was heard of an incident stays heard: its last alarm may be acknowledged and the next one join.
        heard.current = new Set(loud.concat(Array.from(before || []).filter(function (one) { return one.startsWith("incident:"); })));
        if (before && muted[0] !== "yes" && loud.some(function (one) { return !before.has(one); })) beep();
      },
      [frame],
    );
    const wanted = all.filter(function (row) {
      return PRIORITIES.indexOf(row.priority) <= PRIORITIES.indexOf(least[0]) && !(unseen[0] && row.seen);
    });
    const still = useStill(wanted, order[0], held[0] && !quiet);
    const list = props.limit ? still.shown.slice(0, props.limit) : still.shown;
    // Of the rows that this screen does not show; alarms inside an incident are not hidden, they are in its row.
    const hidden = frame ? frame.loose - frame.alarms.length + (still.shown.length - list.length) : 0;
    const open = list.find(function (row) { return row.incident && row.incident.id === unfolded[0]; });
    const inside = useUnfolded(open && !quiet && !open.gone ? open.incident : null, held[0]);
    const fold = function () { unfolded[1](""); };
    const drawn = [];
    list.forEach(function (row) {
      drawn.push(row);
      if (row === open) inside.rows.forEach(function (one) { drawn.push(one); });
      if (row === open && inside.total > inside.rows.length) drawn.push({ id: "more", more: inside.total - inside.rows.length, of: row.incident });
    });
    const hold = function () {
      clearTimeout(release.current);
      held[1](true);
    };
    const letGo = function () {
      clearTimeout(release.current);
      release.current = setTimeout(function () { held[1](false); }, RELEASE_MS);
    };
    const select = function (name, state, values, label) {
      return h(
        "select",
        { value: state[0], "aria-label": markaz.text(label), onChange: function (event) { state[1](event.target.value); remember(name, event.target.value); } },
        values,
      );
    };
    return h(
      "section",
      { className: "alarms greyable" + (quiet ? " alarms-quiet" : ""), "aria-label": markaz.text("alarms"), onPointerEnter: hold, onPointerLeave: letGo, onFocus: hold, onBlur: letGo },
      h(
        "h2",
        null,
        markaz.text("alarms"),
        waiting ? h("span", { className: "unseen" }, "● ", markaz.text("alarms.unseen", { n: waiting })) : null,
        h("span", { className: "count" }, frame ? markaz.number(frame.total, 0) : "–"),
      ),
      quiet
        ? null
        : h(
            "div",
            { className: "alarm-tools" },
            select("alarms.order", order, ORDERS.map(function (one) { return h("option", { key: one, value: one }, markaz.text("alarms.order." + one)); }), "alarms.order"),
            select("alarms.least", least, PRIORITIES.slice().reverse().map(function (one) { return h("option", { key: one, value: one }, markaz.text(one === "low" ? "alarms.all" : "alarms.least." + one)); }), "alarms.least"),
            h("button", { type: "button", "aria-pressed": unseen[0], onClick: function () { unseen[1](!unseen[0]); } }, markaz.text("alarms.only_unseen")),
            h(
              "button",
              {
                type: "button",
                "aria-pressed": muted[0] !== "yes",
                onClick: function () {
                  const next = muted[0] === "yes" ? "no" : "yes";
                  muted[1](next);
                  remember("alarms.muted", next);
                  if (next === "no") beep();
                },
              },
              markaz.text(muted[0] === "yes" ? "alarms.sound_off" : "alarms.sound_on"),
            ),
          ),
      still.fresh ? h("p", { className: "held", role: "status" }, markaz.text("alarms.held", { n: still.fresh })) : null,
      frame && all.length === 0 ? h("p", { className: "empty" }, markaz.text("alarms.none")) : null,
      h(
        "ol",
        null,
        drawn.map(function (row, index) {
          const same = { key: (row.inside ? "inside:" : "") + row.id, row: row, first: index === 0, quiet: quiet, chosen: row.id === chosen[0], onChoose: chosen[1] };
          if (row.more) return h("li", { key: "more", className: "alarm-inside more" }, h(operate.Go, { path: "/incidents/" + row.of.id }, markaz.text("incident.more", { n: row.more })));
          if (row.incident) return h(markaz.rows.Incident, Object.assign(same, { unfolded: row === open && !quiet, onUnfold: unfolded[1] }));
          return h(markaz.rows.Alarm, Object.assign(same, { onFold: fold }));
        }),
      ),
      hidden > 0 ? h("p", { className: "more" }, markaz.text("alarms.more", { n: hidden })) : null,
    );
  }

  Object.assign(window.markaz_live, { Alarms: Alarms });
})();
