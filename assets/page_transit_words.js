/* Words and numbers of the page of transport analysis, and the sentence on top of it. Pure. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});
  const NONE = "–";
  const SAID_FROM = 0.05; // a rarer thing is nothing to be told first
  const JUDGED_FROM = 30; // stops that were compared, headways

  function known(value) {
    return value !== null && value !== undefined && Number.isFinite(value);
  }

  function number(value, digits) {
    return known(value) ? markaz.number(value, digits || 0) : NONE;
  }

  function minutes(seconds, digits) {
    return known(seconds) ? markaz.number(seconds / 60, digits === undefined ? 1 : digits) : NONE;
  }

  function share(value) {
    if (!known(value)) return NONE;
    return markaz.number(100 * value, value > 0 && value < 0.0995 ? 1 : 0) + "\u00a0%";
  }

  function text(name, values) {
    return markaz.text(name, values);
  }

  function at(moment) {
    return markaz.analytics.words.moment(typeof moment === "number" ? moment : Date.parse(moment));
  }

  function hour(value) {
    return String(value).padStart(2, "0") + ":00";
  }

  /* "every fourth": a share that people say so; null for those that they do not. */
  function nth(value) {
    const n = Math.round(1 / value);
    return n >= 2 && n <= 10 && Math.abs(1 / n - value) < 0.035 ? text("transit.nth." + n) : null;
  }

  function often(kind, value) {
    const word = nth(value);
    return word ? text("transit.says." + kind + "_nth", { nth: word }) : text("transit.says." + kind, { share: share(value) });
  }

  /* What a person should know who reads nothing else: {says, more}. `one`: the line's summary, or nothing. */
  function sentence(view, one) {
    const start = text("transit.says.route", { route: view.route }) + ": ";
    if (!one || !one.passages) return { says: start + text("transit.says.nothing"), more: "" };
    let says;
    const more = [];
    // A handful of buses says nothing of a route.
    const judged = { punctual: known(one.late_share) && one.compared >= JUDGED_FROM, even: known(one.bunched_share) && one.headways >= JUDGED_FROM };
    if (judged.punctual) {
      const kinds = [["late", one.late_share], ["early", one.early_share]].filter(function (kind) { return kind[1] >= SAID_FROM; }).sort(function (a, b) { return b[1] - a[1]; });
      says = kinds.length ? often(kinds[0][0], kinds[0][1]) : text("transit.says.on_time", { share: share(one.on_time_share) });
      if (kinds.length > 1) more.push(often(kinds[1][0], kinds[1][1]));
    } else if (judged.even) says = one.bunched_share < SAID_FROM ? text("transit.says.even") : often("bunched", one.bunched_share);
    else says = text("transit.says.few");
    if (judged.punctual && judged.even && one.bunched_share >= SAID_FROM) more.push(often("bunched", one.bunched_share));
    if (known(one.wait_s)) more.push(text("transit.says.wait", { n: minutes(one.wait_s) }) + (one.excess_wait_s > 3 ? " " + text("transit.says.excess", { n: minutes(one.excess_wait_s) }) : ""));
    if (known(one.speed_kmh)) more.push(text("transit.says.speed", { n: number(one.speed_kmh, 1) }));
    more.push(text("transit.says.runs", { n: one.runs, vehicles: one.vehicles }));
    return { says: start + says, more: more.join(" · ") };
  }

  /* The rows of an answer, none where there is no answer. */
  function rows(part) {
    return (part && part.answer && part.answer.rows) || [];
  }

  transit.words = { NONE: NONE, known: known, number: number, minutes: minutes, share: share, text: text, at: at, hour: hour, sentence: sentence, rows: rows };
})();
