/* Classes of values and their colours. Pure.
 *
 * Quantiles put as many areas in each class; natural breaks (Fisher 1958, as Jenks used it) put the borders where the least
 * spread remains within the classes. More light is more of it, so a ramp also reads without hue; a difference goes two ways
 * from the middle, and its legend has the sign.
 */
(function () {
  "use strict";
  const analytics = (window.markaz.analytics = window.markaz.analytics || {});

  const CLASSES = 5;
  const RAMP = ["#173a55", "#1f5f86", "#3484b4", "#63b0d8", "#b5e0f5"];
  // Blue is less, ochre is more: apart for every kind of colour vision, and neither is an alarm's colour.
  const LESS = ["#8ecbf0", "#4a94c4", "#285b80"];
  const SAME = "#303c47";
  const MORE = ["#6b5220", "#b3862c", "#f0c860"];

  function sorted(values) {
    return values.filter(function (value) { return value !== null && Number.isFinite(value); }).sort(function (one, other) { return one - other; });
  }

  function distinct(breaks) {
    return breaks.filter(function (value, at) { return at === 0 || value > breaks[at - 1]; });
  }

  /* Borders between classes; a value at a border belongs to the class above it. */
  function quantiles(values, classes) {
    const order = sorted(values);
    if (!order.length) return [];
    const breaks = [];
    for (let at = 1; at < classes; at++) breaks.push(order[Math.min(order.length - 1, Math.ceil((at * order.length) / classes))]);
    return distinct(breaks).filter(function (value) { return value > order[0]; });
  }

  /* The same, where the squares of the distances from the classes' means are least. */
  function natural(values, classes) {
    const order = sorted(values);
    const count = order.length;
    const groups = Math.min(classes, distinct(order).length);
    if (groups < 2) return [];
    const sum = [0];
    const square = [0];
    order.forEach(function (value, at) {
      sum.push(sum[at] + value);
      square.push(square[at] + value * value);
    });
    const spread = function (from, to) {
      const total = sum[to] - sum[from];
      return square[to] - square[from] - (total * total) / (to - from);
    };
    let best = [];
    for (let to = 1; to <= count; to++) best[to] = spread(0, to);
    const cuts = [];
    for (let group = 2; group <= groups; group++) {
      const next = [];
      const cut = [];
      for (let to = group; to <= count; to++) {
        next[to] = Infinity;
        for (let from = group - 1; from < to; from++) {
          const cost = best[from] + spread(from, to);
          if (cost < next[to]) {
            next[to] = cost;
            cut[to] = from;
          }
        }
      }
      cuts.push(cut);
      best = next;
    }
    const breaks = [];
    let to = count;
    for (let group = cuts.length - 1; group >= 0; group--) {
      to = cuts[group][to];
      breaks.unshift(order[to]);
    }
    return distinct(breaks);
  }

  function classOf(value, breaks) {
    let at = 0;
    while (at < breaks.length && value >= breaks[at]) at++;
    return at;
  }

  /* A scale of values: {breaks, colours, of(value)}; fewer classes take colours from the ramp's whole length. */
  function sequential(values, how) {
    const breaks = how === "natural" ? natural(values, CLASSES) : quantiles(values, CLASSES);
    const colours = breaks.concat([0]).map(function (unused, at) {
      return RAMP[breaks.length ? Math.round((at * (RAMP.length - 1)) / breaks.length) : 2];
    });
    return { breaks: breaks, colours: colours, of: function (value) { return colours[classOf(value, breaks)]; } };
  }

  /* A scale of differences, alike to both sides of nought. */
  function diverging(values) {
    const sizes = sorted(values).map(Math.abs).filter(function (size) { return size > 0; }).sort(function (one, other) { return one - other; });
    if (!sizes.length) return { breaks: [], colours: [SAME], of: function () { return SAME; } };
    const at = function (share) { return sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))]; };
    const steps = distinct([at(0.2), at(0.5), at(0.8)]);
    const breaks = steps.slice().reverse().map(function (step) { return -step; }).concat(steps);
    const colours = LESS.slice(0, steps.length).concat([SAME], MORE.slice(3 - steps.length));
    return {
      breaks: breaks,
      colours: colours,
      // A border belongs to the class farther from nought, on both sides.
      of: function (value) {
        const far = steps.filter(function (step) { return Math.abs(value) >= step; }).length;
        return colours[steps.length + (value < 0 ? -far : far)];
      },
    };
  }

  analytics.scale = { quantiles: quantiles, natural: natural, sequential: sequential, diverging: diverging, RAMP: RAMP };
})();
