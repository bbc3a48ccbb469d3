/* Questions to the transport analysis: one at a time, as the server works on one; taken back when nobody waits any more.
 *
 * What was answered is kept for the page's life, so that going back shows at once what was there.
 */
(function () {
  "use strict";
  const markaz = window.markaz;
  const transit = (markaz.transit = markaz.transit || {});

  const PATH = "/api/v1/transit/";
  const KEPT = 60;
  const BUSY_AGAIN_MS = 2000;
  const BUSY_TRIES = 20;

  const answers = new Map(); // address → answer, the oldest first
  const waiting = [];
  let running = null;

  function keep(address, answer) {
    answers.delete(address);
    answers.set(address, answer);
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }

  function fetched(address, signal) {
    return markaz.analytics.call(PATH + address, { signal: signal });
  }

  async function work(order) {
    for (let tries = 0; ; tries++) {
      try {
        return await fetched(order.address, order.abort.signal);
      } catch (failure) {
        if (failure.kind !== "busy" || tries >= BUSY_TRIES || order.abort.signal.aborted) throw failure;
        await new Promise(function (done) { setTimeout(done, BUSY_AGAIN_MS); });
      }
    }
  }

  function next() {
    if (running) return;
    const order = waiting.shift();
    if (!order) return;
    if (order.abort.signal.aborted) return next();
    running = order;
    work(order).then(
      function (answer) {
        keep(order.address, answer);
        if (!order.abort.signal.aborted) order.onAnswer(answer);
      },
      function (failure) {
        if (!(failure instanceof markaz.analytics.Failure)) console.error(failure);
        if (!order.abort.signal.aborted) order.onFailure(failure instanceof markaz.analytics.Failure ? failure : new markaz.analytics.Failure("bug"));
      },
    ).finally(function () {
      running = null;
      next();
    });
  }

  function ask(address, onAnswer, onFailure) {
    const order = { address: address, abort: new AbortController(), onAnswer: onAnswer, onFailure: onFailure };
    waiting.push(order);
    next();
    return function () { order.abort.abort(); };
  }

  /* Answers to `asked` ({name: address or null}), by name: {asked, query, answer, failure, busy, since}. `round`: another number asks
     again; the answer before stays until the new one is there. */
  function useAnswers(asked, round) {
    const state = React.useState({});
    const cancels = React.useRef({});
    const set = state[1];
    const key = JSON.stringify(asked);
    React.useEffect(
      function () {
        const put = function (name, values) {
          set(function (before) {
            const old = before[name] && before[name].asked === asked[name] ? before[name] : {};
            return Object.assign({}, before, { [name]: Object.assign({}, old, values, { asked: asked[name] }) });
          });
        };
        Object.keys(cancels.current).forEach(function (name) {
          if (cancels.current[name].address === asked[name] && cancels.current[name].round === round) return;
          cancels.current[name].cancel();
          delete cancels.current[name];
        });
        Object.keys(asked).forEach(function (name) {
          const address = asked[name];
          if (cancels.current[name]) return;
          if (!address) return put(name, { query: null, answer: null, failure: null, busy: false });
          if (answers.has(address)) return put(name, { query: address, answer: answers.get(address), failure: null, busy: false });
          put(name, { failure: null, busy: true, since: Date.now() });
          const cancel = ask(
            address,
            function (answer) {
              delete cancels.current[name];
              put(name, { query: address, answer: answer, failure: null, busy: false });
            },
            function (failure) {
              delete cancels.current[name];
              put(name, { failure: failure, busy: false });
            },
          );
          cancels.current[name] = { address: address, round: round, cancel: cancel };
        });
      },
      [key, round],
    );
    const cancelAll = React.useCallback(function () {
      Object.keys(cancels.current).forEach(function (name) { cancels.current[name].cancel(); });
      cancels.current = {};
      set(function (before) {
        const after = {};
        Object.keys(before).forEach(function (name) {
          after[name] = before[name].busy ? Object.assign({}, before[name], { busy: false, failure: new markaz.analytics.Failure("cancelled") }) : before[name];
        });
        return after;
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
      found[name] = part && part.asked === asked[name] ? part : { busy: Boolean(asked[name]), since: Date.now() };
    });
    return [found, cancelAll];
  }

  /* What is read once a `round`: {told, failure}. */
  function useOnce(address, round) {
    const state = React.useState({ address: null, told: null, failure: null });
    React.useEffect(
      function () {
        if (!address) return undefined;
        const abort = new AbortController();
        fetched(address, abort.signal).then(
          function (told) { state[1]({ address: address, told: told, failure: null }); },
          function (failure) { if (!abort.signal.aborted) state[1]({ address: address, told: null, failure: failure }); },
        );
        return function () { abort.abort(); };
      },
      [address, round],
    );
    return state[0].address === address ? state[0] : { told: null, failure: null };
  }

  transit.PATH = PATH;
  transit.useAnswers = useAnswers;
  transit.useOnce = useOnce;
  transit.forget = function () { answers.clear(); };
})();
