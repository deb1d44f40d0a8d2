/**
 * Elements without markup: text is always a text node, so no string of a dataset can become HTML.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/** @param {Element} el @param {Record<string, any>} props */
function assign(el, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? '' : String(value));
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [props] attributes; `onclick` and the like are listeners
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  assign(el, props);
  fill(el, ...children);
  return el;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [props] @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(tag, props = {}, ...children) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
  assign(el, props);
  fill(el, ...children);
  return el;
}

/** Replaces the children. @param {Element} el @param {...(Child | Child[])} children */
export function fill(el, ...children) {
  const nodes = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  el.replaceChildren(...nodes.map((child) => (child instanceof Node ? child : String(child))));
}

/**
 * Replaces the children; what a reader was on, named by `data-go`, keeps the keyboard's focus when it is drawn anew.
 * @param {Element} el @param {...(Child | Child[])} children
 */
export function refill(el, ...children) {
  const on = el.contains(document.activeElement) ? document.activeElement?.getAttribute('data-go') : null;
  fill(el, ...children);
  if (on) /** @type {HTMLElement | null} */ (el.querySelector(`[data-go="${CSS.escape(on)}"]`))?.focus({ preventScroll: true });
}

/** @param {Element} el @param {string} name @param {string | number | null | false} value */
export function attr(el, name, value) {
  if (value === null || value === false) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, String(value));
}

/** @param {Element} el @param {string} text */
export function text(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/**
 * At most one call a frame.
 * @param {() => void} run
 */
export function perFrame(run) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      run();
    });
  };
}
