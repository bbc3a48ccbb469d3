/* The rows of the operator's list: an alarm, an incident, and what operators do about them. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const remembered = operate.remembered;
  const remember = operate.remember;
  const isSeen = operate.isSeen;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const SHELVE_S = [900, 3600, 28800, 86400];

  /* ---- what operators do ---- */

  /* What can be done to an alarm of this state, with its key. */
  function deedsOf(alarm) {
    const deeds = [];
    if (!isSeen(alarm)) deeds.push(["acknowledge", "a"]);
    if (alarm.state === "latched_acknowledged") deeds.push(["reset", "r"]);
    deeds.push(["shelve", "s"], ["assign", "g"], ["comment", "c"]);
    return deeds;
  }

  function deedsOfIncident(incident) {
    const deeds = [];
    if (incident.unseen) deeds.push(["acknowledge", "a"]);
    deeds.push(["assign", "g"], ["comment", "c"]);
    return deeds;
  }

  function Deed(props) {
    const verb = props.verb;
    const text = React.useState("");
    const forS = React.useState(SHELVE_S[1]);
    const name = React.useState(remembered("operator", ""));
    const first = React.useRef(null);
    const busy = React.useRef(false);
    React.useEffect(function () {
      if (first.current) first.current.focus();
    }, []);
    const needsName = React.useState(!remembered("operator", ""))[0];
    const submit = function (event) {
      event.preventDefault();
      if (busy.current) return;
      if (!name[0].trim() || (verb !== "acknowledge" && verb !== "reset" && !text[0].trim())) return;
      remember("operator", name[0].trim());
      const more = verb === "shelve" ? { reason: text[0], for_s: forS[0] } : verb === "acknowledge" || verb === "reset" ? {} : { text: text[0] };
      busy.current = true;
      props.onDo(verb, more).then(function () {
        busy.current = false;
      });
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

  /* A deed from its key or button to what came of it: {open, said, begin, form, words}. */
  function useDeeds(send) {
    const open = React.useState(""); // the deed whose form is open
    const said = React.useState("");
    const act = function (verb, more) {
      said[1](markaz.text("do.sent"));
      return send(verb, more).then(function (result) {
        said[1](result.said);
        // What was refused stays written.
        if (!result.said) open[1](function (now) { return now === verb ? "" : now; });
      });
    };
    return {
      open: open[0],
      begin: function (verb) {
        const plain = verb === "acknowledge" || verb === "reset";
        if (plain && remembered("operator", "")) act(verb, {});
        else open[1](verb);
      },
      form: open[0] ? h(Deed, { verb: open[0], onDo: act, onClose: function () { open[1](""); } }) : null,
      words: said[0] ? h("div", { className: "alarm-said", role: "status" }, said[0]) : null,
    };
  }

  function DeedButtons(props) {
    return h(
      "div",
      { className: "deeds" },
      props.deeds.map(function (deed) {
        return h(
          "button",
          { key: deed[0], type: "button", "data-do": deed[0], onClick: function (event) { event.stopPropagation(); props.onBegin(deed[0]); } },
          markaz.text(props.words && props.words[deed[0]] ? props.words[deed[0]] : "do." + deed[0]),
          h("kbd", null, deed[1].toUpperCase()),
        );
      }),
      props.children,
    );
  }

  /* Keys of a row: arrows to its neighbours, Enter, and the letters of its deeds. */
  function keysOf(deeds, quiet, enter, begin, more) {
    return function (event) {
      const row = event.currentTarget;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const next = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
      const deed = quiet ? null : deeds.find(function (one) { return one[1] === event.key.toLowerCase(); });
      if (event.key === "Enter" || event.key === " ") enter();
      else if (more && more(event.key)) {
        /* done */
      } else if (next) next.focus();
      else if (deed) begin(deed[0]);
      else return;
      event.preventDefault();
    };
  }

  function Since(props) {
    return h("div", { className: "alarm-time" }, h("b", null, markaz.moment(props.at)), h("span", null, markaz.age((markaz.now() - props.at) / 1000)));
  }

  function Alarm(props) {
    const alarm = props.row.alarm;
    const chosen = props.chosen;
    const deeds = useDeeds(function (verb, more) { return operate.toAlarm(alarm, verb, more); });
    const choose = function () {
      props.onChoose(props.row.id);
      if (markaz.select && (alarm.source_kind === "vehicle" || alarm.source_kind === "camera")) markaz.select(alarm.source_kind, alarm.source_id, true);
    };
    const begin = function (verb) {
      props.onChoose(props.row.id);
      deeds.begin(verb);
    };
    const fold = function (key) {
      if (key !== "ArrowLeft" || !props.row.inside) return false;
      props.onFold();
      return true;
    };
    return h(
      "li",
      {
        className:
          "alarm alarm-" + alarm.priority + " alarm-is-" + alarm.state + (chosen ? " alarm-chosen" : "") + (props.row.gone ? " alarm-gone" : "") + (props.row.inside ? " alarm-inside" : ""),
        "data-alarm": alarm.id,
        "data-rule": alarm.rule,
        "data-state": alarm.state,
        role: "button",
        tabIndex: props.first ? 0 : -1,
        onClick: choose,
        onKeyDown: keysOf(deedsOf(alarm), props.quiet, choose, begin, fold),
      },
      h(operate.Sign, { priority: alarm.priority, seen: isSeen(alarm) }),
      h(
        "div",
        { className: "alarm-words" },
        h("div", { className: "alarm-title" }, h("b", null, markaz.text("rule." + alarm.rule)), h("span", null, operate.sourceOf(alarm))),
        h("div", { className: "alarm-text" }, operate.alarmText(alarm)),
        // Of a long line the place is cut, not what is to be done.
        h("div", { className: "alarm-place" }, operate.placeOf(alarm) ? h("span", null, operate.placeOf(alarm)) : null, h("span", null, operate.placeOf(alarm) ? "\u00a0· " : "", operate.stateText(alarm))),
        chosen && !props.quiet && !deeds.open ? h(DeedButtons, { deeds: deedsOf(alarm), onBegin: begin }) : null,
        deeds.form,
        deeds.words,
      ),
      h(Since, { at: alarm.raised_ms }),
    );
  }

  function Incident(props) {
    const incident = props.row.incident;
    const chosen = props.chosen;
    const unfolded = props.unfolded;
    const deeds = useDeeds(function (verb, more) { return operate.toIncident(incident, verb, more); });
    const toggle = function () {
      props.onChoose(props.row.id);
      if (!props.quiet) props.onUnfold(unfolded ? "" : incident.id);
    };
    const begin = function (verb) {
      props.onChoose(props.row.id);
      deeds.begin(verb);
    };
    const arrows = function (key) {
      if (props.quiet || (key === "ArrowRight") === unfolded || (key !== "ArrowRight" && key !== "ArrowLeft")) return false;
      toggle();
      return true;
    };
    const counts = [
      markaz.text("incident.counts", { standing: incident.standing, joined: incident.joined }),
      incident.unseen ? markaz.text("alarms.unseen", { n: incident.unseen }) : "",
      incident.cases ? markaz.text("incident.cases", { n: incident.cases }) : "",
    ];
    const state = [markaz.text("incident.status." + incident.status), incident.assignee ? "→ " + incident.assignee : ""];
    return h(
      "li",
      {
        className: "alarm incident alarm-" + incident.priority + (props.row.seen ? " incident-seen" : "") + (chosen ? " alarm-chosen" : "") + (props.row.gone ? " alarm-gone" : ""),
        "data-incident": incident.id,
        "data-status": incident.status,
        "aria-expanded": props.quiet ? undefined : unfolded,
        role: "button",
        tabIndex: props.first ? 0 : -1,
        onClick: toggle,
        onKeyDown: keysOf(deedsOfIncident(incident), props.quiet, toggle, begin, arrows),
      },
      h(operate.Sign, { priority: incident.priority, seen: props.row.seen }),
      h(
        "div",
        { className: "alarm-words" },
        h("div", { className: "alarm-title" }, h("b", null, (props.quiet ? "" : unfolded ? "▾ " : "▸ ") + operate.titleOf(incident))),
        h("div", { className: "alarm-text" }, counts.filter(Boolean).join(" · ")),
        incident.first ? h("div", { className: "alarm-first" }, markaz.text("incident.first") + ": " + markaz.text("rule." + incident.first.rule) + " · " + operate.sourceOf(incident.first) + " · " + operate.alarmText(incident.first)) : null,
        h("div", { className: "alarm-place" }, [markaz.text("incident.number", { id: incident.id })].concat(state).filter(Boolean).join(" · ")),
        chosen && !props.quiet && !deeds.open
          ? h(
              DeedButtons,
              { deeds: deedsOfIncident(incident), onBegin: begin, words: { acknowledge: "do.acknowledge_all" } },
              h(operate.Go, { path: "/incidents/" + incident.id }, markaz.text("incident.open_page")),
            )
          : null,
        deeds.form,
        deeds.words,
      ),
      h(Since, { at: incident.opened_ms }),
    );
  }

  markaz.rows = { Alarm: Alarm, Incident: Incident };
})();
