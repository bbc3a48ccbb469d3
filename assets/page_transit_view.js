/* What the page of transport analysis shows, as plain data and as the query of its link. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});

  const SHOWS = ["headways", "travel", "diagram", "punctuality", "load", "od", "fuel", "dwell", "use"];
  const WINDOWS_H = [1, 3, 6]; // of the diagram; 0: all of the span

  function time(ms) {
    return new Date(ms).toISOString().replace(".000Z", "Z");
  }

  function moment(text) {
    const ms = text ? Date.parse(text.replace(" ", "+")) : NaN;
    return Number.isNaN(ms) ? null : ms;
  }

  function place(text) {
    return /^\d{1,4}$/.test(text || "") ? Number(text) : null;
  }

  /* The view of a link. What it leaves out is as at first: today, in the first direction, headways. */
  function read(search, now, zone) {
    const given = new URLSearchParams(search);
    const view = {
      route: given.get("route") || "",
      direction: given.get("direction") === "2" ? 2 : 1,
      show: SHOWS.indexOf(given.get("show")) >= 0 ? given.get("show") : "headways",
      from: moment(given.get("from")),
      to: moment(given.get("to")),
      window: WINDOWS_H.indexOf(Number(given.get("window"))) >= 0 ? Number(given.get("window")) : 0,
      at: moment(given.get("at")),
      fromPlace: place(given.get("from_place")), // of the travel time between two stops; null: the line's end
      toPlace: place(given.get("to_place")),
    };
    if (view.from === null || view.to === null || view.from >= view.to) Object.assign(view, markaz.analytics.presets(now, zone).today);
    return view;
  }

  function write(view, lang) {
    const pairs = new URLSearchParams();
    if (lang) pairs.set("lang", lang);
    if (view.route) pairs.set("route", view.route);
    if (view.direction !== 1) pairs.set("direction", String(view.direction));
    if (view.show !== "headways") pairs.set("show", view.show);
    pairs.set("from", time(view.from));
    pairs.set("to", time(view.to));
    if (view.window) pairs.set("window", String(view.window));
    if (view.window && view.at !== null) pairs.set("at", time(view.at));
    if (view.fromPlace !== null) pairs.set("from_place", String(view.fromPlace));
    if (view.toPlace !== null) pairs.set("to_place", String(view.toPlace));
    return "?" + pairs.toString();
  }

  /* The address of a question about a view: `what`, how its rows are cut, and what else it says ({parameter: value}). */
  function question(view, what, by, span, more) {
    const pairs = new URLSearchParams();
    pairs.set("route", view.route);
    // Vehicles are not of a direction.
    if (["fuel", "use"].indexOf(what) < 0) pairs.set("direction", String(view.direction));
    pairs.set("from", time(span ? span.from : view.from));
    pairs.set("to", time(span ? span.to : view.to));
    if (by) pairs.set("by", by);
    Object.keys(more || {}).forEach(function (name) { pairs.set(name, more[name]); });
    return what + "?" + pairs.toString();
  }

  /* The link of the page as React state: every change is a step in the browser's history. */
  const PATH = "/transit";
  let heard = null; // who is told that the link has changed by itself

  // Dash's own listener would build the page anew for each step back. Scripts of assets come before it.
  window.addEventListener(
    "popstate",
    function (event) {
      if (!heard || window.location.pathname !== PATH) return;
      event.stopImmediatePropagation();
      heard();
    },
    true,
  );

  function useView() {
    const zone = markaz.settings().timezone;
    const now = function () { return read(window.location.search, markaz.now(), zone); };
    const lang = function () { return new URLSearchParams(window.location.search).get("lang"); };
    const state = React.useState(now);
    const view = React.useRef(state[0]);
    view.current = state[0];
    React.useEffect(function () {
      heard = function () { state[1](now()); };
      // What was opened without times has them from now on: the link says what is seen.
      window.history.replaceState(window.history.state, "", PATH + write(view.current, lang()));
      // The page in another language is the same view.
      const languages = function (event) {
        const link = event.target.closest && event.target.closest(".languages a");
        if (!link) return;
        event.preventDefault();
        window.location.assign(PATH + write(view.current, link.lang));
      };
      document.addEventListener("click", languages);
      return function () {
        heard = null;
        document.removeEventListener("click", languages);
      };
    }, []);
    /* `quietly`: no step of its own to go back to. */
    const change = function (values, quietly) {
      const next = Object.assign({}, view.current, values);
      if (JSON.stringify(next) === JSON.stringify(view.current)) return;
      view.current = next;
      window.history[quietly ? "replaceState" : "pushState"](window.history.state, "", PATH + write(next, lang()));
      state[1](next);
    };
    return [state[0], change];
  }

  Object.assign(transit, { SHOWS: SHOWS, WINDOWS_H: WINDOWS_H, readView: read, writeView: write, question: question, useView: useView });
})();
