/**
 * The server beside this page that keeps a model loaded (`flowatlas serve SITE --live`): what it is asked, and what it answers.
 * Only the page that such a server marks imports this.
 *
 * @typedef {{ text: string, answer: string | null, foil: string | null, edits: string[], new_tokens: number }} Request as `live_request.py` reads it
 * @typedef {{ model: string, weights_hash: string, n_layers: number, n_heads: number, asked: (Request & { run: string })[] }} Known newest first
 * @typedef {(name: string) => string | null} Without the form with a component of this name off; null where nothing is run
 * @typedef {'busy' | 'gone' | 'token' | 'refused'} Trouble
 * @typedef {Awaited<ReturnType<typeof connect>>} Live
 */

import { format, tryState } from './state.js';

/** @type {Record<Trouble, (said: string) => string>} */
const WORDS = {
  busy: () => 'Too many prompts are waiting already. Try again in a moment.',
  gone: () => 'The server does not answer: it was ended, or the connection broke. Start it again with “flowatlas serve SITE --live model=…” and open the address that it prints.',
  token: () => 'The server does not know this address, which another start of it may have printed. Open the one that it printed last.',
  refused: (said) => said,
};

/** What keeps a prompt from being run; its message is for the reader. */
export class LiveError extends Error {
  /** @param {Trouble} trouble @param {string} [said] by the server */
  constructor(trouble, said = '') {
    super(WORDS[trouble](said));
    this.trouble = trouble;
  }
}

/** The form's address of a request. @param {Request} request @param {string[]} edits */
const formOf = ({ text, answer, foil, new_tokens: n }, edits) => format(tryState({ text, answer: answer ?? '', foil: foil ?? '', n, edits: edits.join(';') }));

/** @param {string} base the page's own address, which holds the token */
export async function connect(base) {
  /** @type {Known | null} What the server said last; null while it has not answered. */
  let known = null;

  /** @param {string} path @param {RequestInit} [init] */
  async function ask(path, init) {
    /** @type {Response} */
    let response;
    /** @type {any} */
    let content;
    try {
      response = await fetch(new URL(path, base), { ...init, cache: 'no-store' });
      content = response.headers.get('Content-Type') === 'application/json' ? await response.json() : {};
    } catch {
      throw new LiveError('gone');
    }
    if (response.status === 404) throw new LiveError('token');
    if (response.status === 429) throw new LiveError('busy');
    if (!response.ok) throw new LiveError('refused', content.message ?? `The server answered ${response.status}.`);
    return content;
  }

  /** @returns {Promise<Known>} */
  async function refresh() {
    known = await ask('state');
    return /** @type {Known} */ (known);
  }

  /**
   * Runs a prompt. Throws LiveError.
   * @param {Request} request @returns {Promise<string>} the id of its run
   */
  async function run(request) {
    const { job } = await ask('prompts', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(request) });
    for (;;) {
      const { state, run: id, message } = await ask(`jobs/${job}`); // waits a while itself
      if (state === 'failed') throw new LiveError('refused', message);
      if (state !== 'done') continue;
      await refresh().catch(() => {}); // the prompt is there all the same
      return id;
    }
  }

  /**
   * What a prompt of this site would be asked as: null where the model is another one.
   * @param {import('./data.js').RunIndex} index @param {import('./data.js').Prompt} prompt @returns {Request | null}
   */
  function requestOf(index, { text, answer_text: answer, foil_text: foil }) {
    if (!known || index.manifest?.weights_hash !== known.weights_hash) return null;
    return known.asked.find(({ run: id }) => id === index.id) ?? { text, answer, foil, edits: [], new_tokens: 0 };
  }

  /** The form with a prompt in it. @param {import('./data.js').RunIndex} index @param {import('./data.js').Prompt} prompt */
  function change(index, prompt) {
    const request = requestOf(index, prompt);
    return request && formOf(request, request.edits);
  }

  /** @param {import('./data.js').RunIndex} index @param {import('./data.js').Prompt} prompt @returns {Without} */
  function without(index, prompt) {
    const request = requestOf(index, prompt);
    return (name) => request && formOf(request, [...request.edits.filter((edit) => edit.split('=')[0] !== name), `${name}=off`]);
  }

  await refresh().catch(() => {}); // the form says what is wrong
  return { refresh, run, change, without, formOf: (/** @type {Request} */ request) => formOf(request, request.edits) };
}
