/* The timeline of an incident in words: who did what, and what its alarms did, newest first. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const operate = markaz.operate;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  function of(values, name) {
    return values[name] === undefined ? 0 : values[name];
  }

  /* What an operator or Markaz did to the incident. */
  const DEEDS = {
    open: function (line) {
      if (line.values.from) return markaz.text("deed.split_from", { id: line.values.from });
      return markaz.text(line.by ? "deed.open_by" : "deed.open");
    },
    join: function (line) {
      const alarms = of(line.values, "alarms");
      const cases = of(line.values, "cases");
      // No word of what did not join.
      const what = alarms && cases ? "deed.join" : cases ? "deed.join_cases" : "deed.join_alarms";
      return markaz.text(what, { alarms: alarms, cases: cases });
    },
    leave: function (line) {
      return markaz.text("deed.leave", { alarms: of(line.values, "alarms"), id: line.text });
    },
    merge: function (line) {
      return line.values.into ? markaz.text("deed.merge_into", { id: line.values.into }) : markaz.text("deed.merge_from", { id: line.values.from, alarms: of(line.values, "alarms") });
    },
    status: function (line) {
      const words = markaz.text("deed.status", { status: markaz.text("incident.status." + line.text) });
      return line.values.reason ? words + " · " + line.values.reason : words;
    },
    priority: function (line) {
      return markaz.text("deed.priority", { priority: markaz.text("priority." + line.text) });
    },
    title: function (line) {
      return markaz.text("deed.title", { text: line.text || "–" });
    },
    assign: function (line) {
      return line.text ? markaz.text("deed.assign", { text: line.text }) : markaz.text("deed.assign_nobody");
    },
    agencies: function (line) {
      return markaz.text("deed.agencies", { text: line.text || "–" });
    },
    comment: function (line) {
      return line.text;
    },
    check: function (line) {
      return markaz.text("deed.check", { n: line.text });
    },
    uncheck: function (line) {
      return markaz.text("deed.uncheck", { n: line.text });
    },
    attach: function (line) {
      return markaz.text("deed.attach", { text: line.text });
    },
    promise: function (line) {
      return markaz.text("deed.promise", { text: line.text, at: markaz.moment(line.values.due_ms) });
    },
    keep_promise: function (line) {
      return markaz.text("deed.keep_promise", { text: line.text });
    },
  };

  /* What its alarms did: one alarm by its source, several by their number. */
  function actionOf(line) {
    const who = line.alarms > 1 ? markaz.text("timeline.many", { n: line.alarms }) : operate.areaName(line.source);
    const words = [markaz.text("rule." + line.rule) + " · " + who + ": " + markaz.text("action." + line.action)];
    if (line.text) words.push(line.text);
    if (line.reason && line.action !== "rise") words.push(line.action === "suppress" ? operate.suppressedBy(line.reason) : line.reason);
    return words.join(" · ");
  }

  function Timeline(props) {
    return h(
      "ol",
      { className: "timeline" },
      props.lines.map(function (line) {
        const deed = line.deed && DEEDS[line.deed];
        const key = line.deed ? line.incident + "@" + line.version : line.alarm + "@" + line.version + line.action;
        return h(
          "li",
          { key: key, className: line.deed ? "timeline-deed" : "timeline-alarm", "data-deed": line.deed || undefined, "data-action": line.action },
          h("time", { dateTime: line.at }, markaz.moment(Date.parse(line.at))),
          h("span", { className: "timeline-by" }, line.by || "Markaz"),
          h("span", { className: line.deed === "comment" ? "timeline-said" : "" }, deed ? deed(line) : line.deed || actionOf(line)),
        );
      }),
    );
  }

  markaz.Timeline = Timeline;
})();
