/* The page of the past: a banner that says so, the controls with their two scrub bars, and the alarms of that moment.
 *
 * The address always holds the moment, the speed and the view, so that it can be sent to somebody. What came from the
 * field or from operators is put into the page as text only.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const MINUTE_MS = 60000;
  const BACK_MS = 10 * MINUTE_MS; // where a page begins that was asked for no moment
  const ADDRESS_EVERY_MS = 1000; // browsers refuse a hundred changes in half a minute
  const ALARMS_SHOWN = 200;

  const times = function () {
    return markaz.replayTimes;
  };

  /* ---- the address ---- */

  function asked() {
    const query = new URLSearchParams(window.location.search);
    const at = Date.parse(query.get("at") || "");
    const view = (query.get("view") || "").split(",").map(Number);
    return {
      at: Number.isFinite(at) ? at : null,
      speed: Number(query.get("speed")) || 1,
      playing: query.get("play") === "1",
      view: view.length === 3 && view.every(Number.isFinite) ? { lat: view[0], lon: view[1], zoom: view[2] } : null,
    };
  }

  function address(state) {
    const query = new URLSearchParams(window.location.search);
    query.set("at", new Date(Math.round(state.at / 1000) * 1000).toISOString().replace(".000", ""));
    query.set("speed", String(state.speed));
    query.delete("play");
    const map = markaz.leaflet();
    if (map) {
      const centre = map.getCenter();
      query.set("view", [centre.lat.toFixed(5), centre.lng.toFixed(5), map.getZoom()].join(","));
    }
    return window.location.pathname + "?" + query.toString().replace(/%3A/g, ":").replace(/%2C/g, ",");
  }

  /* ---- the banner ---- */

  function ReplayBanner() {
    const state = markaz.useFrame("replay");
    markaz.useBeat();
    if (!state) return h("div", { className: "replay-banner" }, h("b", { className: "replay-past" }, h("span", { "aria-hidden": true }, "◀ "), markaz.text("replay.past")), markaz.text("replay.loading"));
    const ago = (markaz.now() - state.at) / 1000;
    return h(
      "div",
      { className: "replay-banner", role: "status" },
      h("b", { className: "replay-past" }, h("span", { "aria-hidden": true }, "◀ "), markaz.text("replay.past")),
      h("span", { className: "replay-day" }, times().dateText(state.at)),
      h("time", { className: "replay-time" }, markaz.clock(state.at, true)),
      h("span", { className: "replay-ago" }, state.edge ? markaz.text("replay.edge") : markaz.text("age", { age: markaz.age(ago) })),
      h("span", { className: "replay-state" }, stateWords(state)),
      h("a", { className: "replay-live", href: "/?lang=" + markaz.settings().lang }, markaz.text("replay.live")),
    );
  }

  function stateWords(state) {
    if (state.problem) return "✕ " + state.problem;
    if (!state.ready) return markaz.text("replay.loading");
    const words = [state.playing ? "▶ ×" + markaz.number(state.speed, 0) : "❚❚ " + markaz.text("replay.paused")];
    words.push(markaz.text("replay.vehicles", { n: state.vehicles }));
    if (state.stale) words.push(markaz.text("replay.silent", { n: state.stale }));
    return words.join(" · ");
  }

  /* ---- controls ---- */

  function useKeys(speeds) {
    React.useEffect(function () {
      const pressed = function (event) {
        const tag = event.target.tagName;
        if (tag === "INPUT" || tag === "SELECT" || tag === "TEXTAREA" || event.ctrlKey || event.metaKey || event.altKey) return;
        const replay = markaz.replay;
        const state = replay.state();
        const jump = (event.shiftKey ? 10 : 1) * MINUTE_MS;
        const at = speeds.indexOf(state.speed);
        const doings = {
          " ": function () { replay.play(!state.playing); },
          ArrowLeft: function () { replay.seek(state.at - jump); },
          ArrowRight: function () { replay.seek(state.at + jump); },
          ArrowUp: function () { replay.setSpeed(speeds[Math.min(speeds.length - 1, at + 1)]); },
          ArrowDown: function () { replay.setSpeed(speeds[Math.max(0, at - 1)]); },
          ",": function () { replay.step(-1); },
          ".": function () { replay.step(1); },
        };
        if (!doings[event.key] || (event.key === " " && tag === "BUTTON")) return;
        event.preventDefault();
        event.stopPropagation(); // the map would move by the arrows
        doings[event.key]();
      };
      document.addEventListener("keydown", pressed, true);
      return function () {
        document.removeEventListener("keydown", pressed, true);
      };
    }, []);
  }

  function Moment(props) {
    const typed = React.useState(null);
    const take = function () {
      const to = typed[0] === null ? NaN : times().fromLocal(typed[0]);
      typed[1](null);
      if (Number.isFinite(to)) markaz.replay.seek(to);
    };
    return h("input", {
      type: "datetime-local",
      step: 1,
      className: "replay-moment",
      "aria-label": markaz.text("replay.moment"),
      value: typed[0] === null ? times().localText(props.at) : typed[0],
      max: times().localText(markaz.now()),
      onChange: function (event) { typed[1](event.target.value); },
      onBlur: take,
      onKeyDown: function (event) {
        if (event.key === "Enter") take();
        if (event.key === "Escape") typed[1](null);
      },
    });
  }

  function ReplayControls(props) {
    const speeds = props.speeds.map(function (one) {
      return one[0];
    });
    const state = markaz.useFrame("replay");
    React.useState(function () {
      // Before the map looks where it was left: the address knows better.
      const view = asked().view;
      if (view) markaz.memory.set("view", view);
    });
    useKeys(speeds);
    React.useEffect(function () {
      const wanted = asked();
      let written = "";
      const steps = {};
      props.speeds.forEach(function (one) {
        steps[one[0]] = one[1];
      });
      markaz.replay.clear();
      const at = times().within(wanted.at === null ? markaz.now() - BACK_MS : wanted.at);
      markaz.replay.start({ at: at, speed: steps[wanted.speed] ? wanted.speed : 1, playing: wanted.playing, steps: steps });
      const timer = setInterval(function () {
        const now = markaz.frames.replay;
        const next = now && markaz.replay.state().at ? address(now) : "";
        if (!next || next === written) return;
        written = next;
        window.history.replaceState(window.history.state, "", next);
      }, ADDRESS_EVERY_MS);
      return function () {
        clearInterval(timer);
        markaz.replay.stop();
      };
    }, []);
    if (!state) return h("div", { className: "replay-controls" }, markaz.text("replay.loading"));
    const replay = markaz.replay;
    const button = function (key, sign, words, act, more) {
      return h("button", Object.assign({ type: "button", key: key, title: words, "aria-label": words, "data-do": key, onClick: act }, more || {}), sign);
    };
    return h(
      "div",
      { className: "replay-controls" },
      h(
        "div",
        { className: "replay-buttons" },
        button("back", "−1", markaz.text("replay.minute_back"), function () { replay.seek(state.at - MINUTE_MS); }),
        button("step_back", "❙◀", markaz.text("replay.step_back"), function () { replay.step(-1); }),
        button("play", state.playing ? "❚❚" : "▶", markaz.text(state.playing ? "replay.pause" : "replay.play"), function () { replay.play(!state.playing); }, { className: "replay-play" }),
        button("step_on", "▶❙", markaz.text("replay.step_on"), function () { replay.step(1); }),
        button("on", "+1", markaz.text("replay.minute_on"), function () { replay.seek(state.at + MINUTE_MS); }),
      ),
      h(
        "div",
        { className: "replay-speeds", role: "radiogroup", "aria-label": markaz.text("replay.speed") },
        speeds.map(function (speed) {
          return h(
            "button",
            { key: speed, type: "button", role: "radio", "aria-checked": speed === state.speed, className: speed === state.speed ? "on" : "", "data-speed": speed, onClick: function () { replay.setSpeed(speed); } },
            "×" + speed,
          );
        }),
      ),
      h("div", { className: "replay-choose" }, h(Moment, { at: state.at }), button("picture", markaz.text("replay.picture"), markaz.text("replay.picture_words"), markaz.saveReplayPicture)),
      h(markaz.ReplayBars, { at: state.at }),
    );
  }

  /* ---- the alarms of that moment ---- */

  function deedText(deed) {
    const parts = [markaz.clock(deed.at_ms, true), markaz.text("replay.act." + deed.action)];
    if (deed.by) parts.push(deed.by);
    if (deed.reason) parts.push(deed.reason);
    if (deed.action === "comment" || deed.action === "assign") parts.push("“" + deed.text + "”");
    if (deed.until_at) parts.push(markaz.text("replay.until", { at: markaz.clock(Date.parse(deed.until_at)) }));
    return parts.filter(Boolean).join(" · ");
  }

  function AlarmThen(props) {
    const alarm = props.alarm;
    const operate = markaz.operate;
    const go = function () {
      if (alarm.source_kind === "vehicle" || alarm.source_kind === "camera") markaz.select(alarm.source_kind, alarm.source_id, true);
      const map = markaz.leaflet();
      if (alarm.source_kind !== "vehicle" && alarm.lat !== null && map && !map.getBounds().pad(-0.15).contains([alarm.lat, alarm.lon])) map.panTo([alarm.lat, alarm.lon], { animate: false });
    };
    return h(
      "li",
      { className: "alarm", "data-alarm": alarm.id, "data-state": alarm.state, onClick: go },
      h(markaz.PrioritySign, { priority: alarm.priority, seen: operate.isSeen(alarm) }),
      h(
        "div",
        null,
        h("div", { className: "alarm-title" }, h("b", null, markaz.text("rule." + alarm.rule)), h("span", null, operate.sourceOf(alarm))),
        h("div", { className: "alarm-text" }, operate.alarmText(alarm)),
        h("div", { className: "alarm-place" }, operate.stateText(alarm)),
        alarm.deeds.slice(-4).map(function (deed, index) {
          return h("div", { key: index, className: "replay-deed" }, deedText(deed));
        }),
      ),
      h("div", { className: "alarm-time" }, h("time", null, markaz.clock(alarm.raised_ms)), h("span", null, markaz.age((props.at - alarm.raised_ms) / 1000))),
    );
  }

  function ReplayAlarms() {
    const frame = markaz.useFrame("replay_alarms");
    const state = markaz.useFrame("replay");
    const rank = function (alarm) {
      return [markaz.operate.isSeen(alarm) ? 1 : 0, markaz.PRIORITIES.indexOf(alarm.priority), -alarm.raised_ms];
    };
    const sorted = function (alarms) {
      return alarms.slice().sort(function (a, b) {
        const x = rank(a);
        const y = rank(b);
        return x[0] - y[0] || x[1] - y[1] || x[2] - y[2] || (a.id < b.id ? -1 : 1);
      });
    };
    if (!frame || !state || !frame.known) {
      return h("section", { className: "alarms" }, h("h2", null, markaz.text("replay.alarms")), h("div", { className: "empty" }, markaz.text("replay.loading")));
    }
    const list = function (alarms) {
      return sorted(alarms).slice(0, ALARMS_SHOWN).map(function (alarm) {
        return h(AlarmThen, { key: alarm.id, alarm: alarm, at: state.at });
      });
    };
    return h(
      "section",
      { className: "alarms replay-alarms" },
      h("h2", null, markaz.text("replay.alarms"), h("span", { className: "count" }, markaz.number(frame.announced.length, 0))),
      h(
        "ol",
        null,
        frame.announced.length ? list(frame.announced) : h("li", { className: "empty" }, markaz.text("replay.no_alarms")),
        frame.held.length ? h("li", { key: "held", className: "replay-held" }, markaz.text("replay.held", { n: frame.held.length })) : null,
        list(frame.held),
      ),
    );
  }

  Object.assign(window.markaz_live, { ReplayBanner: ReplayBanner, ReplayControls: ReplayControls, ReplayAlarms: ReplayAlarms });
})();
