/* Tables of the page of analytics: the rows themselves, paged from the server into AG Grid, and what changed between two periods.
 *
 * The grid is Dash's component (layouts/analytics.py) and is given a source of rows of ours: the server's pages follow one another
 * by cursor, so the grid learns where the rows end only when it gets there. Nothing but the pages near the eye is in memory.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});
  const h = function () {
    return React.createElement.apply(React, arguments);
  };

  const ROWS = "/api/v1/history/rows";
  const PAGE = 200;
  const GRID = "analytics-grid";
  const LOOK_MS = 300;
  // The columns that people look for come first, and those of machines last.
  const FIRST = ["measured_at", "vehicle_id", "camera_id", "sensor_id", "alarm", "route", "district", "mahalla"];
  const LAST = ["received_at", "late", "lat", "lon"];

  function columnsOf(row, feed) {
    const names = Object.keys(row);
    const first = FIRST.filter(function (name) { return names.indexOf(name) >= 0; });
    const last = LAST.filter(function (name) { return names.indexOf(name) >= 0; });
    const middle = names.filter(function (name) { return first.indexOf(name) < 0 && last.indexOf(name) < 0; });
    return first.concat(middle, last).map(function (name) {
      const filter = feed.columns[name];
      return {
        field: name,
        colId: name,
        headerName: analytics.words.named("analytics.column.", name),
        width: name.endsWith("_at") ? 190 : 130,
        sortable: true,
        sortingOrder: ["asc", "desc", null],
        filter: filter ? "agTextColumnFilter" : false,
        filterParams: { filterOptions: ["equals"], maxNumConditions: 1, caseSensitive: true, debounceMs: 600, suppressAndOrCondition: true },
        floatingFilter: Boolean(filter),
        suppressHeaderMenuButton: true,
        valueFormatter: function (params) { return cell(name, params.value); },
      };
    });
  }

  function cell(name, value) {
    if (value === null || value === undefined) return "";
    if (name.endsWith("_at")) {
      const ms = Date.parse(value);
      const wall = analytics.clock.wall(ms, markaz.settings().timezone);
      return wall.slice(8, 10) + "." + wall.slice(5, 7) + "." + wall.slice(0, 4) + " " + wall.slice(11, 19);
    }
    if (name === "district" || name === "mahalla") return analytics.words.areaName(value);
    if (name === "late") return value ? markaz.text("analytics.yes") : "";
    if (typeof value === "object") return JSON.stringify(value);
    if (typeof value === "number" && !Number.isInteger(value)) return markaz.number(value, name === "lat" || name === "lon" ? 5 : 1);
    return String(value);
  }

  /* Areas are shown by name and asked for by code. */
  function asKnown(column, given) {
    if (column !== "district" && column !== "mahalla") return given;
    const names = markaz.areaNames || {};
    const found = Object.keys(names).find(function (code) { return names[code].toLowerCase() === given.toLowerCase(); });
    return found || given;
  }

  /* Where the grid gets its rows. A page is asked by the cursor of the one before it, which is remembered. */
  function source(query, feed, api, onTold) {
    const cursors = { 0: "" };
    let filters = ""; // and the order
    let dressed = false;
    const page = function (at, more) {
      return analytics.call(ROWS + "?" + query + more + "&limit=" + PAGE + (cursors[at] ? "&cursor=" + encodeURIComponent(cursors[at]) : ""));
    };
    const work = async function (params) {
      const more = Object.keys(params.filterModel || {})
        .filter(function (column) { return feed.columns[column] && params.filterModel[column].filter; })
        .map(function (column) { return "&" + feed.columns[column] + "=" + encodeURIComponent(asKnown(column, params.filterModel[column].filter.trim())); })
        .concat((params.sortModel || []).slice(0, 1).map(function (sort) { return "&order=" + (sort.sort === "desc" ? "-" : "") + encodeURIComponent(sort.colId); }))
        .join("");
      if (more !== filters) {
        filters = more;
        Object.keys(cursors).forEach(function (at) { if (at !== "0") delete cursors[at]; });
      }
      try {
        // A block far below the known ones: the pages between are walked through, they are small.
        let at = params.startRow;
        while (cursors[at] === undefined && at > 0) at -= PAGE;
        let answer = await page(at, more);
        while (at < params.startRow && answer.next) {
          cursors[at + PAGE] = answer.next;
          at += PAGE;
          answer = await page(at, more);
        }
        const rows = at === params.startRow ? answer.data : [];
        if (answer.next) cursors[at + PAGE] = answer.next;
        if (!dressed && rows.length) {
          dressed = true;
          api.setGridOption("columnDefs", columnsOf(rows[0], feed));
        }
        onTold("");
        params.successCallback(rows, answer.next ? undefined : at + rows.length);
      } catch (failure) {
        onTold(failure.kind || "away");
        params.failCallback();
      }
    };
    let before = Promise.resolve();
    return {
      // One after the other: a page knows its cursor by the one before.
      getRows: function (params) {
        before = before.then(function () { return work(params); }).catch(console.error);
      },
    };
  }

  /* Feeds the grid while the page shows the table. */
  function Rows(props) {
    const state = React.useState("");
    React.useEffect(
      function () {
        if (!props.shown) return undefined;
        let fed = null; // the grid that has our source
        let ours = null;
        // Dash makes the grid when its script has come, and may make it anew: then it has Dash's own source again.
        const feedGrid = function () {
          let api = null;
          try {
            api = window.dash_ag_grid.getApi(GRID);
          } catch (error) {
            return; // it is not there yet
          }
          if (!api || api.isDestroyed() || (api === fed && api.getGridOption("datasource") === ours)) return;
          // A grid without columns asks for nothing; those of the rows come with the first of them.
          const known = { measured_at: null };
          Object.keys(props.feed.columns).forEach(function (name) { known[name] = null; });
          fed = api;
          ours = source(props.query, props.feed, api, state[1]);
          api.setGridOption("columnDefs", columnsOf(known, props.feed));
          api.setFilterModel(null);
          api.setGridOption("datasource", ours);
        };
        feedGrid();
        const timer = setInterval(feedGrid, LOOK_MS);
        return function () { clearInterval(timer); };
      },
      [props.query, props.shown, props.round],
    );
    return props.shown && state[0] ? h("p", { className: "an-away", role: "status" }, markaz.text("analytics.error." + state[0])) : null;
  }

  /* ---- what changed ---- */

  function changes(now, before) {
    const found = {};
    now.forEach(function (row) { found[row.key] = { key: row.key, now: row.value, before: null }; });
    before.forEach(function (row) { (found[row.key] = found[row.key] || { key: row.key, now: null }).before = row.value; });
    const all = Object.values(found).filter(function (one) { return one.key; });
    all.forEach(function (one) {
      const known = one.now !== null && one.before !== null && one.before !== undefined;
      one.difference = known ? one.now - one.before : null;
      one.percent = known ? analytics.words.change(one.now, one.before) : null;
    });
    return all;
  }

  function Changes(props) {
    const order = React.useState({ by: "difference", up: false });
    const by = order[0].by;
    const rows = changes(props.now, props.before).sort(function (one, other) {
      const size = function (row) { return row[by] === null || row[by] === undefined ? null : by === "difference" || by === "percent" ? Math.abs(row[by]) : row[by]; };
      if (size(one) === null) return size(other) === null ? 0 : 1; // what is not known comes last either way
      if (size(other) === null) return -1;
      return (size(other) - size(one)) * (order[0].up ? -1 : 1);
    });
    const heading = function (name) {
      return h(
        "th",
        { key: name, scope: "col", className: "n", "aria-sort": by === name ? (order[0].up ? "ascending" : "descending") : "none" },
        h("button", { type: "button", onClick: function () { order[1]({ by: name, up: by === name ? !order[0].up : false }); } }, markaz.text("analytics.changes." + name), by === name ? (order[0].up ? " ▲" : " ▼") : ""),
      );
    };
    return h(
      "div",
      { className: "an-changes" },
      h(
        "table",
        null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, analytics.words.named("analytics.by.", props.by)), ["now", "before", "difference", "percent"].map(heading))),
        h(
          "tbody",
          null,
          rows.map(function (row) {
            return h(
              "tr",
              { key: row.key, "data-key": row.key },
              h("th", { scope: "row" }, h("button", { type: "button", onClick: function () { props.onChoose(row.key); } }, analytics.words.valueName(props.by, row.key))),
              h("td", { className: "n" }, analytics.words.bare(row.now, props.measure)),
              h("td", { className: "n" }, analytics.words.bare(row.before, props.measure)),
              h("td", { className: "n" }, analytics.words.signed(row.difference, props.measure)),
              h("td", { className: "n" }, analytics.words.percent(row.percent)),
            );
          }),
        ),
      ),
      rows.length ? null : h("p", { className: "empty" }, markaz.text("analytics.no_data")),
    );
  }

  analytics.table = { Rows: Rows, Changes: Changes, changes: changes };
})();
