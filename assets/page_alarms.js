/* The alarm list: what is announced, in a chosen order that stands still under the pointer, and what operators do. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const PRIORITIES = ["critical", "high", "medium", "low"];
  const ORDERS = ["urgent", "newest", "first"];
  const RELEASE_MS = 2500; // the list moves again so long after the pointer has left it
  const SHELVE_S = [900, 3600, 28800, 86400];

  /* ---- words and signs ---- */

  /* Priority by shape and number as well as colour (ISA-101, EEMUA 191); who is not acknowledged is filled. */
  function Sign(props) {
    const shapes = {
      critical: h("path", { d: "M8 0 L16 8 L8 16 L0 8 Z" }),
      high: h("path", { d: "M8 1 L16 15 L0 15 Z" }),
      medium: h("rect", { x: 1.5, y: 1.5, width: 13, height: 13 }),
      low: h("circle", { cx: 8, cy: 8, r: 7 }),
    };
    return h(
      "svg",
      {
        className: "sign sign-" + props.priority + (props.seen ? " sign-seen" : ""),
        viewBox: "0 0 16 16",
        role: "img",
        "aria-label": markaz.text("priority." + props.priority),
      },
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

  function stateText(alarm) {
    const words = markaz.text("alarm_state." + alarm.state, { by: alarm.acknowledged_by || "" });
    return alarm.assignee ? words + " · → " + alarm.assignee : words;
  }

  function isSeen(alarm) {
    return alarm.state === "acknowledged" || alarm.state === "latched_acknowledged";
  }

  function ranked(alarms, order) {
    const rank = function (alarm) {
      return PRIORITIES.indexOf(alarm.priority);
    };
    const by = {
      urgent: function (a, b) {
        return isSeen(a) - isSeen(b) || rank(a) - rank(b) || b.raised_ms - a.raised_ms || (a.id < b.id ? -1 : 1);
      },
      newest: function (a, b) {
        return b.raised_ms - a.raised_ms || (a.id < b.id ? -1 : 1);
      },
      first: function (a, b) {
        return a.raised_ms - b.raised_ms || (a.id < b.id ? -1 : 1);
      },
    };
    return alarms.slice().sort(by[order]);
  }

  /* ---- what operators do ---- */

  function remembered(name, otherwise) {
    try {
      return localStorage.getItem("markaz." + name) || otherwise;
    } catch (error) {
      return otherwise;
    }
  }

  function remember(name, value) {
    try {
      localStorage.setItem("markaz." + name, value);
    } catch (error) {
      /* a page that may not store forgets */
    }
  }

  function send(alarm, verb, more) {
    const body = Object.assign({ version: alarm.version, by: remembered("operator", "") }, more);
    return fetch("/api/v1/alarms/" + alarm.id.split("/").map(encodeURIComponent).join("/") + "/" + verb, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }).then(
      function (answer) {
        if (answer.ok) return "";
        return answer.json().then(
          function (problem) {
            const words = markaz.text("do.refused." + answer.status);
            return words === "do.refused." + answer.status ? problem.detail : words + " " + problem.detail;
          },
          function () {
            return markaz.text("do.refused.503");
          },
        );
      },
      function () {
        return markaz.text("do.refused.503");
      },
    );
  }

  /* What can be done to an alarm of this state, with its key. */
  function deedsOf(alarm) {
    const deeds = [];
    if (!isSeen(alarm)) deeds.push(["acknowledge", "a"]);
    if (alarm.state === "latched_acknowledged") deeds.push(["reset", "r"]);
    deeds.push(["shelve", "s"], ["assign", "g"], ["comment", "c"]);
    return deeds;
  }

  function Deed(props) {
    const alarm = props.alarm;
    const verb = props.verb;
    const text = React.useState("");
    const forS = React.useState(SHELVE_S[1]);
    const name = React.useState(remembered("operator", ""));
    const first = React.useRef(null);
    React.useEffect(function () {
      if (first.current) first.current.focus();
    }, []);
    const needsName = !remembered("operator", "");
    const submit = function (event) {
      event.preventDefault();
      if (!name[0].trim() || (verb !== "acknowledge" && verb !== "reset" && !text[0].trim())) return;
      remember("operator", name[0].trim());
      const more = verb === "shelve" ? { reason: text[0], for_s: forS[0] } : verb === "acknowledge" || verb === "reset" ? {} : { text: text[0] };
      props.onDo(verb, more);
    };
    const field = function (label, state, ref, limit) {
      return h("label", null, label, h("input", { ref: ref, value: state[0], maxLength: limit, onChange: function (event) { state[1](event.target.value); } }));
    };
    return h(
      "form",
      {
        className: "deed",
        onSubmit: submit,
        onKeyDown: function (event) {
          event.stopPropagation();
          if (event.key === "Escape") props.onClose();
        },
        onClick: function (event) {
          event.stopPropagation();
        },
      },
      needsName ? field(markaz.text("do.name"), name, first, 80) : null,
      verb === "shelve" ? field(markaz.text("do.reason"), text, needsName ? null : first, 500) : null,
      verb === "assign" ? field(markaz.text("do.assignee"), text, needsName ? null : first, 80) : null,
      verb === "comment" ? field(markaz.text("do.comment"), text, needsName ? null : first, 2000) : null,
      verb === "shelve"
        ? h(
            "label",
            null,
            markaz.text("do.for"),
            h(
              "select",
              { value: forS[0], onChange: function (event) { forS[1](Number(event.target.value)); } },
              SHELVE_S.map(function (seconds) {
                return h("option", { key: seconds, value: seconds }, markaz.age(seconds));
              }),
            ),
          )
        : null,
      h("button", { type: "submit" }, markaz.text("do." + verb)),
      h("button", { type: "button", className: "quiet", onClick: props.onClose }, markaz.text("do.cancel")),
    );
  }

  function Alarm(props) {
    const alarm = props.alarm;
    const open = React.useState(""); // the deed whose form is open
    const said = React.useState("");
    const chosen = props.chosen;
    const choose = function () {
      props.onChoose(alarm.id);
      if (markaz.select && (alarm.source_kind === "vehicle" || alarm.source_kind === "camera")) markaz.select(alarm.source_kind, alarm.source_id, true);
    };
    const act = function (verb, more) {
      open[1]("");
      said[1](markaz.text("do.sent"));
      send(alarm, verb, more).then(said[1]);
    };
    const begin = function (verb) {
      const plain = verb === "acknowledge" || verb === "reset";
      if (plain && remembered("operator", "")) act(verb, {});
      else open[1](verb);
    };
    const onKeyDown = function (event) {
      const row = event.currentTarget;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
      const deed = props.quiet ? null : deedsOf(alarm).find(function (one) { return one[1] === event.key.toLowerCase(); });
      if (event.key === "Enter" || event.key === " ") choose();
      else if (next) next.focus();
      else if (deed) {
        props.onChoose(alarm.id);
        begin(deed[0]);
      } else return;
      event.preventDefault();
    };
    return h(
      "li",
      {
        className: "alarm alarm-" + alarm.priority + " alarm-is-" + alarm.state + (chosen ? " alarm-chosen" : "") + (alarm.gone ? " alarm-gone" : ""),
        "data-alarm": alarm.id,
        "data-rule": alarm.rule,
        "data-state": alarm.state,
        role: "button",
        tabIndex: props.first ? 0 : -1,
        onClick: choose,
        onKeyDown: onKeyDown,
      },
      h(Sign, { priority: alarm.priority, seen: isSeen(alarm) }),
      h(
        "div",
        { className: "alarm-words" },
        h("div", { className: "alarm-title" }, h("b", null, markaz.text("rule." + alarm.rule)), h("span", null, sourceOf(alarm))),
        h("div", { className: "alarm-text" }, alarmText(alarm)),
        h("div", { className: "alarm-place" }, [placeOf(alarm), stateText(alarm)].filter(Boolean).join(" · ")),
        chosen && !props.quiet && !open[0]
          ? h(
              "div",
              { className: "deeds" },
              deedsOf(alarm).map(function (deed) {
                return h(
                  "button",
                  { key: deed[0], type: "button", "data-do": deed[0], onClick: function (event) { event.stopPropagation(); begin(deed[0]); } },
                  markaz.text("do." + deed[0]),
                  h("kbd", null, deed[1].toUpperCase()),
                );
              }),
            )
          : null,
        open[0] ? h(Deed, { alarm: alarm, verb: open[0], onDo: act, onClose: function () { open[1](""); } }) : null,
        said[0] ? h("div", { className: "alarm-said", role: "status" }, said[0]) : null,
      ),
      h("div", { className: "alarm-time" }, h("b", null, markaz.moment(alarm.raised_ms)), h("span", null, markaz.age((markaz.now() - alarm.raised_ms) / 1000))),
    );
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

  /* The alarms to show: while the list is held, in the places where they were. */
  function useStill(alarms, order, held) {
    const before = React.useRef({ order: order, ids: [], known: {} });
    const last = before.current;
    const now = {};
    alarms.forEach(function (alarm) {
      now[alarm.id] = alarm;
    });
    if (held && last.order === order) {
      let fresh = 0;
      const ids = {};
      last.ids.forEach(function (id) { ids[id] = true; });
      alarms.forEach(function (alarm) { if (!ids[alarm.id]) fresh += 1; });
      const shown = last.ids.map(function (id) {
        if (now[id]) last.known[id] = now[id];
        return now[id] || Object.assign({}, last.known[id], { gone: true });
      });
      return { shown: shown, fresh: fresh };
    }
    const shown = ranked(alarms, order);
    before.current = { order: order, ids: shown.map(function (alarm) { return alarm.id; }), known: now };
    return { shown: shown, fresh: 0 };
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
    const release = React.useRef(0);
    const heard = React.useRef(null);
    markaz.useBeat();
    const all = frame ? frame.alarms : [];
    const waiting = all.filter(function (alarm) { return !isSeen(alarm); });
    React.useEffect(
      function () {
        if (!frame) return;
        const loud = waiting
          .filter(function (alarm) { return alarm.priority === "critical" || alarm.priority === "high"; })
          .map(function (alarm) { return alarm.id + "@" + alarm.raised_ms; });
        const before = heard.current;
        heard.current = new Set(loud);
        if (before && muted[0] !== "yes" && loud.some(function (one) { return !before.has(one); })) beep();
      },
      [frame],
    );
    const wanted = all.filter(function (alarm) {
      return PRIORITIES.indexOf(alarm.priority) <= PRIORITIES.indexOf(least[0]) && !(unseen[0] && isSeen(alarm));
    });
    const still = useStill(wanted, order[0], held[0] && !quiet);
    const list = props.limit ? still.shown.slice(0, props.limit) : still.shown;
    const hidden = frame ? frame.total - all.length + (still.shown.length - list.length) : 0;
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
        waiting.length ? h("span", { className: "unseen" }, "● ", markaz.text("alarms.unseen", { n: waiting.length })) : null,
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
        list.map(function (alarm, index) {
          return h(Alarm, { key: alarm.id, alarm: alarm, first: index === 0, quiet: quiet, chosen: alarm.id === chosen[0], onChoose: chosen[1] });
        }),
      ),
      hidden > 0 ? h("p", { className: "more" }, markaz.text("alarms.more", { n: hidden })) : null,
    );
  }

  markaz.PRIORITIES = PRIORITIES;
  markaz.PrioritySign = Sign;
  Object.assign(window.markaz_live, { Alarms: Alarms });
})();
