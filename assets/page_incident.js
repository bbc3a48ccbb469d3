/* One incident: what it is, what is to be done, what happened; and the forms by which operators work on it.
 *
 * What came from the field or from operators is put into the page as text only; links only to http and https.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const PRIORITIES = markaz.PRIORITIES;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const ALARMS = 200;
  const LINES = 200;
  const STATUSES = ["open", "in_progress", "closed"];

  /* Points of the map: [lat, lon, rank of the priority]; cases as the least urgent. */
  function pointsOf(body) {
    const points = [];
    body.alarms.forEach(function (alarm) {
      if (alarm.lat !== null) points.push([alarm.lat, alarm.lon, PRIORITIES.indexOf(alarm.priority)]);
    });
    body.known_cases.forEach(function (one) {
      if (one.lat !== null) points.push([one.lat, one.lon, PRIORITIES.length - 1]);
    });
    if (!points.length && body.lat !== null) points.push([body.lat, body.lon, PRIORITIES.indexOf(body.priority)]);
    return points;
  }

  function Part(props) {
    return h("section", { className: "incident-part " + (props.className || "") }, h("h2", null, markaz.text(props.title), props.count ? h("span", { className: "count" }, props.count) : null), props.children);
  }

  function Button(props) {
    return h("button", { type: "button", className: "button", disabled: props.disabled, "aria-pressed": props.pressed, "data-do": props.name, onClick: props.onClick }, props.children);
  }

  /* ---- head ---- */

  function why(body) {
    if (body.merged_into) return h("p", { className: "incident-why" }, markaz.text("incident.merged_into") + " ", h(operate.Go, { path: "/incidents/" + body.merged_into }, body.merged_into));
    if (!body.rule) return h("p", { className: "incident-why" }, markaz.text("incident.by_operator"));
    const common = operate.commonOf(body);
    const words = markaz.text("incident.why", { rule: operate.worded("incident.rule", body.rule) });
    return h("p", { className: "incident-why" }, common ? words + " " + markaz.text("incident.common", { common: common }) : words);
  }

  function Head(props) {
    const body = props.body;
    const form = props.form;
    const closing = function (values) {
      return props.act("status", { text: "closed", reason: values.reason, force: body.standing > 0 });
    };
    const choose = function (status) {
      if (status === body.status) return;
      if (status === "closed") form[1]("close");
      else props.act("status", { text: status });
    };
    const opened = Date.parse(body.opened_at);
    const facts = [
      ["incident.since", markaz.moment(opened) + " · " + markaz.age((markaz.now() - opened) / 1000)],
      ["incident.alarms", markaz.text("incident.counts", { standing: body.standing, joined: body.joined })],
      ["incident.place", operate.placeOf(body) || "–"],
      ["incident.agencies", body.agencies.join(", ") || "–"],
      ["incident.assignee", body.assignee || markaz.text("incident.nobody")],
    ];
    if (body.closed_at) facts.splice(1, 0, ["incident.closed", markaz.moment(Date.parse(body.closed_at))]);
    const edit = function (name, field, sent) {
      return h(operate.Form, {
        name: name,
        fields: [field],
        submit: "do.save",
        onSubmit: sent,
        onClose: function () { form[1](""); },
      });
    };
    return h(
      "header",
      { className: "incident-head alarm-" + body.priority },
      h(
        "div",
        { className: "incident-name" },
        h(operate.Sign, { priority: body.priority, seen: !body.unacknowledged }),
        h("h1", null, operate.titleOf(body)),
        h("span", { className: "incident-id" }, markaz.text("incident.number", { id: body.id })),
      ),
      why(body),
      h("dl", { className: "incident-facts" }, facts.map(function (fact) { return h("div", { key: fact[0] }, h("dt", null, markaz.text(fact[0])), h("dd", null, fact[1])); })),
      h(
        "div",
        { className: "incident-tools" },
        h(
          "div",
          { className: "segmented", role: "radiogroup", "aria-label": markaz.text("incident.status") },
          STATUSES.map(function (status) {
            return h("button", { key: status, type: "button", role: "radio", "aria-checked": status === body.status, className: status === body.status ? "on" : "", "data-status": status, disabled: Boolean(body.merged_into), onClick: function () { choose(status); } }, markaz.text("incident.status." + status));
          }),
        ),
        h(
          "select",
          { value: body.priority, "aria-label": markaz.text("alarms.least"), disabled: props.closed, onChange: function (event) { props.act("priority", { text: event.target.value }); } },
          PRIORITIES.map(function (one) { return h("option", { key: one, value: one }, markaz.text("priority." + one)); }),
        ),
        h(Button, { name: "acknowledge", disabled: !body.unacknowledged, onClick: function () { props.act("acknowledge", {}); } }, markaz.text("do.acknowledge_all") + (body.unacknowledged ? " (" + markaz.number(body.unacknowledged, 0) + ")" : "")),
        h(Button, { name: "assign", disabled: props.closed, onClick: function () { form[1]("assign"); } }, markaz.text("do.assign")),
        h(Button, { name: "agencies", disabled: props.closed, onClick: function () { form[1]("agencies"); } }, markaz.text("incident.agencies")),
        h(Button, { name: "title", disabled: props.closed, onClick: function () { form[1]("title"); } }, markaz.text("incident.title")),
        h(Button, { name: "merge", disabled: props.closed, onClick: function () { form[1]("merge"); } }, markaz.text("incident.merge")),
      ),
      form[0] === "close"
        ? h(operate.Form, { name: "close", fields: [{ name: "reason", label: body.standing ? "incident.close_standing" : "do.reason", required: body.standing > 0, wide: true, limit: 500 }], submit: "incident.close", onSubmit: closing, onClose: function () { form[1](""); } })
        : null,
      form[0] === "assign" ? edit("assign", { name: "text", label: "do.assignee", value: body.assignee || "", limit: 80 }, function (values) { return props.act("assign", { text: values.text }); }) : null,
      form[0] === "agencies"
        ? edit("agencies", { name: "text", label: "incident.agencies_comma", value: body.agencies.join(", "), wide: true }, function (values) {
            return props.act("agencies", { agencies: values.text.split(",").map(function (one) { return one.trim(); }).filter(Boolean) });
          })
        : null,
      form[0] === "title" ? edit("title", { name: "text", label: "incident.title", value: body.title || "", wide: true }, function (values) { return props.act("title", { text: values.text }); }) : null,
      form[0] === "merge" ? h(Merge, { body: body, act: props.act, onClose: function () { form[1](""); } }) : null,
      props.said ? h("p", { className: "alarm-said", role: "status" }, props.said) : null,
    );
  }

  function Merge(props) {
    const frame = markaz.useFrame("alarms");
    const others = (frame ? frame.incidents : []).filter(function (one) { return one.id !== props.body.id; });
    if (!others.length) return h("p", { className: "empty" }, markaz.text("incident.none_other"));
    const options = [["", "–"]].concat(others.map(function (one) { return [one.id, one.id + " · " + operate.titleOf(one)]; }));
    return h(operate.Form, { name: "merge", fields: [{ name: "into", label: "incident.merge_into", options: options, required: true, wide: true }], submit: "incident.merge", onSubmit: function (values) { return props.act("merge", { into: values.into }); }, onClose: props.onClose });
  }

  /* ---- what is to be done ---- */

  function Checklist(props) {
    const steps = props.body.checklist;
    const lang = markaz.settings().lang;
    const done = steps.filter(function (step) { return step.done_at; }).length;
    return h(
      Part,
      { title: "incident.checklist", count: done + " / " + steps.length },
      h(
        "ol",
        { className: "checklist" },
        steps.map(function (step, at) {
          return h(
            "li",
            { key: at },
            h(
              "label",
              null,
              h("input", { type: "checkbox", checked: Boolean(step.done_at), disabled: props.closed, onChange: function (event) { props.act(event.target.checked ? "check" : "uncheck", { number: at + 1 }); } }),
              h("span", null, step.text[lang] || step.text.en || Object.values(step.text)[0] || ""),
            ),
            step.done_at ? h("small", null, step.done_by + " · " + markaz.moment(Date.parse(step.done_at))) : null,
          );
        }),
      ),
    );
  }

  /* What a form's local time means: the machine's zone, as the operator reads the clock beside it. */
  function dueAt(minutes) {
    return new Date(markaz.now() + Number(minutes) * 60000).toISOString();
  }

  function Promises(props) {
    const body = props.body;
    const times = [15, 30, 60, 120, 240, 480, 1440].map(function (minutes) { return [String(minutes), markaz.age(minutes * 60)]; });
    return h(
      Part,
      { title: "incident.promises" },
      h(
        "ol",
        { className: "promises" },
        body.promises.map(function (one, at) {
          const due = Date.parse(one.due_at);
          const late = !one.kept_at && due < markaz.now();
          return h(
            "li",
            { key: at, className: one.kept_at ? "kept" : late ? "late" : "" },
            h("span", null, (one.kept_at ? "✓ " : late ? "! " : "") + one.text),
            h("small", null, one.by + " · " + markaz.text(one.kept_at ? "incident.kept" : late ? "incident.overdue" : "incident.due", { at: markaz.moment(Date.parse(one.kept_at || one.due_at)) })),
            one.kept_at ? null : h(Button, { name: "keep-promise", onClick: function () { props.act("keep-promise", { number: at + 1 }); } }, markaz.text("incident.keep")),
          );
        }),
      ),
      props.closed
        ? null
        : h(operate.Form, {
            name: "promise",
            stays: true,
            fields: [
              { name: "text", label: "incident.promise", required: true, wide: true },
              { name: "due", label: "incident.within", options: times, value: "60" },
            ],
            submit: "do.add",
            onSubmit: function (values) { return props.act("promise", { text: values.text, due_at: dueAt(values.due) }); },
          }),
    );
  }

  function Links(props) {
    return h(
      Part,
      { title: "incident.links" },
      h(
        "ol",
        { className: "links" },
        props.body.attachments.map(function (one, at) {
          const safe = /^https?:\/\//i.test(one.url);
          return h("li", { key: at }, safe ? h("a", { href: one.url, target: "_blank", rel: "noopener noreferrer" }, one.title) : one.title, h("small", null, one.by + " · " + markaz.moment(Date.parse(one.at))));
        }),
      ),
      h(operate.Form, {
        name: "attach",
        stays: true,
        fields: [
          { name: "url", label: "incident.url", type: "url", required: true, wide: true, limit: 2000 },
          { name: "text", label: "incident.link_title" },
        ],
        submit: "do.add",
        onSubmit: function (values) { return props.act("attach", { url: values.url, text: values.text }); },
      }),
    );
  }

  /* ---- its alarms: chosen ones can be split off ---- */

  function Members(props) {
    const body = props.body;
    const chosen = React.useState({});
    const frame = markaz.useFrame("alarms");
    const ids = Object.keys(chosen[0]).filter(function (id) { return chosen[0][id]; });
    const toggle = function (id) {
      const next = Object.assign({}, chosen[0]);
      next[id] = !next[id];
      chosen[1](next);
    };
    const split = function (values) {
      return props.act("split", { alarms: ids, text: values.text }).then(function (done) {
        if (done) chosen[1]({});
        return done;
      });
    };
    const loose = (frame ? frame.alarms : []).map(function (alarm) { return [alarm.id, markaz.text("rule." + alarm.rule) + " · " + operate.sourceOf(alarm)]; });
    return h(
      Part,
      { title: "incident.members", count: markaz.number(body.known, 0), className: "incident-members" },
      h(
        "ol",
        null,
        body.known_cases.map(function (one) {
          return h("li", { key: one.source + "|" + one.id, className: "member" }, h("span", { className: "member-case" }, "☎"), h("span", null, h("b", null, markaz.text("incident.case")), " " + [one.category, one.title, one.status].filter(Boolean).join(" · ")), h("time", null, markaz.moment(Date.parse(one.measured_at))));
        }),
        body.alarms.map(function (told) {
          const alarm = operate.alarmOf(told);
          return h(
            "li",
            { key: alarm.id, className: "member alarm-is-" + alarm.state, "data-alarm": alarm.id },
            h("input", { type: "checkbox", checked: Boolean(chosen[0][alarm.id]), disabled: props.closed, "aria-label": markaz.text("incident.choose"), onChange: function () { toggle(alarm.id); } }),
            h(operate.Sign, { priority: alarm.priority, seen: operate.isSeen(alarm) || !alarm.active }),
            h("span", null, h("b", null, markaz.text("rule." + alarm.rule)), " " + operate.sourceOf(alarm) + (alarm.id === body.first_alarm ? " · " + markaz.text("incident.first") : ""), h("small", null, operate.alarmText(alarm) + " · " + operate.stateText(alarm))),
            h("time", null, markaz.moment(alarm.raised_ms)),
          );
        }),
      ),
      body.known > body.alarms.length ? h("p", { className: "more" }, markaz.text("alarms.more", { n: body.known - body.alarms.length })) : null,
      ids.length
        ? h(operate.Form, { key: "split", name: "split", stays: true, fields: [{ name: "text", label: "incident.title" }], submit: "incident.split", onSubmit: split, onClose: function () { chosen[1]({}); } })
        : !props.closed && loose.length
          ? h(operate.Form, { key: "join", name: "join", stays: true, fields: [{ name: "alarm", label: "incident.join", options: [["", "–"]].concat(loose), required: true, wide: true }], submit: "do.add", onSubmit: function (values) { return props.act("join", { alarms: [values.alarm] }); } })
          : null,
    );
  }

  function Incident(props) {
    const frame = markaz.useFrame("alarms");
    const form = React.useState("");
    const said = React.useState("");
    const row = frame ? frame.incidents.find(function (one) { return one.id === props.incident; }) : null;
    const stamp = frame ? (row ? [row.version, row.standing, row.announced, row.unseen].join() : "gone") : null;
    const asked = markaz.useAsked("/api/v1/incidents/" + encodeURIComponent(props.incident) + "?limit=" + ALARMS + "&timeline=" + LINES, stamp);
    const body = asked.body;
    React.useEffect(
      function () {
        if (body) markaz.publish("focus", { id: body.id, points: pointsOf(body) });
      },
      [body],
    );
    React.useEffect(function () {
      return function () {
        markaz.publish("focus", null);
      };
    }, []);
    const waits = React.useRef(null); // what is done as soon as the operator has said who he is
    const forget = function () {
      if (waits.current) waits.current.drop();
      waits.current = null;
    };
    /* A promise of whether it was done: a form keeps what was typed until then. */
    const act = function (verb, more) {
      if (!operate.remembered("operator", "")) {
        forget();
        form[1]("name");
        return new Promise(function (told) {
          waits.current = { go: function () { told(act(verb, more)); }, drop: function () { told(false); } };
        });
      }
      said[1](markaz.text("do.sent"));
      return operate.toIncident(body, verb, more).then(function (result) {
        const done = Boolean(result.answer);
        const own = verb === "status" ? "close" : verb;
        if (done) form[1](function (now) { return now === own ? "" : now; });
        said[1](result.said);
        asked.again();
        return done;
      });
    };
    const named = function () {
      const waiting = waits.current;
      waits.current = null;
      form[1]("");
      if (waiting) waiting.go();
    };
    const unnamed = function () {
      forget();
      form[1]("");
    };
    if (!body) return h("section", { className: "incident-body" }, h("p", { className: "empty" }, asked.away === "404" ? markaz.text("incident.unknown", { id: props.incident }) : asked.away ? markaz.text("do.refused.503") : markaz.text("incident.loading")));
    const closed = body.status === "closed";
    return h(
      "section",
      { className: "incident-body greyable", "data-incident": body.id, "data-version": body.version, "data-status": body.status },
      h(Head, { body: body, act: act, form: form, said: said[0], closed: closed }),
      form[0] === "name" ? h(operate.Form, { name: "name", fields: [], submit: "do.save", onSubmit: named, onClose: unnamed }) : null,
      h(
        "div",
        { className: "incident-columns" },
        h(
          "div",
          { className: "incident-column" },
          h(
            Part,
            { title: "incident.timeline", className: "incident-timeline" },
            h(operate.Form, { name: "comment", stays: true, fields: [{ name: "text", label: "do.comment", required: true, wide: true, limit: 2000 }], submit: "do.comment", onSubmit: function (values) { return act("comment", { text: values.text }); } }),
            h(markaz.Timeline, { lines: body.timeline }),
          ),
        ),
        h(
          "div",
          { className: "incident-column scroll" },
          body.checklist.length ? h(Checklist, { body: body, act: act, closed: closed }) : null,
          h(Promises, { body: body, act: act, closed: closed }),
          h(Links, { body: body, act: act }),
          h(Members, { body: body, act: act, closed: closed }),
        ),
      ),
    );
  }

  Object.assign(window.markaz_live, { Incident: Incident });
})();
