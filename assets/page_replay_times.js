/* Times in the city's zone, as the page of the past writes and reads them. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const HOUR_MS = 3600000;
  const FIRST_MS = Date.UTC(1970, 0, 2); // nothing was archived before; and years of three digits are not written as others are

  let zoneFormat = null;

  function partsOf(ms) {
    const zone = markaz.settings().timezone;
    if (!zoneFormat || zoneFormat.zone !== zone) {
      const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone };
      zoneFormat = { zone: zone, format: new Intl.DateTimeFormat("en-GB", options) };
    }
    const parts = {};
    zoneFormat.format.formatToParts(new Date(ms)).forEach(function (part) {
      parts[part.type] = part.value;
    });
    return parts;
  }

  /* 2026-05-04T08:15:00, as an input of date and time has it. */
  function localText(ms) {
    const p = partsOf(ms);
    return p.year + "-" + p.month + "-" + p.day + "T" + p.hour + ":" + p.minute + ":" + p.second;
  }

  function offsetMs(ms) {
    return Date.parse(localText(ms) + "Z") - Math.floor(ms / 1000) * 1000;
  }

  /* The moment of a local time. One that the clocks skip stands for the moment at which they do. */
  function fromLocal(text) {
    const whole = text.length === 16 ? text + ":00" : text;
    const asUtc = Date.parse(whole + "Z");
    if (Number.isNaN(asUtc)) return NaN;
    const first = asUtc - offsetMs(asUtc);
    const second = asUtc - offsetMs(first);
    if (localText(second) === whole) return second;
    if (localText(first) === whole) return first;
    return Math.max(first, second);
  }

  /* The moment, or the nearest one that there can be a past of. */
  function within(ms) {
    return Math.max(FIRST_MS, Math.min(ms, markaz.now()));
  }

  function dayBegin(ms) {
    return fromLocal(localText(ms).slice(0, 10) + "T00:00:00");
  }

  /* When the day of a moment ends: after 23 or 25 hours where clocks are changed in it. */
  function dayEnd(ms) {
    return dayBegin(dayBegin(ms) + 36 * HOUR_MS);
  }

  function dateText(ms) {
    return markaz.day(ms) + " " + partsOf(ms).year;
  }

  function localHour(ms) {
    return Number(partsOf(ms).hour);
  }

  markaz.replayTimes = { within: within, localText: localText, localHour: localHour, fromLocal: fromLocal, dayBegin: dayBegin, dayEnd: dayEnd, dateText: dateText };
})();
