/** What `site.yaml` says about a site, above its runs: authors, links, abstract, how to cite it. Text is text; links lead to http and https only. */

import { h } from './dom.js';
import { clip, showText } from './format.js';

/**
 * @typedef {{ name: string, affiliation?: string, url?: string }} Author
 * @typedef {{ authors?: Author[], abstract?: string, links?: { label: string, url: string }[], bibtex?: string }} Front
 */

/** An address that a link may lead to; null for any other. @param {unknown} url */
export function webAddress(url) {
  try {
    const { protocol, href } = new URL(String(url));
    return protocol === 'https:' || protocol === 'http:' ? href : null;
  } catch {
    return null;
  }
}

/** @param {string} label @param {string | undefined} url @param {string} [kind] */
function linkTo(label, url, kind) {
  const href = url === undefined ? null : webAddress(url);
  const shown = h('bdi', {}, clip(showText(label), 120));
  return href ? h('a', { class: kind ?? null, href, rel: 'noopener noreferrer' }, shown) : h('span', { class: kind ?? null }, shown);
}

/** @param {Author} author */
const authorItem = ({ name, affiliation, url }) => h('li', {}, linkTo(name, url), affiliation ? h('small', {}, ` ${clip(showText(affiliation), 200)}`) : null);

/** Paragraphs stand between empty lines. @param {string} text */
const paragraphs = (text) => text.split(/\n\s*\n/).map((one) => h('p', {}, showText(one.trim().replace(/\s*\n\s*/g, ' '))));

/** @param {string} bibtex */
function citation(bibtex) {
  const said = h('span', { class: 'quiet', role: 'status' });
  const lines = bibtex.split('\n').map(showText).join('\n');
  const text = h('pre', { tabindex: '0', 'aria-label': 'BibTeX entry', 'data-testid': 'bibtex' }, lines);
  async function copy() {
    try {
      await navigator.clipboard.writeText(bibtex);
      said.textContent = 'copied';
    } catch {
      said.textContent = 'this browser does not allow copying: select the text';
    }
  }
  return h('details', { class: 'citation' }, h('summary', {}, 'Cite'), text, h('p', { class: 'actions' }, h('button', { type: 'button', class: 'button', onclick: copy }, 'Copy BibTeX'), said));
}

/** @param {Front | undefined} front @returns {HTMLElement | null} null where nothing is said */
export function frontSection(front) {
  const { authors = [], abstract = '', links = [], bibtex = '' } = front ?? {};
  if (!authors.length && !abstract && !links.length && !bibtex) return null;
  return h(
    'section',
    { class: 'front', 'aria-label': 'About this site', 'data-testid': 'front' },
    authors.length ? h('ul', { class: 'authors', 'aria-label': 'Authors' }, ...authors.map(authorItem)) : null,
    links.length ? h('p', { class: 'actions' }, ...links.map(({ label, url }) => linkTo(label, url, 'button'))) : null,
    abstract ? h('div', { class: 'abstract' }, ...paragraphs(abstract)) : null,
    bibtex ? citation(bibtex) : null,
  );
}
