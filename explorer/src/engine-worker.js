/** The engine's worker without a network. */

/**
 * What the engine does over the network in this version it does by XMLHttpRequest: reading `https://...` in a query, writing to
 * S3, fetching extensions. None of it is wanted: the page fetches every file itself. The worker begins with lines of the
 * page's own, and so has the page's policy too, on hosts that send none with its file.
 * @param {string} address of the engine's script, absolute
 * @returns {{ worker: Worker, begun: () => void }} `begun` is to be called when the worker has answered, or failed
 */
export function startWorker(address) {
  const lines = `
    self.XMLHttpRequest = class { constructor() { throw new Error('the page reads the files of its own site only'); } };
    importScripts(${JSON.stringify(address)});`;
  const url = URL.createObjectURL(new Blob([lines], { type: 'text/javascript' }));
  return { worker: new Worker(url), begun: () => URL.revokeObjectURL(url) };
}
