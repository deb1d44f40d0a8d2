/** A view whose code is fetched when it is first shown, so that the first page stays as small as it is. */

import { fill, h } from './dom.js';
import { SiteError } from './errors.js';
import { waiting } from './panel-parts.js';

/** @typedef {import('./app.js').View} View */

/**
 * @param {() => Promise<View>} load imports the view's module and makes the view
 * @param {{ searches: boolean }} options whether the view has a field of its own for searching
 * @returns {View}
 */
export function createLater(load, { searches }) {
  const el = h('div', { class: 'view' }, h('main', { class: 'page', id: 'main', tabindex: '-1', 'aria-busy': 'true' }, waiting(8)));
  /** @type {View | null} */
  let view = null;
  /** @type {Promise<View> | null} */
  let loading = null;
  /** @type {(() => void)[]} what a reader did before there was a view to do it */
  let early = [];

  async function fetched() {
    try {
      view = await load();
    } catch (error) {
      throw new SiteError('network', `a part of the page: ${/** @type {Error} */ (error).message}`);
    }
    fill(el, view.el);
    return view;
  }

  return {
    el,
    title: () => view?.title() ?? '',
    async update(state) {
      const shown = view ?? (await (loading ??= fetched()));
      await shown.update(state);
      for (const act of early.splice(0)) act(); // once it is drawn: there is nothing to focus before
    },
    onKey(key, event) {
      if (view) return view.onKey?.(key, event) ?? false;
      early.push(() => view?.onKey?.(key, event));
      return false;
    },
    leave: () => view?.leave?.(),
    search: searches ? () => void (view ? view.search?.() : early.push(() => view?.search?.())) : undefined,
  };
}
