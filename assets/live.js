/* The page's end of the push: frames in, subscribers called, silence noticed.
 *
 * Frames are whole and idempotent: the newest of each name is all that counts, so a skipped one is no loss.
 * `window.markaz` is what the page's own scripts share; `window.markaz_live` are the Dash components
 * declared in layouts/components.py. Text arrives translated in `settings.text`; nothing that came from
 * the field is ever put into the page as HTML.
 */
(function () {
  "use strict";

  const NAMES = ["roster", "vehicles", "cameras", "areas", "summary", "alarms", "feeds"];
  const SILENT_RELOAD_S = 15; // the server is back but the stream is not: start the page anew
  const YOUNG_PAGE_S = 20; // never reload a page that has only just been loaded

  const frames = {};
  const subscribers = {};
  const seen = {};
  const loadedAt = performance.now();
  let heardAt = performance.now();
  let settings = { text: {}, lang: "en", timezone: "UTC", page_stale_after_s: 4, number: { decimal: ".", group: " " } };
  let link = "connecting";
  let serverOffset = 0; // the server's clock less this machine's: ages go by the server's

  function now() {
    return Date.now() + serverOffset;
  }

  function on(name, callback) {
    (subscribers[name] = subscribers[name] || new Set()).add(callback);
    if (frames[name] !== undefined) callback(frames[name]);
    return function off() {
      subscribers[name].delete(callback);
    };
  }

  function publish(name, value) {
    frames[name] = value;
    (subscribers[name] || []).forEach(function (callback) {
      try {
        callback(value);
      } catch (error) {
        console.error(error); // one part's fault must not take the page's feed
      }
    });
  }

  /* ---- words, numbers, times: by the server's catalogues, because browsers know little Uzbek ---- */

  const formats = {};

  function number(value, digits) {
    const parts = Math.abs(value).toFixed(digits || 0).split(".");
    const whole = parts[0].replace(/\B(?=(\d{3})+$)/g, settings.number.group);
    const minus = value < 0 && Number(parts.join(".")) !== 0 ? "−" : "";
    return minus + whole + (parts[1] ? settings.number.decimal + parts[1] : "");
  }

  /* The time, and the date where it is not today's. */
  function moment(ms) {
    return day(ms) === day(now()) ? clock(ms) : day(ms) + " " + clock(ms);
  }

  function clock(ms, seconds) {
    const key = seconds ? "ts" : "t";
    if (!formats[key]) {
      const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: settings.timezone };
      if (seconds) options.second = "2-digit";
      formats[key] = new Intl.DateTimeFormat("ru", options);
    }
    return formats[key].format(new Date(ms));
  }

  function day(ms) {
    if (!settings.days) return "";
    const parts = {};
    if (!formats.d) formats.d = new Intl.DateTimeFormat("en", { weekday: "short", day: "numeric", month: "numeric", timeZone: settings.timezone });
    formats.d.formatToParts(new Date(ms)).forEach(function (part) {
      parts[part.type] = part.value;
    });
    const weekday = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].indexOf(parts.weekday);
    return settings.day_pattern.replace("{weekday}", settings.days[weekday]).replace("{day}", parts.day).replace("{month}", settings.months[Number(parts.month) - 1]);
  }

  function text(key, values) {
    const template = settings.text[key];
    if (template === undefined) return key;
    return template.replace(/\{(\w+)\}/g, function (whole, name) {
      if (!values || values[name] === undefined) return whole;
      const value = values[name];
      return typeof value === "number" ? number(value, Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 1) : String(value);
    });
  }

  /* "12 s", "4 min", "2 h" */
  function age(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 90) return text("age.seconds", { n: Math.max(0, Math.round(seconds)) });
    if (seconds < 5400) return text("age.minutes", { n: Math.round(seconds / 60) });
    if (seconds < 172800) return text("age.hours", { n: Math.round(seconds / 3600) });
    return text("age.days", { n: Math.round(seconds / 86400) });
  }

  /* ---- the component that the server pushes into ---- */

  function Live(props) {
    if (props.settings && props.settings !== settings) {
      settings = props.settings;
      window.markaz.areaNames = {};
      window.markaz.areaIndex = {};
      (settings.areas || []).forEach(function (area, index) {
        window.markaz.areaNames[area[0]] = area[1];
        window.markaz.areaIndex[area[0]] = index;
      });
      Object.keys(formats).forEach(function (key) {
        delete formats[key];
      });
    }
    React.useLayoutEffect(function () {
      NAMES.forEach(function (name) {
        if (props[name] !== undefined && props[name] !== null && props[name] !== seen[name]) {
          seen[name] = props[name];
          heardAt = performance.now();
          if (name === "summary") serverOffset = props[name].at - Date.now();
          publish(name, props[name]);
        }
      });
      watch();
    });
    return null;
  }

  /* ---- the watchdog ---- */

  let asking = false;

  function setLink(next) {
    if (link !== next) {
      link = next;
      document.documentElement.dataset.link = next;
      publish("link", { state: next, since: now() - (performance.now() - heardAt) });
    }
  }

  function watch() {
    const silent = (performance.now() - heardAt) / 1000;
    const summary = frames.summary;
    if (silent > settings.page_stale_after_s) setLink("lost");
    else if (!summary) setLink("connecting");
    else setLink(summary.store_up ? "live" : "stale");
    if (silent > SILENT_RELOAD_S && (performance.now() - loadedAt) / 1000 > YOUNG_PAGE_S && !asking) {
      asking = true;
      fetch("/healthz", { cache: "no-store" })
        .then(function (answer) {
          if (answer.ok) window.location.reload();
        })
        .catch(function () {})
        .finally(function () {
          setTimeout(function () {
            asking = false;
          }, 3000);
        });
    }
  }

  setInterval(watch, 500);

  /* What a reload must keep: the map's view, the chosen indicator, the selection. */
  const memory = {
    get: function (key) {
      try {
        return JSON.parse(window.sessionStorage.getItem("markaz." + key));
      } catch (error) {
        return null;
      }
    },
    set: function (key, value) {
      try {
        window.sessionStorage.setItem("markaz." + key, JSON.stringify(value));
      } catch (error) {
        /* a full or forbidden storage costs only the memory of the view */
      }
    },
  };

  window.markaz = {
    on: on,
    publish: publish,
    frames: frames,
    text: text,
    number: number,
    now: now,
    clock: clock,
    day: day,
    moment: moment,
    age: age,
    memory: memory,
    link: function () {
      return link;
    },
    settings: function () {
      return settings;
    },
    useFrame: function (name) {
      const state = React.useState(frames[name]);
      React.useEffect(
        function () {
          return on(name, function (value) {
            state[1](value);
          });
        },
        [name],
      );
      return state[0];
    },
    /* One second beat for ages; one timer for the page. */
    useBeat: function () {
      const state = React.useState(0);
      React.useEffect(function () {
        return on("beat", function (value) {
          state[1](value);
        });
      }, []);
      return now();
    },
  };

  setInterval(function () {
    publish("beat", now());
  }, 1000);

  window.markaz_live = { Live: Live };
})();
