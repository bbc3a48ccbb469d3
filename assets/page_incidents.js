/* The list of incidents: those that are open, and those that were closed not long ago.
 *
 * It is read again when the pushed frame says that an incident changed, never on a timer alone.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const READ_EVERY_MS = 2000;
  const LIMIT = 200;

  /* Asks `url` again when `stamp` is another one, at most every two seconds; {body, away, again}. */
  function useAsked(url, stamp) {
    const state = React.useState({ url: "", body: null, away: "" });
    const last = React.useRef({ url: "", stamp: null, at: 0, number: 0 });
    markaz.useBeat();
    const ask = function () {
      const number = last.current.number + 1;
      Object.assign(last.current, { url: url, stamp: stamp, at: performance.now(), number: number });
      return fetch(url, { cache: "no-store" })
        .then(function (answer) {
          if (answer.ok || answer.status === 404) return answer.status === 404 ? { body: null, away: "404" } : answer.json().then(function (body) { return { body: body, away: "" }; });
          throw new Error(String(answer.status));
        })
        .then(function (told) {
          if (number === last.current.number) state[1](Object.assign({ url: url }, told));
        })
        .catch(function () {
          if (number !== last.current.number) return;
          last.current.stamp = null; // asked again with the next beat
          state[1](function (before) { return { url: url, body: before.url === url ? before.body : null, away: "503" }; });
        });
    };
    React.useEffect(function () {
      const due = performance.now() - last.current.at >= READ_EVERY_MS;
      if (url !== last.current.url || (stamp !== last.current.stamp && due)) ask();
    });
    const known = state[0].url === url ? state[0] : { body: null, away: "" };
    return { body: known.body, away: known.away, again: ask };
  }

  function Row(props) {
    const one = props.incident;
    const opened = Date.parse(one.opened_at);
    return h(
      "tr",
      { "data-incident": one.id, className: "status-" + one.status },
      h("td", null, h(operate.Sign, { priority: one.priority, seen: one.status === "closed" || !one.unacknowledged })),
      h("th", { scope: "row" }, h(operate.Go, { path: "/incidents/" + one.id }, operate.titleOf(one)), h("small", null, one.id)),
      h("td", null, markaz.text("incident.status." + one.status), one.merged_into ? h("small", null, "→ " + one.merged_into) : null),
      h("td", { className: "n" }, markaz.number(one.standing, 0) + " / " + markaz.number(one.joined, 0)),
      h("td", { className: "n" }, one.cases.length ? markaz.number(one.cases.length, 0) : ""),
      h("td", null, one.assignee || ""),
      h("td", null, one.agencies.join(", ")),
      h("td", { className: "n" }, markaz.moment(opened), h("small", null, one.closed_at ? markaz.text("incident.until", { at: markaz.moment(Date.parse(one.closed_at)) }) : markaz.age((markaz.now() - opened) / 1000))),
    );
  }

  function Incidents() {
    const frame = markaz.useFrame("alarms");
    const making = React.useState(false);
    const said = React.useState("");
    const stamp = frame
      ? frame.incidents_total + ":" + frame.incidents.map(function (one) { return one.id + "@" + one.version + "/" + one.standing + "/" + one.unseen; }).join()
      : null;
    const asked = useAsked("/api/v1/incidents?state=all&limit=" + LIMIT, stamp);
    const rank = function (one) {
      return (one.status === "closed" ? 10 : 0) + markaz.PRIORITIES.indexOf(one.priority);
    };
    const rows = asked.body
      ? asked.body.incidents.slice().sort(function (a, b) {
          return rank(a) - rank(b) || (a.opened_at < b.opened_at ? 1 : -1);
        })
      : [];
    const make = function (values) {
      said[1](markaz.text("do.sent"));
      return operate.post("/api/v1/incidents", { title: values.title, alarms: [] }).then(function (result) {
        said[1](result.said);
        if (result.answer) making[1](false);
      });
    };
    const heads = ["", "incident", "incident.status", "incident.alarms", "incident.cases_head", "incident.assignee", "incident.agencies", "incident.since"];
    return h(
      "section",
      { className: "incidents greyable", "aria-label": markaz.text("page.incidents") },
      h(
        "header",
        null,
        h("h1", null, markaz.text("page.incidents")),
        h("span", { className: "count" }, frame ? markaz.text("incident.open_count", { n: frame.incidents_total }) : "–"),
        making[0]
          ? h(operate.Form, { name: "create", fields: [{ name: "title", label: "incident.title", required: true }], submit: "incident.create", onSubmit: make, onClose: function () { making[1](false); } })
          : h("button", { type: "button", className: "button", onClick: function () { making[1](true); } }, markaz.text("incident.create")),
        said[0] ? h("span", { className: "alarm-said", role: "status" }, said[0]) : null,
      ),
      asked.away ? h("p", { className: "empty" }, markaz.text("do.refused.503")) : null,
      asked.body && !rows.length ? h("p", { className: "empty" }, markaz.text("incident.none")) : null,
      h(
        "div",
        { className: "scroll" },
        h(
          "table",
          null,
          h("thead", null, h("tr", null, heads.map(function (words) { return h("th", { key: words, scope: "col" }, words ? markaz.text(words) : ""); }))),
          h("tbody", null, rows.map(function (one) { return h(Row, { key: one.id, incident: one }); })),
        ),
      ),
      asked.body && asked.body.next ? h("p", { className: "more" }, markaz.text("incident.older")) : null,
    );
  }

  markaz.useAsked = useAsked;
  Object.assign(window.markaz_live, { Incidents: Incidents });
})();
