/**
 * Everything that can go wrong between the page and its data, as one class with a kind.
 * `messages.js` turns a kind into words; nothing else needs to know them.
 *
 * @typedef {'no-data' | 'missing' | 'network' | 'damaged' | 'incomplete' | 'schema-newer' | 'schema-older' | 'unknown-run'
 *   | 'unknown-prompt' | 'rejected-prompt' | 'left-out' | 'no-prompts' | 'engine' | 'query'} Kind
 */

export class SiteError extends Error {
  /**
   * @param {Kind} kind
   * @param {string} detail what was tried and what came back, for the small print
   * @param {Record<string, any>} [info] whatever the message needs: address, run, nearest prompt
   */
  constructor(kind, detail, info = {}) {
    super(detail);
    this.name = 'SiteError';
    this.kind = kind;
    this.info = info;
  }
}
