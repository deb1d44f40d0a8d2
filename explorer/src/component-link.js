/** A component's name, as a link where it has a page. */

import { componentAddress, componentName } from './component-names.js';
import { h } from './dom.js';

/**
 * @param {string} run @param {import('./rows.js').Row} row with `component`, `layer`, `expert`, `index`
 * @param {Record<string, any>} [props] attributes
 */
export function componentLink(run, row, props = {}) {
  const of = /** @type {import('./component-names.js').Component} */ (/** @type {unknown} */ (row));
  const href = componentAddress(run, of);
  return href ? h('a', { ...props, href }, componentName(of)) : h('span', props, componentName(of));
}
