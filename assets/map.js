/* The live map: one canvas for everything that moves, polygons recoloured only where their class changed. */
(function () {
  "use strict";
  const markaz = window.markaz;
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const UNKNOWN = 255; // a byte of a frame that stands for "not known"
  const STALE = 1;
  const HAS_BEARING = 2;
  const TROLLEYBUS = 4;
  const GONE = 8; // of a replayed frame: not there at this moment
  const AGE_MAX_S = 65535; // stands for everything older
  const CHUNK = 50; // a path of thousands of parts costs ten times its parts
  const HIT_PX = 11;

  let map = null; // the newest map made on this page
  let roster = null;
  let indexOf = new Map();
  let fleet = null; // the decoded newest vehicles frame
  let cameras = null;
  let alarms = [];
  let incidents = { incidents: [], points: [] }; // with places of their alarms
  let past = null; // while a moment of the past is shown: live frames are not drawn
  let focus = null; // on an incident's page: {id, points} to be shown instead of all that is open
  let selection = markaz.memory.get("selection");
  let hovered = null;
  let layer = null;
  const hidden = new Set(markaz.memory.get("hidden") || []);
  let interactive = true; // the wall has no controls, so nothing that they hid stays hidden there

  function isHidden(name) {
    return interactive && hidden.has(name);
  }

  /* ---- frames ---- */

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const raw = atob(base64);
    const bytes = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
    return bytes;
  }

  /* Columns one after another: five of uint16 (x and y in the roster's Mercator box, ages), five of uint8. */
  function decode(frame) {
    const bytes = bytesOf(frame.data);
    const n = frame.n;
    const wide = function (index) {
      return new Uint16Array(bytes.buffer, bytes.byteOffset + 2 * n * index, n);
    };
    const narrow = function (index) {
      return bytes.subarray(10 * n + n * index, 10 * n + n * (index + 1));
    };
    return {
      n: n,
      seq: frame.seq,
      takenAt: performance.now(),
      x: wide(0),
      y: wide(1),
      age: wide(2),
      loadAge: wide(3),
      fuelAge: wide(4),
      bearing: narrow(0),
      load: narrow(1),
      speed: narrow(2),
      fuel: narrow(3),
      flags: narrow(4),
    };
  }

  function takeRoster(next) {
    roster = next;
    indexOf = new Map();
    next.ids.forEach(function (id, index) {
      indexOf.set(id, index);
    });
  }

  function takeAlarms(frame) {
    alarms = frame.alarms;
    incidents = { incidents: frame.incidents || [], points: frame.points || [] };
  }

  markaz.on("roster", function (next) {
    if (!past) takeRoster(next);
  });
  markaz.on("vehicles", function (frame) {
    if (past || !roster || frame.rev !== roster.rev) return; // its roster is on the way
    fleet = decode(frame);
    draw();
  });
  markaz.on("cameras", function (frame) {
    if (past) return;
    cameras = frame;
    draw();
  });
  markaz.on("alarms", function (frame) {
    if (past) return;
    takeAlarms(frame);
    draw();
  });

  /* A moment of the past instead of the present: {roster, fleet, alarms, areas} in the shapes of the live frames, with
     fractions in the fleet's places. null: the present again. */
  markaz.showPast = function (next) {
    const areas = past && past.areas;
    if (next) {
      past = next;
      if (next.roster !== roster) takeRoster(next.roster);
      fleet = next.fleet;
      cameras = null; // nothing keeps how each camera was
      takeAlarms({ alarms: next.alarms });
      if (next.areas !== areas) recolour();
    } else if (past) {
      past = null;
      const live = markaz.frames;
      if (live.roster) takeRoster(live.roster);
      fleet = live.vehicles && roster && live.vehicles.rev === roster.rev ? decode(live.vehicles) : null;
      cameras = live.cameras || null;
      takeAlarms(live.alarms || { alarms: [] });
      recolour();
    }
    // Within the refresh that the player asked for: one that is put off to the next shows every other moment only.
    if (next && !scheduled && performance.now() - paintedAt > costMs / 2) paint();
    else draw();
  };

  markaz.on("focus", function (next) {
    const other = next && (!focus || focus.id !== next.id || !focus.points.length);
    focus = next;
    if (other) look();
    draw();
  });
  markaz.on("areas", function () {
    recolour();
  });
  markaz.on("link", function () {
    draw();
  });

  /* The row of a vehicle that is drawn now, -1 without one. */
  function rowOf(id) {
    const index = indexOf.get(id);
    return index === undefined || !fleet || !roster || index >= fleet.n || fleet.flags[index] & GONE ? -1 : index;
  }

  function world(index) {
    const box = roster.box;
    return [box[0] + (fleet.x[index] / 65535) * (box[2] - box[0]), box[1] + (fleet.y[index] / 65535) * (box[3] - box[1])];
  }

  function worldOf(lat, lon) {
    const radians = (lat * Math.PI) / 180;
    return [(lon + 180) / 360, 0.5 - Math.log(Math.tan(Math.PI / 4 + radians / 2)) / (2 * Math.PI)];
  }

  function latLngOf(point) {
    return L.latLng((Math.atan(Math.sinh(Math.PI * (1 - 2 * point[1]))) * 180) / Math.PI, point[0] * 360 - 180);
  }

  markaz.vehicleNow = function (id) {
    const index = rowOf(id);
    if (index < 0) return null;
    const known = function (value) {
      return value === UNKNOWN ? null : value;
    };
    const since = (performance.now() - fleet.takenAt) / 1000;
    return {
      id: id,
      route: roster.routes[index],
      mode: roster.modes[index],
      stale: Boolean(fleet.flags[index] & STALE),
      load: known(fleet.load[index]),
      speed: known(fleet.speed[index]),
      fuel: known(fleet.fuel[index]),
      age_s: fleet.age[index] + since,
      loadAge_s: fleet.loadAge ? fleet.loadAge[index] + since : null,
      fuelAge_s: fleet.fuelAge ? fleet.fuelAge[index] + since : null,
      world: world(index),
    };
  };

  markaz.areaNow = function (code, field) {
    const frame = past ? past.areas : markaz.frames.areas;
    const at = markaz.areaIndex && markaz.areaIndex[code];
    if (!frame || at === undefined || !frame[field]) return null;
    return frame[field][at];
  };

  /* ---- the canvas layer ---- */

  const colours = {};

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    ["load-0", "load-1", "load-2", "load-3", "load-unknown", "stale", "ink", "halo", "camera", "camera-off", "critical", "high", "medium", "low", "label", "select"].forEach(
      function (name) {
        colours[name] = style.getPropertyValue("--" + name).trim();
      },
    );
  }

  function uiScale() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  }

  const STOPS_FROM_ZOOM = 12.5; // 372 stops are only noise on a map of the whole city

  let scheduled = false;
  let costMs = 0;
  let paintedAt = 0;

  /* At most one drawing a screen refresh, however many frames and moves ask for it, and never so many that
     drawing takes more than half of the time. */
  function draw() {
    if (!layer || scheduled) return;
    scheduled = true;
    const wait = paintedAt + costMs - performance.now();
    if (wait > 4) setTimeout(requestAnimationFrame, wait, paint);
    else requestAnimationFrame(paint);
  }

  function paint() {
    scheduled = false;
    if (!layer || !layer._map) return;
    const begin = performance.now();
    togglePane("stops", !isHidden("stops") && map.getZoom() >= STOPS_FROM_ZOOM);
    layer.paint();
    paintedAt = performance.now();
    costMs = paintedAt - begin;
    if (pointer && hovered && hovered.kind === "vehicle") showTip(pointer);
    if (fleet) markaz.publish("drawn", fleet.seq);
  }

  const CityLayer = L.Layer.extend({
    onAdd: function (to) {
      this._canvas = L.DomUtil.create("canvas", "city-canvas", to.getPane("live"));
      to.on("move zoom viewreset resize zoomend moveend", draw);
      readColours();
      draw();
    },
    onRemove: function (from) {
      from.off("move zoom viewreset resize zoomend moveend", draw);
      this._canvas.remove();
    },
    paint: function () {
      const size = this._map.getSize();
      const ratio = window.devicePixelRatio || 1;
      const canvas = this._canvas;
      if (canvas.width !== Math.round(size.x * ratio) || canvas.height !== Math.round(size.y * ratio)) {
        canvas.width = Math.round(size.x * ratio);
        canvas.height = Math.round(size.y * ratio);
        canvas.style.width = size.x + "px";
        canvas.style.height = size.y + "px";
      }
      L.DomUtil.setPosition(canvas, this._map.containerPointToLayerPoint([0, 0]));
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, size.x, size.y);
      const view = {
        pen: pen,
        width: size.x,
        height: size.y,
        zoom: this._map.getZoom(),
        scale: 256 * Math.pow(2, this._map.getZoom()),
        origin: this._map.getPixelBounds().min,
        ui: uiScale(),
        lost: !past && (markaz.link() === "lost" || markaz.link() === "stale"),
      };
      paintLabels(view);
      if (!isHidden("cameras")) paintCameras(view);
      if (!isHidden("vehicles")) paintVehicles(view);
      if (!isHidden("alarms")) paintAlarms(view);
      paintSelection(view);
    },
  });

  function screenOf(view, point) {
    return [point[0] * view.scale - view.origin.x, point[1] * view.scale - view.origin.y];
  }

  function inside(view, point, margin) {
    return point[0] > -margin && point[1] > -margin && point[0] < view.width + margin && point[1] < view.height + margin;
  }

  function vehicleSize(view) {
    // A screen twice as large shows the same city one zoom further in: that is no reason to grow twice.
    const zoom = view.zoom - Math.log2(view.ui);
    return Math.max(3, Math.min(8.5, 3 + (zoom - 10.5) * 1.25)) * view.ui;
  }

  /* Arrow for buses, square with a nose for trolleybuses; without a bearing, disc and square. */
  function trace(pen, flags, bearing, x, y, r) {
    const turned = flags & HAS_BEARING;
    const angle = (bearing / 256) * 2 * Math.PI;
    const sin = Math.sin(angle);
    const cos = Math.cos(angle);
    const go = function (right, ahead, first) {
      const px = x + right * cos * r + ahead * sin * r;
      const py = y + right * sin * r - ahead * cos * r;
      if (first) pen.moveTo(px, py);
      else pen.lineTo(px, py);
    };
    if (flags & TROLLEYBUS) {
      go(-0.95, -0.95, true);
      go(-0.95, 0.85);
      if (turned) go(0, 1.75);
      go(0.95, 0.85);
      go(0.95, -0.95);
      pen.closePath();
    } else if (turned) {
      go(0, 1.65, true);
      go(1.05, -1.15);
      go(0, -0.6);
      go(-1.05, -1.15);
      pen.closePath();
    } else {
      pen.moveTo(x + r, y);
      pen.arc(x, y, r, 0, 2 * Math.PI);
    }
  }

  function loadClass(load) {
    if (load === UNKNOWN) return "load-unknown";
    if (load < 30) return "load-0";
    if (load < 70) return "load-1";
    if (load <= 100) return "load-2";
    return "load-3";
  }

  function paintVehicles(view) {
    if (!fleet || !roster) return;
    const pen = view.pen;
    const size = vehicleSize(view);
    const groups = { stale: [], "load-unknown": [], "load-0": [], "load-1": [], "load-2": [], "load-3": [] };
    for (let index = 0; index < fleet.n; index++) {
      if (fleet.flags[index] & GONE) continue;
      const point = screenOf(view, world(index));
      if (!inside(view, point, 20)) continue;
      const name = view.lost || fleet.flags[index] & STALE ? "stale" : loadClass(fleet.load[index]);
      groups[name].push(index, point[0], point[1]);
    }
    pen.lineJoin = "round";
    Object.keys(groups).forEach(function (name) {
      const group = groups[name];
      const over = name === "load-3";
      const stale = name === "stale";
      pen.lineWidth = (stale ? 1.3 : over ? 1.6 : 1) * view.ui;
      pen.strokeStyle = stale ? colours.stale : over ? colours.ink : colours.halo;
      pen.fillStyle = colours[name];
      for (let from = 0; from < group.length; from += 3 * CHUNK) {
        const end = Math.min(group.length, from + 3 * CHUNK);
        pen.beginPath();
        for (let at = from; at < end; at += 3) {
          trace(pen, fleet.flags[group[at]], fleet.bearing[group[at]], group[at + 1], group[at + 2], over ? size * 1.2 : size);
        }
        pen.stroke();
        if (!stale) pen.fill();
      }
    });
  }

  function paintCameras(view) {
    if (!cameras) return;
    const pen = view.pen;
    const r = Math.max(1.6, Math.min(5, 1.6 + (view.zoom - Math.log2(view.ui) - 11) * 0.8)) * view.ui;
    const online = [];
    const offline = [];
    const unknown = [];
    for (let index = 0; index < cameras.ids.length; index++) {
      if (cameras.lat[index] === null) continue;
      const point = screenOf(view, worldOf(cameras.lat[index], cameras.lon[index]));
      if (!inside(view, point, 10)) continue;
      (cameras.states[index] === "offline" ? offline : cameras.states[index] === "online" ? online : unknown).push(point);
    }
    pen.lineWidth = 1.1 * view.ui;
    [
      [online, view.lost ? colours.stale : colours.camera],
      [unknown, colours.stale],
    ].forEach(function (kind) {
      pen.strokeStyle = kind[1];
      pen.beginPath();
      kind[0].forEach(function (point) {
        pen.rect(point[0] - r, point[1] - r, 2 * r, 2 * r);
      });
      pen.stroke();
    });
    pen.strokeStyle = view.lost ? colours.stale : colours["camera-off"];
    pen.lineWidth = 1.5 * view.ui;
    pen.beginPath();
    offline.forEach(function (point) {
      const d = r * 1.25;
      pen.moveTo(point[0] - d, point[1] - d);
      pen.lineTo(point[0] + d, point[1] + d);
      pen.moveTo(point[0] + d, point[1] - d);
      pen.lineTo(point[0] - d, point[1] + d);
    });
    pen.stroke();
  }

  function pointOfAlarm(alarm) {
    if (alarm.source_kind === "vehicle" && rowOf(alarm.source_id) >= 0) return world(rowOf(alarm.source_id));
    return alarm.lat === null || alarm.lat === undefined ? null : worldOf(alarm.lat, alarm.lon);
  }

  function shapeOf(pen, priority, x, y, r) {
    if (priority === "critical") {
      pen.moveTo(x, y - r * 1.15);
      pen.lineTo(x + r * 1.15, y);
      pen.lineTo(x, y + r * 1.15);
      pen.lineTo(x - r * 1.15, y);
    } else if (priority === "high") {
      pen.moveTo(x, y - r);
      pen.lineTo(x + r * 1.1, y + r * 0.9);
      pen.lineTo(x - r * 1.1, y + r * 0.9);
    } else if (priority === "medium") {
      pen.rect(x - r * 0.85, y - r * 0.85, r * 1.7, r * 1.7);
    } else {
      pen.moveTo(x + r * 0.9, y);
      pen.arc(x, y, r * 0.9, 0, 2 * Math.PI);
    }
    pen.closePath();
  }

  function paintSign(view, priority, where, ring) {
    const point = screenOf(view, where);
    if (!inside(view, point, 30)) return;
    const pen = view.pen;
    const r = 8 * view.ui;
    const y = point[1] - 15 * view.ui;
    const colour = view.lost ? colours.stale : colours[priority];
    pen.beginPath();
    shapeOf(pen, priority, point[0], y, r);
    pen.fillStyle = colour;
    pen.strokeStyle = colours.halo;
    pen.lineWidth = 2 * view.ui;
    pen.stroke();
    pen.fill();
    pen.fillStyle = colours.halo;
    pen.font = "700 " + 10.5 * view.ui + "px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(String(markaz.PRIORITIES.indexOf(priority) + 1), point[0], y + (priority === "high" ? 2 : 0.5) * view.ui);
    if (!ring) return;
    // An incident: the sign of an alarm within a ring.
    pen.beginPath();
    pen.arc(point[0], y, r * 1.75, 0, 2 * Math.PI);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.6 * view.ui;
    pen.stroke();
  }

  /* The places of an incident's alarms: small, without a number, because there may be hundreds. */
  function paintPoints(view, points) {
    const pen = view.pen;
    const r = 3.4 * view.ui;
    const groups = {};
    points.forEach(function (one) {
      const point = screenOf(view, worldOf(one[0], one[1]));
      const priority = markaz.PRIORITIES[one[2]] || "low";
      if (inside(view, point, 10)) (groups[priority] = groups[priority] || []).push(point);
    });
    pen.lineWidth = 1.2 * view.ui;
    pen.strokeStyle = colours.halo;
    Object.keys(groups).forEach(function (priority) {
      pen.fillStyle = view.lost ? colours.stale : colours[priority];
      for (let from = 0; from < groups[priority].length; from += CHUNK) {
        pen.beginPath();
        groups[priority].slice(from, from + CHUNK).forEach(function (point) {
          shapeOf(pen, priority, point[0], point[1], r);
        });
        pen.stroke();
        pen.fill();
      }
    });
  }

  function paintAlarms(view) {
    if (focus) {
      paintPoints(view, focus.points);
      return;
    }
    paintPoints(view, incidents.points);
    for (let at = alarms.length - 1; at >= 0; at--) {
      const alarm = alarms[at];
      if (alarm.priority === "low") continue; // its camera shows it already
      const where = pointOfAlarm(alarm);
      if (where) paintSign(view, alarm.priority, where, false);
    }
    for (let at = incidents.incidents.length - 1; at >= 0; at--) {
      const incident = incidents.incidents[at];
      if (incident.announced && incident.lat !== null) paintSign(view, incident.priority, worldOf(incident.lat, incident.lon), true);
    }
  }

  /* Show all of what is in focus: once, so that it never jumps under somebody who looks around. */
  function look() {
    if (!focus || !focus.points.length || !map || !layer) return;
    map.fitBounds(
      focus.points.map(function (one) {
        return [one[0], one[1]];
      }),
      { animate: false, padding: [40, 40], maxZoom: 15 },
    );
  }

  function paintLabels(view) {
    const labels = (markaz.mapLabels || {})[view.zoom >= 14 ? "mahallas" : "districts"] || [];
    if (isHidden("labels") || view.zoom < 10.2) return;
    const pen = view.pen;
    const small = view.zoom >= 14;
    pen.font = (small ? "500 " + 11 * view.ui : "600 " + 12.5 * view.ui) + "px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3 * view.ui;
    pen.lineJoin = "round";
    labels.forEach(function (label) {
      const point = screenOf(view, worldOf(label[0], label[1]));
      if (!inside(view, point, 60)) return;
      pen.strokeStyle = colours.halo;
      pen.strokeText(label[2], point[0], point[1]);
      pen.fillStyle = colours.label;
      pen.fillText(label[2], point[0], point[1]);
    });
  }

  function pointOfSelection() {
    if (!selection) return null;
    if (selection.kind === "vehicle") {
      return rowOf(selection.id) >= 0 ? world(rowOf(selection.id)) : null;
    }
    if (selection.kind === "camera" && cameras) {
      const at = cameras.ids.indexOf(selection.id);
      return at >= 0 && cameras.lat[at] !== null ? worldOf(cameras.lat[at], cameras.lon[at]) : null;
    }
    return null;
  }

  function paintSelection(view) {
    const where = pointOfSelection();
    if (!where) return;
    const point = screenOf(view, where);
    view.pen.beginPath();
    view.pen.arc(point[0], point[1], vehicleSize(view) * 1.4 + 7 * view.ui, 0, 2 * Math.PI);
    view.pen.strokeStyle = colours.select;
    view.pen.lineWidth = 2.4 * view.ui;
    view.pen.stroke();
  }

  /* ---- what is under the pointer ---- */

  function nearest(container) {
    if (!layer || !layer._map) return null;
    const view = { scale: 256 * Math.pow(2, map.getZoom()), origin: map.getPixelBounds().min };
    const reach = HIT_PX * uiScale();
    let best = null;
    let least = reach * reach;
    const consider = function (kind, id, where) {
      const point = screenOf(view, where);
      const far = (point[0] - container.x) * (point[0] - container.x) + (point[1] - container.y) * (point[1] - container.y);
      if (far < least) {
        least = far;
        best = { kind: kind, id: id };
      }
    };
    if (fleet && roster && !isHidden("vehicles")) {
      for (let index = 0; index < fleet.n; index++) {
        if (!(fleet.flags[index] & GONE)) consider("vehicle", roster.ids[index], world(index));
      }
    }
    if (!best && cameras && !isHidden("cameras")) {
      cameras.ids.forEach(function (id, index) {
        if (cameras.lat[index] !== null) consider("camera", id, worldOf(cameras.lat[index], cameras.lon[index]));
      });
    }
    return best;
  }

  function lines(thing) {
    const t = markaz.text;
    const known = function (value, unit) {
      return value === null || value === undefined ? "–" : markaz.number(value, 0) + " " + unit;
    };
    if (thing.kind === "vehicle") {
      const vehicle = markaz.vehicleNow(thing.id);
      if (!vehicle) return null;
      const head = [vehicle.id];
      if (vehicle.mode) head.push(t("mode." + vehicle.mode) === "mode." + vehicle.mode ? vehicle.mode : t("mode." + vehicle.mode));
      if (vehicle.route) head.push(t("route", { route: vehicle.route }));
      const ago = function (age_s) {
        // Of the past it is not known how old a count was.
        return age_s === null ? "" : " · " + t("age", { age: (age_s >= AGE_MAX_S ? "> " : "") + markaz.age(age_s) });
      };
      const aged = function (name, value, unit, age_s) {
        return value === null ? null : t(name) + " " + (value === UNKNOWN - 1 ? "≥ " : "") + known(value, unit) + ago(age_s);
      };
      return [
        head.join(" · "),
        aged("speed", vehicle.speed, t("unit.kmh"), vehicle.age_s) || t("panel.position") + ago(vehicle.age_s),
        aged("load", vehicle.load, "%", vehicle.loadAge_s),
        aged("fuel", vehicle.fuel, "%", vehicle.fuelAge_s),
        vehicle.stale ? "✕ " + t("stale") : null,
      ].filter(Boolean);
    }
    if (thing.kind === "camera") {
      const at = cameras ? cameras.ids.indexOf(thing.id) : -1;
      if (at < 0) return null;
      return [
        cameras.names[at] || thing.id,
        t("camera") + " " + thing.id + " · " + t("camera." + cameras.states[at]),
        t("age", { age: markaz.age((markaz.now() - cameras.measured_ms[at]) / 1000) }),
      ];
    }
    const value = function (field, unit) {
      return known(markaz.areaNow(thing.id, field), unit);
    };
    return [
      (markaz.areaNames || {})[thing.id] || thing.id,
      t("vehicles") + " " + value("vehicles", "") + " · " + t("load") + " " + value("load", "%"),
      t("speed") + " " + value("speed", t("unit.kmh")) + " · " + t("alarms") + " " + value("alarms", ""),
    ];
  }

  let tip = null;
  markaz.on("beat", function () {
    if (pointer && hovered) showTip(pointer);
  });
  let overArea = null;
  let pointer = null; // where the mouse rests on the map, null elsewhere

  function showTip(container) {
    const thing = nearest(container) || (overArea ? { kind: "area", id: overArea } : null);
    const words = thing && lines(thing);
    hovered = thing;
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "map-tip";
      map.getContainer().appendChild(tip);
    }
    map.getContainer().style.cursor = thing && thing.kind !== "area" ? "pointer" : "";
    if (!words) {
      tip.style.display = "none";
      return;
    }
    tip.replaceChildren();
    words.forEach(function (line, index) {
      const row = document.createElement(index ? "div" : "b");
      row.textContent = line;
      tip.appendChild(row);
    });
    tip.style.display = "block";
    const size = map.getSize();
    const left = container.x + 16 + tip.offsetWidth > size.x ? container.x - tip.offsetWidth - 12 : container.x + 16;
    const top = container.y + 16 + tip.offsetHeight > size.y ? container.y - tip.offsetHeight - 12 : container.y + 16;
    tip.style.transform = "translate(" + left + "px," + top + "px)";
  }

  /* ---- polygons ---- */

  const polygons = {};
  let indicator = markaz.memory.get("indicator") || "load";

  function classOf(value, breaks) {
    if (value === null || value === undefined) return -1;
    let at = 0;
    while (at < breaks.length && value >= breaks[at]) at++;
    return at;
  }

  function recolour() {
    const scale = (markaz.settings().indicators || {})[indicator];
    const frame = past ? past.areas : markaz.frames.areas;
    if (!scale || !frame) return;
    Object.keys(polygons).forEach(function (code) {
      const polygon = polygons[code];
      const next = classOf(markaz.areaNow(code, indicator), scale.breaks);
      if (polygon.shown === indicator + next || !polygon.layer._path) return;
      polygon.shown = indicator + next;
      const fill = next < 0 ? "none" : scale.colours[next];
      polygon.layer.options.fillColor = fill;
      polygon.layer._path.setAttribute("fill", fill);
      polygon.layer._path.dataset.class = String(next);
    });
  }

  markaz.map = {
    mahallaStyle: function () {
      return { className: "mahalla", weight: 0.7, color: "var(--mahalla-line)", fillOpacity: 0.8, fillColor: "none" };
    },
    districtStyle: function () {
      return { className: "district", weight: 1.6, color: "var(--district-line)", fill: false, interactive: false };
    },
    routeStyle: function () {
      return { className: "route", weight: 1.4, color: "var(--route-line)", opacity: 0.9, interactive: false };
    },
    metroStyle: function (feature) {
      return { className: "metro", weight: 3, color: "var(--metro-" + (feature.properties.line === "chilonzor" ? "red" : "blue") + ")", opacity: 0.75, interactive: false };
    },
    stopPoint: function (feature, latlng) {
      return L.circleMarker(latlng, { radius: 1.6 * uiScale(), weight: 0, fillColor: "#7d8ea0", fillOpacity: 0.8, interactive: false, pane: "stops", renderer: stopsRenderer() });
    },
    stationPoint: function (feature, latlng) {
      return L.circleMarker(latlng, { radius: 3 * uiScale(), weight: 1.5 * uiScale(), color: "#aebccb", fillColor: "#10171f", fillOpacity: 1, interactive: false, pane: "metro" });
    },
    eachArea: function (feature, polygon) {
      const code = feature.properties.code;
      polygons[code] = { layer: polygon, shown: null };
      polygon.on("mouseover", function () {
        overArea = code;
      });
      polygon.on("mouseout", function () {
        if (overArea === code) overArea = null;
      });
      polygon.on("add", function () {
        polygons[code].shown = null;
        recolour();
      });
    },
  };

  let stops = null;
  function stopsRenderer() {
    if (!stops) stops = L.canvas({ pane: "stops" });
    return stops;
  }

  /* ---- the map itself ---- */

  L.Map.addInitHook(function () {
    map = this;
    const self = this;
    self.whenReady(function () {
      let waiting = false;
      self.on("mousemove", function (event) {
        pointer = event.containerPoint;
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(function () {
          waiting = false;
          if (map === self && pointer) showTip(pointer);
        });
      });
      self.on("mouseout", function () {
        overArea = null;
        pointer = null;
        if (tip) tip.style.display = "none";
      });
      self.on("click", function (event) {
        const thing = nearest(event.containerPoint) || (overArea ? { kind: "area", id: overArea } : null);
        if (thing) markaz.select(thing.kind, thing.id, false);
      });
    });
    self.on("unload", function () {
      if (map === self) {
        map = null;
        layer = null;
        tip = null;
        pointer = null;
      }
    });
  });

  function remember(of) {
    of.on("moveend", function () {
      const centre = of.getCenter();
      markaz.memory.set("view", { lat: centre.lat, lon: centre.lng, zoom: of.getZoom() });
    });
  }

  /* Put into the map's children: adds the canvas layer when the map's panes exist. */
  function CityMap(props) {
    markaz.mapLabels = props.labels || {};
    React.useEffect(function () {
      let timer = null;
      const attach = function () {
        if (map && map.getPane("live") && map.getSize().x > 0) {
          map.invalidateSize({ animate: false, pan: false });
          interactive = props.restore;
          indicator = (interactive && markaz.memory.get("indicator")) || "load";
          if (!interactive) selection = null;
          const view = props.restore && !props.focus && markaz.memory.get("view");
          if (view) map.setView([view.lat, view.lon], view.zoom, { animate: false });
          else map.fitBounds(props.bounds, { animate: false, padding: [8, 8] });
          if (props.restore && !props.focus) remember(map);
          layer = new CityLayer();
          map.addLayer(layer);
          look();
          LAYERS.forEach(function (name) {
            togglePane(name, !isHidden(name));
          });
          recolour();
          if (props.restore && selection) markaz.select(selection.kind, selection.id, false);
        } else timer = setTimeout(attach, 30);
      };
      // Later than the map's own first effects, which set the view that it was made with.
      timer = setTimeout(attach, 0);
      return function () {
        clearTimeout(timer);
        if (layer && layer._map) layer.remove();
        layer = null;
      };
    }, []);
    return null;
  }

  function togglePane(name, shown) {
    const pane = map && map.getPane(name);
    const display = shown ? "" : "none";
    if (pane && pane.style.display !== display) pane.style.display = display;
  }

  /* ---- controls ---- */

  function Swatch(props) {
    return h("span", { className: "swatch", style: { background: props.colour } });
  }

  function Indicators() {
    const state = React.useState(indicator);
    markaz.useFrame("summary");
    state[0] = indicator; // the map decides which it shows: the wall always begins with the load
    const all = markaz.settings().indicators || {};
    const choose = function (name) {
      indicator = name;
      markaz.memory.set("indicator", name);
      state[1](name);
      recolour();
    };
    const scale = all[state[0]];
    const unit = scale && scale.unit ? " " + markaz.text("unit." + scale.unit) : "";
    return h(
      "div",
      { className: "indicators" },
      h(
        "div",
        { className: "segmented", role: "radiogroup", "aria-label": markaz.text("indicator") },
        Object.keys(all).map(function (name) {
          return h(
            "button",
            {
              key: name,
              type: "button",
              role: "radio",
              "aria-checked": name === state[0],
              className: name === state[0] ? "on" : "",
              "data-indicator": name,
              onClick: function () {
                choose(name);
              },
            },
            markaz.text("indicator." + name),
          );
        }),
      ),
      scale
        ? h(
            "div",
            { className: "scale" },
            scale.colours.map(function (colour, at) {
              const from = at === 0 ? null : scale.breaks[at - 1];
              const to = at === scale.breaks.length ? null : scale.breaks[at] - (scale.whole ? 1 : 0);
              const low = from === null ? 0 : from;
              const words =
                to === null
                  ? "≥ " + markaz.number(from, 0)
                  : scale.whole && low === to
                    ? markaz.number(low, 0)
                    : (from === null && !scale.whole ? "< " : markaz.number(low, 0) + "–") + markaz.number(to, 0);
              return h("span", { key: at, className: "step" }, h(Swatch, { colour: colour === "none" ? "transparent" : colour }), words);
            }),
            h("span", { className: "step unit" }, unit),
          )
        : null,
    );
  }

  const KEY_SHAPES = [
    ["load-0", "load.low"],
    ["load-1", "load.half"],
    ["load-2", "load.full"],
    ["load-3", "load.over"],
    ["load-unknown", "load.unknown"],
  ];

  function Key() {
    markaz.useFrame("summary");
    const arrow = "M8 1 L14 14 L8 11 L2 14 Z";
    const nosed = "M3 15 L3 6 L8 1 L13 6 L13 15 Z";
    return h(
      "div",
      { className: "key" },
      KEY_SHAPES.map(function (pair) {
        return h("span", { key: pair[0] }, h("svg", { viewBox: "0 0 16 16" }, h("path", { d: arrow, fill: "var(--" + pair[0] + ")", stroke: pair[0] === "load-3" ? "var(--ink)" : "none", strokeWidth: 1.4 })), markaz.text(pair[1]));
      }),
      h("span", null, h("svg", { viewBox: "0 0 16 16" }, h("path", { d: arrow, fill: "none", stroke: "var(--stale)", strokeWidth: 1.5 })), markaz.text("stale")),
      h("span", null, h("svg", { viewBox: "0 0 16 16" }, h("path", { d: nosed, fill: "var(--load-0)" })), markaz.text("mode.trolleybus")),
      h("span", null, h("svg", { viewBox: "0 0 16 16" }, h("rect", { x: 4, y: 4, width: 8, height: 8, fill: "none", stroke: "var(--camera)", strokeWidth: 1.6 })), markaz.text("camera.online")),
      h("span", null, h("svg", { viewBox: "0 0 16 16" }, h("path", { d: "M4 4 L12 12 M12 4 L4 12", stroke: "var(--camera-off)", strokeWidth: 2 })), markaz.text("camera.offline")),
    );
  }

  const LAYERS = ["vehicles", "cameras", "alarms", "routes", "stops", "metro", "labels"];

  function Layers() {
    const state = React.useState(0);
    markaz.useFrame("summary");
    return h(
      "details",
      { className: "layers" },
      h("summary", null, markaz.text("layers")),
      LAYERS.map(function (name) {
        return h(
          "label",
          { key: name },
          h("input", {
            type: "checkbox",
            checked: !hidden.has(name),
            onChange: function (event) {
              if (event.target.checked) hidden.delete(name);
              else hidden.add(name);
              togglePane(name, event.target.checked);
              markaz.memory.set("hidden", Array.from(hidden));
              state[1](state[0] + 1);
              draw();
            },
          }),
          markaz.text("layer." + name),
        );
      }),
    );
  }

  /* ---- selection: told to the server, which answers with the panel ---- */

  let tellServer = null;

  function Selection(props) {
    tellServer = props.setProps;
    return null;
  }

  markaz.select = function (kind, id, fly) {
    selection = kind ? { kind: kind, id: id } : null;
    markaz.memory.set("selection", selection);
    if (tellServer) tellServer({ value: selection });
    if (fly && map) {
      const where = pointOfSelection();
      if (where) {
        const latLng = latLngOf(where);
        if (!map.getBounds().pad(-0.15).contains(latLng)) map.panTo(latLng, { animate: false });
      }
    }
    draw();
  };

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && selection) markaz.select(null);
  });

  /* For the people who test the page: where a vehicle is drawn, in CSS pixels of the map. */
  markaz.whereDrawn = function (id) {
    const vehicle = markaz.vehicleNow(id);
    if (!vehicle || !map) return null;
    const point = screenOf({ scale: 256 * Math.pow(2, map.getZoom()), origin: map.getPixelBounds().min }, vehicle.world);
    return { x: point[0], y: point[1], stale: vehicle.stale };
  };

  markaz.leaflet = function () {
    return map;
  };

  Object.assign(window.markaz_live, { CityMap: CityMap, Indicators: Indicators, Key: Key, Layers: Layers, Selection: Selection });
})();
