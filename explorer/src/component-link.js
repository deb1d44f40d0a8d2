/** A component's name, by itself or in an edit, as a link where it has a page. */

import { componentAddress, componentName, typedComponent } from './component-names.js';
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

/** Edits as they were written, their components linked. @param {string} run @param {string[]} edits @returns {(Node | string)[]} */
export function editLinks(run, edits) {
  return edits.flatMap((edit, i) => {
    const [name, ...action] = edit.split('=');
    const component = typedComponent(name);
    const href = component && componentAddress(run, component);
    return [i ? ', ' : '', href ? h('a', { href }, name) : name, `=${action.join('=')}`];
  });
}
