/* Questions to history, a few at a time: as jobs of the server, with their progress, and taken back when nobody waits any more.
 *
 * What was answered is kept for the page's life, so that going back shows at once what was there.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const analytics = (markaz.analytics = markaz.analytics || {});

  const JOBS = "/api/v1/history/jobs";
  const AT_ONCE = 3; // the server works on few at a time, and others ask too
  const EVERY_MS = 1000;
  const OLD_SHOWN_MS = 700; // most answers come sooner
  const KEPT = 150;
  const BUSY_AGAIN_MS = 2000;
  const BUSY_TRIES = 15;

  const answers = new Map(); // query → answer, the oldest first
  const waiting = [];
  let running = 0;

  function keep(query, answer) {
    answers.delete(query);
    answers.set(query, answer);
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }

  function Failure(kind, detail) {
    this.kind = kind; // a word of the catalogue below analytics.error.
    this.detail = detail || "";
  }

  /* What the problem says of itself, else its status. */
  function kindOf(status, kind) {
    const said = { refused: "question", too_much: "too_much", timeout: "timeout", cancelled: "cancelled", busy: "busy" }[kind];
    return said || { 409: "cancelled", 422: "question", 429: "busy", 500: "bug", 503: "history", 504: "timeout" }[status] || "away";
  }

  function sleep(ms) {
    return new Promise(function (done) { setTimeout(done, ms); });
  }

  function call(path, options) {
    return fetch(path, Object.assign({ cache: "no-store" }, options)).then(
      function (answer) {
        return answer.text().then(function (text) {
          let body = {};
          try {
            body = JSON.parse(text);
          } catch (error) {
            throw new Failure("away", text.slice(0, 200));
          }
          if (!answer.ok) throw new Failure(kindOf(answer.status, body.kind), body.detail || body.title);
          return body;
        });
      },
      function () { throw new Failure("away"); },
    );
  }

  /* One question until it is answered. `order` = {query, cancelled, onProgress, onCancel}. */
  async function work(order) {
    let job = null;
    for (let tries = 0; job === null; tries++) {
      if (order.cancelled) throw new Failure("cancelled");
      try {
        job = await call(JOBS + "?" + order.query, { method: "POST" });
      } catch (failure) {
        if (failure.kind !== "busy" || tries >= BUSY_TRIES) throw failure;
        await sleep(BUSY_AGAIN_MS);
      }
    }
    const path = JOBS + "/" + encodeURIComponent(job.id);
    const wanted = new AbortController();
    let ended = false;
    order.onCancel = function () {
      if (ended) return;
      wanted.abort();
      fetch(path, { method: "DELETE", keepalive: true }).catch(function () {});
    };
    if (order.cancelled) order.onCancel();
    // How far it is; the answer comes by itself.
    const watch = setInterval(function () {
      call(path).then(function (told) { if (!ended) order.onProgress(told.progress || 0); }, function () {});
    }, EVERY_MS);
    try {
      return await call(path + "/answer", { signal: wanted.signal });
    } finally {
      ended = true;
      clearInterval(watch);
    }
  }

  function next() {
    while (running < AT_ONCE && waiting.length) {
      const order = waiting.shift();
      if (order.cancelled) continue;
      running++;
      work(order).then(order.onAnswer, order.onFailure).finally(function () {
        running--;
        next();
      });
    }
  }

  function ask(query, onAnswer, onFailure, onProgress) {
    const order = { query: query, cancelled: false, onProgress: onProgress };
    order.onAnswer = function (answer) {
      keep(query, answer);
      if (!order.cancelled) onAnswer(answer);
    };
    order.onFailure = function (failure) {
      if (!(failure instanceof Failure)) console.error(failure);
      if (!order.cancelled) onFailure(failure instanceof Failure ? failure : new Failure("away"));
    };
    waiting.push(order);
    next();
    return function cancel() {
      order.cancelled = true;
      if (order.onCancel) order.onCancel();
    };
  }

  /* Answers to `asked` ({name: query or null}), by name: {query, answer, failure, progress, busy, old}. The answer of the question
     before stays for a moment, as `old`, so that nothing blinks; it is not shown as one to the question of now. `round`: another
     number asks again. */
  function useAnswers(asked, round) {
    const state = React.useState({});
    const cancels = React.useRef({});
    const set = state[1];
    const key = JSON.stringify(asked);
    React.useEffect(
      function () {
        const put = function (name, query, values) {
          set(function (before) {
            const old = before[name] || {};
            const gone = values.failure && old.query !== query ? { query: null, answer: null } : null;
            return Object.assign({}, before, { [name]: Object.assign({}, old, values, gone, { asked: query }) });
          });
        };
        Object.keys(asked).forEach(function (name) {
          const query = asked[name];
          const running = cancels.current[name];
          if (running && running.query === query && running.round === round) return;
          if (running) running.cancel();
          delete cancels.current[name];
          if (query === null) return put(name, null, { query: null, answer: null, failure: null, busy: false });
          if (answers.has(query)) return put(name, query, { query: query, answer: answers.get(query), failure: null, busy: false, progress: 1 });
          put(name, query, { failure: null, busy: true, progress: 0 });
          setTimeout(function () {
            set(function (before) {
              const part = before[name];
              const slow = part && part.busy && part.asked === query && part.query !== query && part.answer;
              return slow ? Object.assign({}, before, { [name]: Object.assign({}, part, { query: null, answer: null }) }) : before;
            });
          }, OLD_SHOWN_MS);
          const cancel = ask(
            query,
            function (answer) {
              delete cancels.current[name];
              put(name, query, { query: query, answer: answer, failure: null, busy: false, progress: 1 });
            },
            function (failure) {
              delete cancels.current[name];
              put(name, query, { failure: failure, busy: false });
            },
            function (progress) { put(name, query, { progress: progress }); },
          );
          cancels.current[name] = { query: query, round: round, cancel: cancel };
        });
      },
      [key, round],
    );
    const cancelAll = React.useCallback(function () {
      Object.keys(cancels.current).forEach(function (name) {
        cancels.current[name].cancel();
        delete cancels.current[name];
      });
      set(function (before) {
        const next = {};
        Object.keys(before).forEach(function (name) {
          const part = before[name];
          const gone = part.query !== part.asked ? { query: null, answer: null } : null;
          next[name] = part.busy ? Object.assign({}, part, { busy: false, failure: new Failure("cancelled") }, gone) : part;
        });
        return next;
      });
    }, []);
    // Whoever leaves the page waits for nothing.
    React.useEffect(function () {
      return function () {
        Object.keys(cancels.current).forEach(function (name) { cancels.current[name].cancel(); });
        cancels.current = {};
      };
    }, []);
    const found = {};
    Object.keys(asked).forEach(function (name) {
      const part = state[0][name];
      if (!part || part.asked !== asked[name]) found[name] = Object.assign({}, part, { busy: asked[name] !== null, progress: 0, failure: null, old: true });
      else found[name] = part.query === asked[name] ? part : Object.assign({}, part, { old: true });
    });
    return [found, cancelAll];
  }

  function forget() {
    answers.clear();
  }

  /* ---- what an answer says ---- */

  /* Rows as {at, key, value, rows} of a period: 0 is the one looked at, 1 the one that it is compared with. */
  function rowsOf(part, by, period) {
    const answer = part && part.answer;
    if (!answer) return [];
    return answer.data
      .filter(function (row) { return (row.period || 0) === (period || 0); })
      .map(function (row) {
        return { at: row.at ? Date.parse(row.at) : null, key: by ? row[by] : null, value: row.value === undefined ? null : row.value, rows: row.rows };
      });
  }

  Object.assign(analytics, { Failure: Failure, useAnswers: useAnswers, forgetAnswers: forget, rowsOf: rowsOf, call: call });
})();
