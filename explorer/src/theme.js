/** Light or dark: the system's choice until a reader makes one, which is then remembered. */

import { attr, h } from './dom.js';

const KEY = 'flowatlas-theme';
const NAMES = /** @type {const} */ (['system', 'light', 'dark']);
const SIGNS = { system: '◐', light: '○', dark: '●' };

/** @returns {'system' | 'light' | 'dark'} */
function remembered() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system'; // storage may be forbidden
  }
}

/** @param {'system' | 'light' | 'dark'} name */
function apply(name) {
  attr(document.documentElement, 'data-theme', name === 'system' ? null : name);
  try {
    if (name === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
  } catch {
    // the choice then lasts as long as the page
  }
}

export function createThemeSwitch() {
  let name = remembered();
  const el = h('button', { type: 'button', class: 'icon', 'data-testid': 'theme', onclick: next });

  function draw() {
    el.textContent = SIGNS[name];
    attr(el, 'aria-label', `Theme: ${name}`);
    attr(el, 'title', `Theme: ${name === 'system' ? 'as the system' : name}  t`);
  }

  function next() {
    name = NAMES[(NAMES.indexOf(name) + 1) % NAMES.length];
    apply(name);
    draw();
  }

  apply(name);
  draw();
  return { el };
}
