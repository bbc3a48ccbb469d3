/* Charts and the map as files, with title, period and origin printed into them. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});

  const GROUND = "#0b1117";
  const INK = "#e8eef4";
  const SOFT = "#b3c0cd";
  const FONT = "Inter, Segoe UI, Noto Sans, DejaVu Sans, sans-serif";
  const WIDTH = 1600;
  const HEAD = 110;
  const FOOT = 60;
  const SVG = "http://www.w3.org/2000/svg";

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
  }

  function node(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    Object.keys(attributes).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* A sheet of `height` with words above and below what is drawn between. */
  function sheet(words, height, legend) {
    const all = HEAD + height + FOOT + (legend.length ? 44 : 0);
    const root = node("svg", { xmlns: SVG, width: WIDTH, height: all, viewBox: "0 0 " + WIDTH + " " + all });
    root.appendChild(node("rect", { width: WIDTH, height: all, fill: GROUND }));
    root.appendChild(node("text", { x: 40, y: 52, fill: INK, "font-size": 34, "font-weight": 600, "font-family": FONT }, words.title));
    root.appendChild(node("text", { x: 40, y: 88, fill: SOFT, "font-size": 22, "font-family": FONT }, words.period));
    let x = 40;
    legend.forEach(function (one) {
      const y = HEAD + height + 10;
      root.appendChild(node("rect", { x: x, y: y, width: 30, height: 18, fill: one.colour, stroke: "#52687d" }));
      root.appendChild(node("text", { x: x + 38, y: y + 16, fill: SOFT, "font-size": 18, "font-family": FONT }, one.words));
      x += 38 + one.words.length * 10 + 34;
    });
    root.appendChild(node("text", { x: 40, y: all - 22, fill: SOFT, "font-size": 18, "font-family": FONT }, words.origin));
    return root;
  }

  function written(root) {
    return new Blob(['<?xml version="1.0" encoding="UTF-8"?>\n', new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" });
  }

  function painted(root) {
    return new Promise(function (done, failed) {
      const image = new Image();
      const url = URL.createObjectURL(written(root));
      image.onload = function () {
        const canvas = document.createElement("canvas");
        canvas.width = Number(root.getAttribute("width"));
        canvas.height = Number(root.getAttribute("height"));
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        URL.revokeObjectURL(url);
        canvas.toBlob(function (blob) { (blob ? done : failed)(blob); }, "image/png");
      };
      image.onerror = failed;
      image.src = url;
    });
  }

  /* What is drawn as SVG on the page, in a sheet. */
  function drawn(element, words, legend) {
    const box = element.viewBox.baseVal;
    const height = Math.round(Math.min(1400, ((WIDTH - 80) * box.height) / box.width));
    const root = sheet(words, height, legend);
    const copy = element.cloneNode(true);
    ["class", "style", "tabindex", "role", "aria-label", "data-export"].forEach(function (name) { copy.removeAttribute(name); });
    Object.entries({ x: 40, y: HEAD, width: WIDTH - 80, height: height, preserveAspectRatio: "xMidYMid meet" }).forEach(function (one) { copy.setAttribute(one[0], one[1]); });
    root.appendChild(copy);
    return Promise.resolve(root);
  }

  /* What Plotly drew, drawn by it once more in the sheet's size. */
  function plotted(element, words, legend) {
    const height = 760;
    const layout = Object.assign({}, element.layout, { width: WIDTH - 80, height: height, font: Object.assign({}, element.layout.font, { size: 18 }), margin: { l: 80, r: 40, t: 20, b: 60 } });
    ["xaxis", "yaxis"].forEach(function (name) { layout[name] = Object.assign({}, layout[name], { tickfont: { size: 18 } }); });
    return window.Plotly.toImage({ data: element.data, layout: layout, config: {} }, { format: "svg", width: WIDTH - 80, height: height }).then(function (uri) {
      const text = decodeURIComponent(uri.slice(uri.indexOf(",") + 1));
      const inner = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
      const root = sheet(words, height, legend);
      inner.setAttribute("x", 40);
      inner.setAttribute("y", HEAD);
      root.appendChild(document.importNode(inner, true));
      return root;
    });
  }

  /* Saves the part of the page that is marked `data-export=name`, as `svg` or `png`. `words`: {title, period, origin, file}. */
  function picture(name, format, words, legend) {
    const element = document.querySelector('[data-export="' + name + '"]');
    if (!element) return Promise.resolve(false);
    return (element instanceof SVGElement ? drawn : plotted)(element, words, legend || []).then(function (root) {
      if (format === "svg") return written(root);
      return painted(root);
    }).then(function (blob) {
      save(blob, words.file + "." + format);
      return true;
    });
  }

  analytics.picture = picture;
})();
