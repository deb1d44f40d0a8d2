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

/** @param {(Child | Child[])[]} children */
const nodesOf = (children) => /** @type {(Node | string)[]} */ (children.flat().filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));

/** Replaces the children. @param {Element} el @param {...(Child | Child[])} children */
export function fill(el, ...children) {
  el.replaceChildren(...nodesOf(children));
}

/**
 * Replaces the children; what a reader was on keeps the keyboard's focus: moved, or drawn anew under the same `data-go` or address.
 * @param {Element} el @param {() => (Child | Child[])[]} make the children; it may put what stays into new places, and being taken out of the page blurs
 */
export function refill(el, make) {
  const focused = el.contains(document.activeElement) ? document.activeElement : null;
  const nodes = nodesOf(make());
  if (nodes.length === el.childNodes.length && nodes.every((node, i) => node === el.childNodes[i])) return;
  const kept = /** @type {ChildNode | undefined} */ (nodes.find((node) => focused && node instanceof Node && node !== focused && node.contains(focused)));
  if (kept?.parentNode === el) {
    // It stays where it is: taking it out for a moment would blur what is in it.
    for (const child of [...el.childNodes]) if (child !== kept) child.remove();
    kept.before(...nodes.slice(0, nodes.indexOf(kept)));
    kept.after(...nodes.slice(nodes.indexOf(kept) + 1));
    return;
  }
  el.replaceChildren(...nodes);
  if (!focused) return;
  const same = ['data-go', 'href'].filter((name) => focused.hasAttribute(name)).map((name) => `[${name}="${CSS.escape(focused.getAttribute(name) ?? '')}"]`);
  const now = el.contains(focused) ? focused : same.length ? el.querySelector(same[0]) : null;
  /** @type {HTMLElement | null} */ (now)?.focus({ preventScroll: true });
}

/**
 * Draws anew; the part that had the keyboard's focus has it afterwards too: by its `data-key`, or where it is gone, the whole.
 * @param {SVGElement} el @param {() => void} redraw
 */
export function keepFocus(el, redraw) {
  const focused = el.contains(document.activeElement) ? document.activeElement : null;
  redraw();
  if (!focused || el.contains(document.activeElement)) return;
  const key = focused.getAttribute('data-key');
  const same = /** @type {SVGElement | null} */ (key && el.querySelector(`[data-key="${CSS.escape(key)}"]`));
  (same ?? el).focus({ preventScroll: true });
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
