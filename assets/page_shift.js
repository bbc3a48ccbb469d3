/* The page of the shift: the summary for the next one, the shift log, and the two signatures of a hand-over.
 *
 * While a hand-over waits to be taken the summary is shown as it was signed: that is what the arriving operator reads.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const EVERY_MS = 10000;

  function at(time) {
    return time ? markaz.moment(Date.parse(time)) : "–";
  }

  function pageUrl(path) {
    return path + "?lang=" + markaz.settings().lang;
  }

  function percent(share) {
    return markaz.number(share * 100, share > 0 && share < 0.0995 ? 1 : 0) + "\u00a0%";
  }

  /* ---- the summary ---- */

  function table(columns, rows) {
    return h(
      "table",
      null,
      h("thead", null, h("tr", null, columns.map(function (column, index) { return h("th", { key: index, scope: "col", className: column[1] }, column[0] ? markaz.text(column[0]) : null); }))),
      h(
        "tbody",
        null,
        rows.map(function (row, index) {
          return h("tr", { key: index }, row.map(function (cell, place) { return h("td", { key: place, className: columns[place][1] }, cell); }));
        }),
      ),
    );
  }

  function Part(props) {
    const more = (props.total || 0) - props.rows.length;
    return h(
      "section",
      { className: "part", "data-part": props.name },
      h("h2", null, markaz.text("shift." + props.name), props.total === undefined ? null : h("span", { className: "count" }, markaz.number(props.total, 0))),
      props.rows.length ? table(props.columns, props.rows) : h("p", { className: "empty" }, markaz.text("shift.none")),
      more > 0 ? h("p", { className: "more" }, markaz.text("shift.more", { n: more })) : null,
    );
  }

  function alarmCell(line) {
    return [
      h("div", { key: "name", className: "pareto-alarm" }, h(markaz.PrioritySign, { priority: line.priority }), h("b", null, markaz.text("rule." + line.rule)), h("span", null, markaz.operate.sourceOf(line))),
      h("small", { key: "words" }, markaz.operate.alarmText(Object.assign({ values: {} }, line))),
    ];
  }

  function priorityCell(priority) {
    return h("span", { className: "by" }, h(markaz.PrioritySign, { priority: priority }), " ", markaz.text("priority." + priority));
  }

  function incidentCell(one) {
    return h("div", { className: "pareto-alarm" }, h(markaz.PrioritySign, { priority: one.priority }), h("a", { href: pageUrl("/incidents/" + one.id) }, markaz.operate.titleOf(one)), h("span", null, one.id));
  }

  function feedName(feed) {
    const words = markaz.text("feed." + feed);
    return words === "feed." + feed ? feed : words;
  }

  function Load(props) {
    const load = props.load;
    const figures = [
      ["announced", markaz.number(load.announced, 0)],
      ["per_10min", markaz.number(load.mean_per_10min, 1)],
      ["peak", markaz.number(load.peak_10min, 0)],
      ["over", percent(load.share_over_10)],
      ["flood", markaz.number(load.flood_s / 60, 0)],
    ];
    return h(
      "section",
      { className: "part", "data-part": "load" },
      h("h2", null, markaz.text("shift.load")),
      h("div", { className: "load-numbers" }, figures.map(function (one) { return h("span", { key: one[0] }, h("b", null, one[1]), " ", markaz.text("shift.load." + one[0])); })),
    );
  }

  function Summary(props) {
    const summary = props.summary;
    const now = Date.parse(summary.at);
    return h(
      "div",
      { className: "summary" },
      h(Part, {
        name: "open",
        columns: [["shift.priority", ""], ["shift.open_n", "n"], ["shift.unacknowledged", "n"], ["shift.oldest", "wide"], ["shift.stands_since", "time"]],
        rows: summary.open.map(function (one) {
          return [priorityCell(one.priority), markaz.number(one.open, 0), markaz.number(one.unacknowledged, 0), one.oldest ? alarmCell(one.oldest) : "–", one.oldest ? at(one.oldest.since_at) : ""];
        }),
      }),
      h(Part, {
        name: "incidents",
        total: summary.totals.incidents,
        columns: [["shift.incident", "wide"], ["shift.status", ""], ["shift.assignee", ""], ["shift.alarms_n", "n"], ["shift.opened", "time"]],
        rows: summary.incidents.map(function (one) {
          return [incidentCell(one), markaz.text("shift.incident." + one.status), one.assignee || "–", markaz.number(one.alarms, 0), at(one.opened_at) + (one.closed_at ? " – " + at(one.closed_at) : "")];
        }),
      }),
      h(Part, {
        name: "promises",
        total: summary.totals.promises,
        columns: [["shift.promise", "wide"], ["shift.promised_by", ""], ["shift.incident", ""], ["shift.due", "time"]],
        rows: summary.promises.map(function (one) {
          const late = Date.parse(one.due_at) < now;
          return [one.text, one.by, one.incident, h("span", { className: late ? "late" : "" }, at(one.due_at), late ? " ▲ " + markaz.text("shift.overdue") : "")];
        }),
      }),
      h(Part, {
        name: "held",
        total: summary.totals.held,
        columns: [["shift.alarm", "wide"], ["shift.how", ""], ["shift.why", "wide"], ["shift.until", "time"]],
        rows: summary.held.map(function (one) {
          const why = one.how === "suppressed" ? markaz.operate.suppressedBy(one.reason) : one.reason;
          return [alarmCell(one.alarm), markaz.text("shift.held." + one.how), [why, one.by].filter(Boolean).join(" · ") || "–", at(one.until_at)];
        }),
      }),
      h(Part, {
        name: "stale",
        total: summary.totals.stale,
        columns: [["shift.alarm", "wide"], ["shift.stands_since", "time"]],
        rows: summary.stale.map(function (one) { return [alarmCell(one), at(one.since_at)]; }),
      }),
      h(Part, {
        name: "feeds",
        columns: [["shift.feed", "wide"], ["shift.how", ""], ["shift.last_message", "time"]],
        rows: summary.feeds.map(function (one) {
          return [feedName(one.feed), markaz.text("shift.feed." + one.state) + (one.state === "incomplete" && one.completeness !== null ? " · " + percent(one.completeness) : ""), markaz.age(one.age_s)];
        }),
      }),
      summary.load ? h(Load, { load: summary.load }) : null,
    );
  }

  function Lines(props) {
    if (!props.lines.length) return h("p", { className: "empty" }, markaz.text("shift.log.empty"));
    return h(
      "ol",
      { className: "log-lines" },
      props.lines.map(function (line, index) {
        return h("li", { key: index }, h("div", null, h("time", null, at(line.at)), h("b", null, line.by)), h("p", null, line.text));
      }),
    );
  }

  /* ---- forms ---- */

  /* A form with a name; `fields` are the other inputs. What was typed stays until it has been taken. */
  function Form(props) {
    const name = React.useState(props.anybody ? "" : markaz.operate.remembered("operator", ""));
    const words = React.useState("");
    const said = React.useState("");
    const busy = React.useState(false);
    const refused = props.notBy && name[0].trim() && same(name[0], props.notBy);
    const submit = function (event) {
      event.preventDefault();
      if (busy[0] || refused || !name[0].trim() || (props.needsWords && !words[0].trim())) return;
      if (!props.anybody) markaz.operate.remember("operator", name[0].trim());
      busy[1](true);
      const body = Object.assign({ by: name[0].trim() }, props.body);
      if (props.words) body[props.words[0]] = words[0].trim();
      markaz.operate.post(props.path, body).then(function (answer) {
        busy[1](false);
        said[1](answer.said);
        if (answer.answer) words[1]("");
        props.onDone(answer.answer);
      });
    };
    return h(
      "form",
      { className: "shift-form", onSubmit: submit, "data-form": props.name },
      props.words
        ? h(
            "label",
            null,
            markaz.text(props.words[1]),
            h("textarea", { value: words[0], rows: props.words[2], maxLength: props.words[3], onChange: function (event) { words[1](event.target.value); } }),
          )
        : null,
      h("label", null, markaz.text("shift.name"), h("input", { value: name[0], maxLength: 80, autoComplete: "off", onChange: function (event) { name[1](event.target.value); } })),
      h("button", { type: "submit", disabled: busy[0] || Boolean(refused) }, markaz.text(props.button)),
      refused ? h("p", { className: "late", role: "status" }, "▲ " + markaz.text("shift.accept.other")) : null,
      said[0] ? h("p", { className: "late", role: "status" }, said[0]) : null,
    );
  }

  function same(one, other) {
    const plain = function (name) { return name.trim().toLowerCase().split(/\s+/).join(" "); };
    return plain(one) === plain(other);
  }

  /* ---- the page ---- */

  /* What a path of the API answers, asked again and again; `again` asks at once. */
  function useAnswer(path, everyMs, anew) {
    const state = React.useState({ told: null, status: 0 });
    const round = React.useState(0);
    React.useEffect(
      function () {
        let wanted = true;
        let timer = 0;
        const ask = function () {
          fetch(path, { cache: "no-store" })
            .then(function (answer) {
              return answer.json().then(function (told) {
                if (wanted) state[1](function (before) { return { told: answer.ok ? told : before.told, status: answer.status }; });
              });
            })
            .catch(function () {
              if (wanted) state[1](function (before) { return { told: before.told, status: 503 }; });
            })
            .finally(function () {
              if (wanted && everyMs) timer = setTimeout(ask, everyMs);
            });
        };
        ask();
        return function () {
          wanted = false;
          clearTimeout(timer);
        };
      },
      [path, round[0], anew],
    );
    return {
      told: state[0].told,
      status: state[0].status,
      again: function () { round[1](function (before) { return before + 1; }); },
    };
  }

  function Print() {
    return h("button", { type: "button", className: "shift-print", onClick: function () { window.print(); } }, markaz.text("shift.print"));
  }

  function Earlier(props) {
    const limit = React.useState(12);
    const found = useAnswer("/api/v1/shifts?limit=" + limit[0], 0, props.round);
    const shifts = found.told ? found.told.shifts : [];
    return h(
      "section",
      { className: "part earlier" },
      h("h2", null, markaz.text("shift.earlier")),
      found.told && !shifts.length ? h("p", { className: "empty" }, markaz.text("shift.earlier.none")) : null,
      h(
        "ol",
        null,
        shifts.map(function (one) {
          return h("li", { key: one.number }, h("a", { href: pageUrl("/shift/" + one.number) }, markaz.number(one.number, 0)), h("time", null, at(one.accepted_at)), h("span", null, one.leaving + " → " + one.arriving));
        }),
      ),
      found.told && found.told.next ? h("button", { type: "button", className: "older", onClick: function () { limit[1](Math.min(500, limit[0] * 4)); } }, markaz.text("shift.earlier.more")) : null,
    );
  }

  function Signatures(props) {
    const one = props.record;
    const row = function (what, by, when) {
      return h("tr", null, h("th", { scope: "row" }, markaz.text("shift." + what)), h("td", null, h("b", null, by)), h("td", { className: "time" }, at(when)));
    };
    return h(
      "section",
      { className: "part" },
      h("h2", null, markaz.text("shift.signatures")),
      h("table", { className: "signatures" }, h("tbody", null, row("leaving", one.leaving, one.signed_at), one.arriving ? row("arriving", one.arriving, one.accepted_at) : null)),
      one.note ? [h("h3", { key: "h" }, markaz.text("shift.note")), h("p", { key: "p", className: "shift-note" }, one.note)] : null,
    );
  }

  function Present() {
    const found = useAnswer("/api/v1/shift", EVERY_MS);
    const asSigned = React.useState(true);
    const round = React.useState(0);
    const told = found.told;
    const done = function () {
      found.again();
      round[1](round[0] + 1);
    };
    if (!told) return found.status ? h("p", { className: "load-away" }, markaz.text("shift.away")) : null;
    const pending = told.pending;
    const signed = pending && asSigned[0];
    const summary = signed ? pending.summary : told.summary;
    return h(
      "div",
      { className: "shift" },
      h(
        "header",
        { className: "shift-head" },
        h("h1", null, markaz.text("shift.since", { at: at(summary.since_at) })),
        told.on_duty ? h("span", null, markaz.text("shift.on_duty", { by: told.on_duty })) : null,
        h("span", null, markaz.text("shift.as_of", { at: at(summary.at) })),
        pending
          ? h(
              "div",
              { className: "segmented load-spans" },
              h("button", { type: "button", className: signed ? "on" : "", onClick: function () { asSigned[1](true); } }, markaz.text("shift.signed_view", { at: at(pending.signed_at) })),
              h("button", { type: "button", className: signed ? "" : "on", onClick: function () { asSigned[1](false); } }, markaz.text("shift.now_view")),
            )
          : null,
        h(Print, null),
      ),
      found.status !== 200 ? h("p", { className: "load-away", role: "status" }, markaz.text("shift.away")) : null,
      h(
        "div",
        { className: "shift-columns" },
        h(Summary, { summary: summary }),
        h(
          "div",
          { className: "shift-side" },
          pending
            ? h(
                "section",
                { className: "part taking" },
                h("h2", null, markaz.text("shift.accept")),
                h("p", null, markaz.text("shift.accept.read", { by: pending.leaving, at: at(pending.signed_at) })),
                pending.note ? h("p", { className: "shift-note" }, pending.note) : null,
                h(Form, { name: "accept", path: "/api/v1/shift/handover/accept", body: { version: told.version }, anybody: true, notBy: pending.leaving, button: "shift.accept.sign", onDone: done }),
              )
            : null,
          h(
            "section",
            { className: "part" },
            h("h2", null, markaz.text("shift.log")),
            h(Form, { name: "log", path: "/api/v1/shift/log", words: ["text", "shift.log.text", 2, 2000], needsWords: true, button: "shift.log.write", onDone: done }),
            h(Lines, { lines: (signed ? pending.lines : told.lines).slice().reverse() }),
          ),
          h(
            "section",
            { className: "part" },
            h("h2", null, markaz.text("shift.handover")),
            h(Form, {
              name: "handover",
              path: "/api/v1/shift/handover",
              body: { version: told.version },
              words: ["note", "shift.handover.note", 4, 4000],
              button: pending ? "shift.handover.again" : "shift.handover.sign",
              onDone: done,
            }),
          ),
          h(Earlier, { round: round[0] }),
        ),
      ),
    );
  }

  function Record(props) {
    const found = useAnswer("/api/v1/shifts/" + props.number, 0);
    const one = found.told;
    if (!one) return found.status ? h("p", { className: "load-away" }, markaz.text(found.status === 404 ? "shift.unknown" : "shift.away")) : null;
    return h(
      "div",
      { className: "shift" },
      h(
        "header",
        { className: "shift-head" },
        h("h1", null, markaz.text("shift.record", { number: one.number })),
        h("span", null, at(one.summary.since_at) + " – " + at(one.signed_at)),
        h("a", { href: pageUrl("/shift") }, markaz.text("shift.present")),
        h(Print, null),
      ),
      h(
        "div",
        { className: "shift-columns" },
        h(Summary, { summary: one.summary }),
        h(
          "div",
          { className: "shift-side" },
          h(Signatures, { record: one }),
          h("section", { className: "part" }, h("h2", null, markaz.text("shift.log")), h(Lines, { lines: one.lines })),
          h(Earlier, { round: 0 }),
        ),
      ),
    );
  }

  function Shift(props) {
    markaz.useFrame("summary"); // the words come with the first frames
    return props.number ? h(Record, { number: props.number }) : h(Present, null);
  }

  Object.assign(window.markaz_live, { Shift: Shift });
})();
