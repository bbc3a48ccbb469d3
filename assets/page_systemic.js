/* Systemic problems: the list by weight of evidence, one of them in full, and what people do about it.
 *
 * It asks the API and again every half minute; which problem is chosen stands in the address, so that a link shows it.
 * What operators wrote is put into the page as text only.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const EVERY_MS = 30000;
  const SOON_MS = 3000; // while it is being searched
  const KINDS = ["all", "hot_spot", "repeat", "break", "trend", "reopened"];
  const STATES = ["open", "all", "new", "accepted", "in_work", "done", "closed", "rejected"];
  const SIGNS = { hot_spot: "◉", repeat: "↻", break: "⤒", trend: "↗", reopened: "⟲" };
  const STATE_SIGNS = { new: "○", accepted: "◔", in_work: "◑", done: "◕", closed: "●", rejected: "✕" };
  const PARTS = ["significance", "recurrence", "affected", "duration", "priority"];

  function address(id) {
    return "/api/v1/systemic/" + id.split("/").map(encodeURIComponent).join("/");
  }

  function lang() {
    return "lang=" + markaz.settings().lang;
  }

  function chosenInAddress() {
    try {
      return decodeURIComponent(window.location.hash.slice(1));
    } catch (error) {
      return "";
    }
  }

  /* Asks `url` at once, again every half minute, and when `turn` changes; [answer, whether the server is away]. */
  function useAsked(url, turn) {
    const state = React.useState({ url: "", told: null, away: false });
    React.useEffect(
      function () {
        let wanted = true;
        let timer = 0;
        const ask = function () {
          let next = EVERY_MS;
          fetch(url, { cache: "no-store" })
            .then(function (answer) {
              return answer.json().then(function (told) {
                if (!wanted) return;
                if (answer.ok && (told.searching || told.searched_at === null)) next = SOON_MS;
                if (answer.ok) state[1]({ url: url, told: told, away: false });
                else if (answer.status === 404) state[1]({ url: url, told: null, away: false, missing: true });
                else state[1](function (before) { return Object.assign({}, before, { away: true }); });
              });
            })
            .catch(function () {
              if (wanted) state[1](function (before) { return Object.assign({}, before, { away: true }); });
            })
            .finally(function () {
              if (wanted) timer = setTimeout(ask, next);
            });
        };
        if (url) ask();
        return function () {
          wanted = false;
          clearTimeout(timer);
        };
      },
      [url, turn],
    );
    // What was asked before stays until the answer is there; where none will come it is none to this question.
    return state[0].url === url || !state[0].away ? state[0] : { told: null, away: true };
  }

  /* ---- head ---- */

  function Head(props) {
    const told = props.told;
    const said = [];
    if (told && told.searched_at) said.push(markaz.text("systemic.searched", { at: markaz.moment(Date.parse(told.searched_at)), rises: told.rises, weeks: told.weeks }));
    if (told && told.searching) said.push(markaz.text("systemic.searching"));
    else if (told && !told.searched_at) said.push(markaz.text("systemic.waiting"));
    if (told && told.failed) said.push("▲ " + markaz.text("systemic.failed", { why: told.failed }));
    const choice = function (name, values, value, onChange) {
      return h(
        "label",
        null,
        h("span", null, markaz.text("systemic." + name)),
        h("select", { value: value, "data-choice": name, onChange: function (event) { onChange(event.target.value); } }, values.map(function (one) { return h("option", { key: one, value: one }, markaz.text("systemic." + name + "." + one)); })),
      );
    };
    return h(
      "header",
      { className: "systemic-head" },
      choice("kind", KINDS, props.kind, props.onKind),
      choice("state", STATES, props.state, props.onState),
      h("span", { className: "systemic-said", role: "status" }, said.join(" · ")),
      h("button", { type: "button", className: "button", "data-do": "print", disabled: !props.printable, onClick: function () { window.print(); } }, markaz.text("systemic.print")),
      h("button", { type: "button", className: "button", "data-do": "search", disabled: !told || told.searching, onClick: props.onSearch }, markaz.text("systemic.search")),
    );
  }

  /* ---- list ---- */

  function Weight(props) {
    return h("span", { className: "systemic-weight", title: markaz.text("systemic.score") }, h("i", { style: { width: 100 * props.score + "%" } }), h("b", null, markaz.number(100 * props.score, 0)));
  }

  function nothing(told, filtered) {
    if (!told.searched_at) return markaz.text(told.searching ? "systemic.searching" : "systemic.waiting");
    if (!told.known_since_at) return markaz.text("systemic.empty_log");
    if (told.weeks < told.weeks_needed) return markaz.text("systemic.short", { since: markaz.moment(Date.parse(told.known_since_at)), weeks: told.weeks, needed: told.weeks_needed });
    return markaz.text(filtered ? "systemic.none_state" : "systemic.none");
  }

  function List(props) {
    const told = props.told;
    const hidden = told.without_polygon.reduce(function (so, one) { return so + one.rises; }, 0);
    return h(
      "section",
      { className: "systemic-list" },
      h("h2", null, markaz.text("systemic.list"), h("span", { className: "count" }, markaz.number(told.problems.length, 0))),
      told.problems.length ? null : h("p", { className: "empty" }, nothing(told, props.filtered)),
      h(
        "ol",
        null,
        told.problems.map(function (one, index) {
          const on = one.id === props.chosen;
          return h(
            "li",
            { key: one.id },
            h(
              "button",
              { type: "button", className: on ? "on" : "", "aria-pressed": on, "data-problem": one.id, onClick: function () { props.onChoose(one.id); } },
              h("span", { className: "systemic-rank" }, markaz.number(index + 1, 0)),
              h(
                "span",
                { className: "systemic-what" },
                h("b", null, one.title),
                h("span", null, h("i", { "aria-hidden": true }, SIGNS[one.kind]), markaz.text("systemic.kind." + one.kind), " · ", one.why[0]),
              ),
              h("span", { className: "systemic-side" }, h(Weight, { score: one.score }), h("span", { className: "systemic-state state-" + one.state }, h("i", { "aria-hidden": true }, STATE_SIGNS[one.state]), markaz.text("systemic.state." + one.state))),
            ),
          );
        }),
      ),
      hidden || told.nowhere
        ? h("p", { className: "systemic-unplaced", title: told.without_polygon.map(function (one) { return operate.areaName(one.district) + ": " + markaz.number(one.rises, 0); }).join("\n") }, markaz.text("systemic.unplaced", { n: hidden, nowhere: told.nowhere || 0 }))
        : null,
    );
  }

  /* ---- one problem ---- */

  function dueAt(day) {
    return new Date(markaz.replayTimes.fromLocal(day + "T18:00:00")).toISOString(); // the end of that working day in the city
  }

  const FIELDS = {
    accept: [{ name: "owner", label: "systemic.owner", required: true, limit: 80 }, { name: "due", label: "systemic.due", type: "date", required: true }],
    assign: [{ name: "owner", label: "systemic.owner", limit: 80 }, { name: "due", label: "systemic.due", type: "date" }],
    done: [{ name: "text", label: "systemic.what_done", required: true, wide: true, limit: 2000 }],
    close: [{ name: "text", label: "systemic.close_why", wide: true, limit: 2000 }],
    reject: [{ name: "text", label: "do.reason", required: true, wide: true, limit: 2000 }],
    reopen: [{ name: "text", label: "do.reason", required: true, wide: true, limit: 2000 }],
    comment: [{ name: "text", label: "systemic.do.comment", required: true, wide: true, limit: 2000 }],
    start: [],
  };
  // What was taken on once is taken on anew: by whom and by when is said again.
  const AGAIN = FIELDS.accept.concat(FIELDS.reopen);

  function fieldsOf(verb, state) {
    return verb === "reopen" && state !== "rejected" ? AGAIN : FIELDS[verb];
  }

  function Follow(props) {
    const one = props.problem;
    const form = React.useState("");
    const said = React.useState("");
    const act = function (verb, values) {
      const body = { version: one.version };
      if (values.text) body.text = values.text;
      if (values.owner) body.owner = values.owner;
      if (values.due) body.due_at = dueAt(values.due);
      return operate.post(address(one.id) + "/" + verb + "?" + lang(), body).then(function (result) {
        said[1](result.said);
        if (!result.said) form[1]("");
        props.onDone();
        return !result.said;
      });
    };
    const facts = [];
    if (one.owner) facts.push(["systemic.owner", one.owner]);
    if (one.due_at) {
      const late = ["accepted", "in_work"].indexOf(one.state) >= 0 && Date.parse(one.due_at) < markaz.now();
      facts.push(["systemic.due", markaz.moment(Date.parse(one.due_at)) + (late ? " · ▲ " + markaz.text("systemic.overdue") : "")]);
    }
    return h(
      "section",
      { className: "systemic-follow" },
      h("h2", null, markaz.text("systemic.follow"), h("span", { className: "systemic-state state-" + one.state }, h("i", { "aria-hidden": true }, STATE_SIGNS[one.state]), markaz.text("systemic.state." + one.state))),
      facts.length ? h("dl", { className: "incident-facts" }, facts.map(function (fact) { return h("div", { key: fact[0] }, h("dt", null, markaz.text(fact[0])), h("dd", null, fact[1])); })) : null,
      one.measure ? h("p", { className: "systemic-measure" }, h("i", { "aria-hidden": true }, one.measure.dropped ? "✔ " : one.measure.returned ? "▲ " : "– "), one.measure.text) : null,
      one.reason ? h("p", { className: "timeline-said" }, one.reason) : null,
      one.found ? null : h("p", { className: "systemic-gone" }, markaz.text("systemic.not_found_now")),
      one.reopened ? h("p", { className: "systemic-gone" }, "▲ " + markaz.text("systemic.reopened_times", { n: one.reopened })) : null,
      h(
        "div",
        { className: "systemic-deeds" },
        one.can.map(function (verb) {
          return h("button", { key: verb, type: "button", className: "button", "data-do": verb, "aria-pressed": form[0] === verb, onClick: function () { form[1](form[0] === verb ? "" : verb); said[1](""); } }, markaz.text("systemic.do." + verb));
        }),
      ),
      form[0] && one.can.indexOf(form[0]) >= 0
        ? h(operate.Form, { key: form[0], name: form[0], fields: fieldsOf(form[0], one.state), submit: "systemic.do." + form[0], onSubmit: function (values) { return act(form[0], values); }, onClose: function () { form[1](""); } })
        : null,
      said[0] ? h("p", { className: "alarm-said", role: "status" }, said[0]) : null,
    );
  }

  function lineText(line) {
    if (line.deed === "reopen" && !line.by) return markaz.text("systemic.did.reopen_itself");
    return markaz.text("systemic.did." + line.deed, line.values);
  }

  function History(props) {
    if (!props.lines.length) return null;
    return h(
      "section",
      { className: "systemic-history" },
      h("h2", null, markaz.text("systemic.history")),
      h(
        "ol",
        null,
        props.lines.map(function (line) {
          return h("li", { key: line.version }, h("time", null, markaz.moment(Date.parse(line.at))), h("span", null, h("b", null, line.by || markaz.text("systemic.by_itself")), " ", lineText(line)), line.text ? h("p", { className: "timeline-said" }, line.text) : null);
        }),
      ),
    );
  }

  function Parts(props) {
    return h(
      "div",
      { className: "systemic-parts" },
      PARTS.filter(function (name) { return props.parts[name] !== undefined; }).map(function (name) {
        return h("div", { key: name }, h("span", null, markaz.text("systemic.part." + name)), h("u", null, h("i", { style: { width: 100 * props.parts[name] + "%" } })), h("b", null, markaz.number(100 * props.parts[name], 0)));
      }),
    );
  }

  function Detail(props) {
    const one = props.problem;
    return h(
      "section",
      { className: "systemic-detail", "data-detail": one.id },
      h("h1", null, one.title),
      h("p", { className: "systemic-kind" }, h("i", { "aria-hidden": true }, SIGNS[one.kind] + " "), markaz.text("systemic.kind." + one.kind)),
      h("h2", null, markaz.text("systemic.why")),
      h("ul", { className: "systemic-why" }, one.why.map(function (line, at) { return h("li", { key: at }, line); })),
      h(Parts, { parts: one.parts }),
      h("h2", null, markaz.text("systemic.proposal")),
      h("p", { className: "systemic-proposal" }, one.proposal),
      h(Follow, { key: one.id, problem: one, onDone: props.onDone }),
      h(History, { lines: props.history }),
    );
  }

  function Systemic(props) {
    markaz.useFrame("summary"); // the words come with the first frames
    const kind = React.useState(markaz.memory.get("systemic.kind") || "all");
    const state = React.useState(markaz.memory.get("systemic.state") || "open");
    const chosen = React.useState(chosenInAddress());
    const turn = React.useState(0);
    const query = "/api/v1/systemic?limit=500&" + lang() + "&state=" + state[0] + (kind[0] === "all" ? "" : "&kind=" + kind[0]);
    const asked = useAsked(query, turn[0]);
    const told = asked.told;
    const listed = told ? told.problems : [];
    const id = chosen[0] || (listed.length ? listed[0].id : "");
    const one = useAsked(id ? address(id) + "?" + lang() : "", turn[0]);
    const inList = listed.find(function (other) { return other.id === id; });
    const problem = one.told && one.told.id === id ? one.told : inList || null;
    const again = function () { turn[1](function (n) { return n + 1; }); };
    const choose = function (next) {
      chosen[1](next);
      window.history.replaceState(window.history.state, "", "#" + encodeURIComponent(next));
    };
    const filter = function (name, hook) {
      return function (value) {
        markaz.memory.set("systemic." + name, value);
        hook[1](value);
      };
    };
    const search = function () {
      operate.post("/api/v1/systemic", {}).then(again);
    };
    const figures = markaz.systemic;
    return h(
      "div",
      { className: "systemic" },
      h(Head, { told: told, printable: Boolean(problem), kind: kind[0], state: state[0], onKind: filter("kind", kind), onState: filter("state", state), onSearch: search }),
      asked.away ? h("p", { className: "load-away", role: "status" }, markaz.text("shift.away")) : null,
      told
        ? h(
            "div",
            { className: "systemic-columns" },
            h(List, { told: told, chosen: id, filtered: kind[0] !== "all" || state[0] !== "open", onChoose: choose }),
            h("div", { className: "systemic-figures" }, h(figures.Where, { ground: props.ground, problem: problem, problems: listed, onChoose: choose }), problem ? h(figures.Hours, { problem: problem }) : null, problem ? h(figures.Days, { problem: problem }) : null),
            problem ? h(Detail, { problem: problem, history: problem.history || [], onDone: again }) : h("section", { className: "systemic-detail" }, one.missing && one.url ? h("p", { className: "systemic-gone" }, markaz.text("systemic.not_found_now")) : null),
          )
        : null,
    );
  }

  Object.assign(window.markaz_live, { Systemic: Systemic });
})();
