/* What all pages of alarms and incidents share: their words and signs, and how a deed is sent.
 *
 * What came from the field or from operators is put into the page as text only.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const PRIORITIES = ["critical", "high", "medium", "low"];

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
    // Words of the field and of the rules (a network, a quantity, a unit) where the catalogue has them.
    Object.keys(values).forEach(function (name) {
      if (name !== "kind" && typeof values[name] === "string") values[name] = worded(name, values[name]);
    });
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
    if (alarm.source_kind === "area") return areaName(alarm.source_id);
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

  /* An alarm as the API tells it, in the shape of the pushed frame. */
  function alarmOf(told) {
    return Object.assign({}, told, {
      source_kind: told.source.kind,
      source_id: told.source.id,
      raised_ms: Date.parse(told.raised_at),
      values: told.values || {},
    });
  }

  /* ---- incidents ---- */

  /* Words of a key, or what the configuration calls it. */
  function worded(group, name) {
    const words = markaz.text(group + "." + name);
    return words === group + "." + name ? name : words;
  }

  /* Why an alarm is held by design: what it does itself, or the alarm that explains it. */
  function suppressedBy(reason) {
    const words = markaz.text("shift.why." + reason);
    return words === "shift.why." + reason ? worded("rule", reason.split(":")[0]) : words;
  }

  function areaName(code) {
    return (markaz.areaNames || {})[code] || code;
  }

  /* What its members have in common, in words. */
  function commonOf(incident) {
    return Object.keys(incident.common || {})
      .map(function (what) {
        const value = incident.common[what];
        if (what === "network") return worded("network", value);
        if (what === "rule") return worded("rule", value);
        if (what === "route") return markaz.text("route", { route: value });
        return what === "source" ? value : areaName(value);
      })
      .join(" · ");
  }

  /* "Power network · Chilonzor tumani"; an operator's own title goes first. */
  function titleOf(incident) {
    if (incident.title) return incident.title;
    const common = commonOf(incident);
    const named = incident.common && incident.common.network ? "" : incident.rule ? worded("incident.rule", incident.rule) : markaz.text("incident");
    const place = common ? "" : areaName(incident.mahalla || incident.district || "");
    return [named, common, place].filter(Boolean).join(" · ");
  }

  /* ---- deeds ---- */

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

  /* Sends what an operator does; gives {said, answer}: why it was refused, or the answer. */
  function post(path, body) {
    return fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.assign({ by: remembered("operator", "") }, body)),
    }).then(
      function (answer) {
        return answer.json().then(
          function (told) {
            if (answer.ok) return { said: "", answer: told };
            const words = markaz.text("do.refused." + answer.status);
            return { said: words === "do.refused." + answer.status ? told.detail : words + " " + told.detail, answer: null };
          },
          function () {
            return { said: markaz.text("do.refused.503"), answer: null };
          },
        );
      },
      function () {
        return { said: markaz.text("do.refused.503"), answer: null };
      },
    );
  }

  function toAlarm(alarm, verb, more) {
    const path = "/api/v1/alarms/" + alarm.id.split("/").map(encodeURIComponent).join("/") + "/" + verb;
    return post(path, Object.assign({ version: alarm.version }, more));
  }

  function toIncident(incident, verb, more) {
    return post("/api/v1/incidents/" + encodeURIComponent(incident.id) + "/" + verb, Object.assign({ version: incident.version }, more));
  }

  /* `path` with the language that the page is in. */
  function pageUrl(path) {
    return path + "?lang=" + markaz.settings().lang;
  }

  /* A link to another page of ours: taken without loading anew, so that the stream goes on. */
  function Go(props) {
    const href = pageUrl(props.path);
    const go = function (event) {
      event.stopPropagation();
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      window.history.pushState({}, "", href);
      window.dispatchEvent(new CustomEvent("_dashprivate_pushstate")); // what Dash's own links tell its router
    };
    return h("a", { href: href, className: props.className, onClick: go }, props.children);
  }

  /* A small form: `fields` are [{name, label, type, options, required}]. One that opens asks for the operator's name
     where it is not known; one that stays on the page leaves that to it.
     `onSubmit` may give a promise of whether it was done: what was typed stays until it was. What was chosen stays
     chosen while the options change; when it is not among them any more, nothing is sent. */
  function Form(props) {
    const values = React.useState(function () {
      const first = {};
      props.fields.forEach(function (field) { first[field.name] = field.value || ""; });
      return first;
    });
    const name = React.useState("");
    const first = React.useRef(null);
    const labels = React.useRef({}); // of what was chosen, for when it is gone
    const busy = React.useRef(false);
    const refused = React.useState(false);
    const needsName = React.useState(!props.stays && !remembered("operator", ""))[0];
    React.useEffect(function () {
      if (!props.stays && first.current) first.current.focus();
    }, []);
    const set = function (field, value) {
      const next = Object.assign({}, values[0]);
      next[field] = value;
      values[1](next);
      refused[1](false);
    };
    const gone = function (field) {
      const value = values[0][field.name];
      return Boolean(field.options && value) && !field.options.some(function (option) { return option[0] === value; });
    };
    const submit = function (event) {
      event.preventDefault();
      if (needsName && !name[0].trim()) return;
      if (props.fields.some(function (field) { return field.required && !values[0][field.name].trim(); })) return;
      if (busy.current) return;
      if (props.fields.some(gone)) return refused[1](true);
      if (name[0].trim()) remember("operator", name[0].trim());
      const sent = values[0];
      busy.current = true;
      Promise.resolve(props.onSubmit(sent)).then(function (done) {
        busy.current = false;
        if (done === false || !props.stays) return;
        const empty = {};
        props.fields.forEach(function (field) { empty[field.name] = field.value || ""; });
        // Who typed on meanwhile keeps what he typed.
        values[1](function (now) { return now === sent ? empty : now; });
      });
    };
    const fields = needsName ? [{ name: "", label: "do.name", required: true }].concat(props.fields) : props.fields;
    return h(
      "form",
      {
        className: "deed",
        "data-form": props.name,
        onSubmit: submit,
        onKeyDown: function (event) {
          event.stopPropagation();
          if (event.key === "Escape" && props.onClose) props.onClose();
        },
      },
      fields.map(function (field, index) {
        const same = {
          ref: index === 0 ? first : null,
          value: field.name ? values[0][field.name] : name[0],
          onChange: function (event) {
            if (field.name) set(field.name, event.target.value);
            else name[1](event.target.value);
          },
        };
        const chosen = values[0][field.name];
        const options = field.options ? field.options.slice() : [];
        options.forEach(function (option) { if (option[0] === chosen) labels.current[field.name] = option[1]; });
        if (gone(field)) options.push([chosen, labels.current[field.name] || chosen]);
        const input = field.options
          ? h(
              "select",
              same,
              options.map(function (option) { return h("option", { key: option[0], value: option[0] }, option[1]); }),
            )
          : h("input", Object.assign(same, { type: field.type || "text", maxLength: field.limit || 200, name: field.name || "by" }));
        return h("label", { key: field.name, className: field.wide ? "wide" : "" }, markaz.text(field.label), input);
      }),
      h("button", { type: "submit" }, markaz.text(props.submit)),
      refused[0] && props.fields.some(gone) ? h("span", { className: "alarm-said", role: "status" }, "▲ " + markaz.text("do.choice_gone")) : null,
      props.onClose ? h("button", { type: "button", className: "quiet", onClick: props.onClose }, markaz.text("do.cancel")) : null,
    );
  }

  markaz.PRIORITIES = PRIORITIES;
  markaz.PrioritySign = Sign;
  markaz.operate = {
    Sign: Sign,
    alarmText: alarmText,
    placeOf: placeOf,
    sourceOf: sourceOf,
    stateText: stateText,
    isSeen: isSeen,
    alarmOf: alarmOf,
    worded: worded,
    suppressedBy: suppressedBy,
    areaName: areaName,
    commonOf: commonOf,
    titleOf: titleOf,
    remembered: remembered,
    remember: remember,
    post: post,
    toAlarm: toAlarm,
    toIncident: toIncident,
    Go: Go,
    Form: Form,
  };
})();
