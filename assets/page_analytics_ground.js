/* The city's polygons as shapes to be drawn: fetched once, in Mercator, with what is needed to find one's way among them. */
(function () {
  "use strict";
  const analytics = (window.markaz.analytics = window.markaz.analytics || {});

  const WIDTH = 1000; // of the city in the drawing's own units
  const SILENT_MS = 300000; // a vehicle that said nothing for longer: the way between is not known

  const layers = {}; // url → promise of polygons

  function mercator(lat) {
    return Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) * (180 / Math.PI);
  }

  function projection(bounds) {
    const scale = WIDTH / (bounds[2] - bounds[0]);
    const top = mercator(bounds[3]);
    return {
      x: function (lon) { return (lon - bounds[0]) * scale; },
      y: function (lat) { return (top - mercator(lat)) * scale; },
      height: (top - mercator(bounds[1])) * scale,
    };
  }

  function ringsOf(geometry) {
    if (geometry.type === "Polygon") return geometry.coordinates;
    return geometry.type === "MultiPolygon" ? geometry.coordinates.flat() : [];
  }

  function shape(feature, to) {
    let path = "";
    let best = 0;
    let centre = [0, 0];
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    ringsOf(feature.geometry).forEach(function (ring) {
      const points = ring.map(function (point) { return [to.x(point[0]), to.y(point[1])]; });
      path += "M" + points.map(function (point) { return point[0].toFixed(2) + "," + point[1].toFixed(2); }).join("L") + "Z";
      let area = 0;
      let x = 0;
      let y = 0;
      points.forEach(function (point, at) {
        box[0] = Math.min(box[0], point[0]);
        box[1] = Math.min(box[1], point[1]);
        box[2] = Math.max(box[2], point[0]);
        box[3] = Math.max(box[3], point[1]);
        const other = points[(at + 1) % points.length];
        const cross = point[0] * other[1] - other[0] * point[1];
        area += cross;
        x += (point[0] + other[0]) * cross;
        y += (point[1] + other[1]) * cross;
      });
      if (Math.abs(area) > best) {
        best = Math.abs(area);
        centre = [x / (3 * area), y / (3 * area)];
      }
    });
    return { code: feature.properties.code, district: feature.properties.district_code || null, path: path, box: box, centre: centre, size: best / 2 };
  }

  function load(url, to) {
    if (!layers[url]) {
      layers[url] = fetch(url).then(function (answer) {
        if (!answer.ok) throw new Error(url);
        return answer.json();
      }).then(function (collection) {
        return collection.features.map(function (feature) { return shape(feature, to); });
      }).catch(function (error) {
        delete layers[url];
        throw error;
      });
    }
    return layers[url];
  }

  function usePolygons(url, to) {
    const state = React.useState([]);
    React.useEffect(function () {
      let wanted = true;
      if (url) load(url, to).then(function (found) { if (wanted) state[1](found); }, function () { if (wanted) state[1]([]); });
      return function () { wanted = false; };
    }, [url]);
    return url ? state[0] : [];
  }

  function fitted(box, ratio) {
    const width = Math.max(box[2] - box[0], (box[3] - box[1]) * ratio) * 1.08;
    const height = width / ratio;
    return [(box[0] + box[2] - width) / 2, (box[1] + box[3] - height) / 2, width, height];
  }

  function around(shapes) {
    return shapes.reduce(function (box, one) {
      return [Math.min(box[0], one.box[0]), Math.min(box[1], one.box[1]), Math.max(box[2], one.box[2]), Math.max(box[3], one.box[3])];
    }, [Infinity, Infinity, -Infinity, -Infinity]);
  }

  /* The nearest of `shapes` in the arrow's direction. */
  function neighbour(shapes, from, key) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    let best = null;
    let least = Infinity;
    shapes.forEach(function (one) {
      const x = one.centre[0] - from.centre[0];
      const y = one.centre[1] - from.centre[1];
      const along = x * way[0] + y * way[1];
      const aside = Math.abs(x * way[1]) + Math.abs(y * way[0]);
      if (along <= 0.5 || aside > along * 2) return;
      if (along + 2 * aside < least) {
        least = along + 2 * aside;
        best = one;
      }
    });
    return best || from;
  }

  /* Where a vehicle was, in order, in runs of [lat, lon]: where it was silent, nobody knows which way it went. */
  function runs(rows) {
    const found = [];
    let last = -Infinity;
    rows.forEach(function (row) {
      if (row.lat === null || row.lat === undefined) return;
      const at = Date.parse(row.measured_at);
      if (at - last > SILENT_MS) found.push([]);
      found[found.length - 1].push([row.lat, row.lon]);
      last = at;
    });
    return found;
  }

  analytics.ground = { WIDTH: WIDTH, projection: projection, usePolygons: usePolygons, fitted: fitted, around: around, neighbour: neighbour };
  analytics.runs = runs;
})();
