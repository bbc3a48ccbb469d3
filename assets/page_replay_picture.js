/* A picture of a moment of the past: the map as it is drawn, with the moment written into it, as a PNG. */
(function () {
  "use strict";
  const markaz = window.markaz;

  const DRAWN = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"];

  /* The ground as an image: a copy with the styles written into it, because an image knows none of the page's. */
  function ground(svg) {
    const copy = svg.cloneNode(true);
    const from = svg.querySelectorAll("path, circle");
    copy.querySelectorAll("path, circle").forEach(function (shape, index) {
      const style = getComputedStyle(from[index]);
      DRAWN.forEach(function (name) {
        shape.setAttribute(name, style.getPropertyValue(name));
      });
      shape.removeAttribute("class");
    });
    copy.removeAttribute("style");
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    return new Promise(function (done, failed) {
      const image = new Image();
      image.onload = function () { done(image); };
      image.onerror = failed;
      image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
    });
  }

  /* The map as it is drawn, with its moment written into it, as a canvas. */
  function pictured() {
    const map = markaz.leaflet();
    const holder = map.getContainer();
    const box = holder.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const ui = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const state = markaz.replay.state();
    const canvas = document.createElement("canvas");
    canvas.width = box.width * ratio;
    canvas.height = box.height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = "#0d151d";
    pen.fillRect(0, 0, box.width, box.height);
    const layers = Array.from(holder.querySelectorAll(".leaflet-pane svg, .leaflet-pane canvas")).filter(function (layer) {
      return layer.closest(".leaflet-pane").style.display !== "none";
    });
    const depth = function (layer) {
      return Number(getComputedStyle(layer.closest(".leaflet-pane")).zIndex) || 0;
    };
    layers.sort(function (a, b) { return depth(a) - depth(b); });
    // The canvas of this moment now: while the ground becomes an image it would play on.
    const drawn = layers.map(function (layer) {
      const at = layer.getBoundingClientRect();
      const place = [at.left - box.left, at.top - box.top, at.width, at.height];
      if (layer.tagName.toLowerCase() === "svg") return ground(layer).then(function (image) { return [image, place]; });
      const copy = document.createElement("canvas");
      copy.width = layer.width;
      copy.height = layer.height;
      if (layer.width && layer.height) copy.getContext("2d").drawImage(layer, 0, 0);
      return Promise.resolve([copy, place]);
    });
    return Promise.all(drawn).then(function (images) {
      images.forEach(function (one) {
        if (one[0].width && one[0].height) pen.drawImage(one[0], one[1][0], one[1][1], one[1][2], one[1][3]);
      });
      const words = markaz.text("replay.past") + " · " + markaz.replayTimes.dateText(state.at) + " " + markaz.clock(state.at, true) + " (" + markaz.settings().timezone + ")";
      pen.font = "600 " + 20 * ui + "px system-ui, sans-serif";
      const width = pen.measureText(words).width + 28 * ui;
      pen.fillStyle = "#e6c35c";
      pen.fillRect(0, 0, width, 38 * ui);
      pen.fillStyle = "#10171f";
      pen.textBaseline = "middle";
      pen.fillText(words, 14 * ui, 19.5 * ui);
      return canvas;
    });
  }

  function picture() {
    const name = "markaz-" + markaz.replayTimes.localText(markaz.replay.state().at).replace(/:/g, "-") + ".png";
    return pictured().then(function (canvas) {
      const link = document.createElement("a");
      link.download = name;
      link.href = canvas.toDataURL("image/png");
      link.click();
    });
  }

  markaz.replayPicture = pictured;
  markaz.saveReplayPicture = picture;
})();
