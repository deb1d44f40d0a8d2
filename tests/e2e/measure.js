// What the measurements need inside the page. Times are milliseconds.
(() => {
  const drawn = () =>
    document.querySelector('[data-testid=graph]') &&
    /\d+ nodes?/.test(document.querySelector('[data-testid=route-count]')?.textContent ?? '') &&
    !document.querySelector('main.loading');
  // After a frame's callbacks comes its paint; a task queued in them runs after that.
  const painted = (then) => requestAnimationFrame(() => setTimeout(then, 0));

  const measure = {
    /** When the first graph was on the screen, counted from the navigation's start. */
    drawnAt: null,

    /** Time from `act` to the paint after the last change that followed it, with no other for `quiet` once there is `until`. */
    settled: (act, quiet = 500, until = 'body') =>
      new Promise((resolve) => {
        const began = performance.now();
        let changed = began;
        let shown = began;
        const seen = new MutationObserver(() => {
          changed = performance.now();
          painted(() => (shown = performance.now()));
        });
        seen.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
        act();
        const wait = () => {
          const missing = !document.querySelector(until) && performance.now() - began < 20_000;
          if (missing || performance.now() - Math.max(changed, shown) < quiet) return setTimeout(wait, 25);
          seen.disconnect();
          resolve(changed === began ? null : shown - began);
        };
        wait();
      }),

    /** Time from `act` to the paint after `busy` was on the page and is not any more. */
    served: (act, busy) =>
      new Promise((resolve) => {
        const began = performance.now();
        let seen = false;
        const look = new MutationObserver(() => {
          const now = document.querySelector(busy) !== null;
          if (seen && !now) {
            look.disconnect();
            painted(() => resolve(performance.now() - began));
          }
          seen ||= now;
        });
        look.observe(document.body, { subtree: true, childList: true, attributes: true });
        act();
      }),

    /** Times between frames while `step(i)` is called in each of `n`. */
    frames: (step, n) =>
      new Promise((resolve) => {
        const times = [];
        let before = null;
        let i = 0;
        const frame = (now) => {
          if (before !== null) times.push(now - before);
          before = now;
          if (i >= n) return resolve(times);
          step(i);
          i += 1;
          requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
      }),

    /** A click on an element, or on the window's point where a name is drawn. */
    click: (selector) => {
      const el = document.querySelector(selector);
      if (!el) throw new Error(`nothing is ${selector}`);
      const { left, top, width, height } = el.getBoundingClientRect();
      const at = { bubbles: true, cancelable: true, view: window, clientX: left + width / 2, clientY: top + height / 2 };
      el.dispatchEvent(new MouseEvent('click', at));
    },

    slide: (to) => {
      const range = document.querySelector('[data-testid=tau-slider]');
      range.value = String(to);
      range.dispatchEvent(new Event('input', { bubbles: true }));
    },

    /** A drag of the graph by the mouse: its beginning, a move, its end. */
    drag: (type, x, y) => {
      const target = type === 'mousedown' ? document.querySelector('[data-testid=graph]') : window;
      target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, view: window, clientX: x, clientY: y }));
    },

    wheel: (by, x, y) => {
      const graph = document.querySelector('[data-testid=graph]');
      graph.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, deltaY: by, clientX: x, clientY: y }));
    },

    hover: (x, y) => {
      const at = { bubbles: true, clientX: x, clientY: y, buttons: 0 };
      document.querySelector('[data-testid=graph]').dispatchEvent(new PointerEvent('pointermove', at));
    },
  };
  window.measure = measure;
  const look = () => {
    if (drawn()) painted(() => (measure.drawnAt = performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
