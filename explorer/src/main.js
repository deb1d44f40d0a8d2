import './theme.css';
import './figure.css';
import './panels.css';
import './pair.css';
import './stage.css';
import { createApp } from './app.js';
import { createData } from './data.js';
import { createDb } from './db.js';
import { h } from './dom.js';
import { missingFeatures } from './messages.js';

const root = /** @type {HTMLElement} */ (document.getElementById('app'));
const missing = missingFeatures();

if (missing.length) {
  root.replaceChildren(
    h(
      'section',
      { class: 'message', role: 'alert', 'data-testid': 'message' },
      h('h1', {}, 'This browser cannot run the explorer'),
      h('p', {}, `It lacks ${missing.join(', ')}. A current Firefox, Chrome, Edge or Safari has them.`),
    ),
  );
} else {
  const db = createDb();
  // Only a server that keeps a model loaded marks its page; a static site asks for nothing.
  const live = document.documentElement.hasAttribute('data-live') ? await (await import('./live.js')).connect(document.baseURI) : null;
  const app = createApp({ data: createData({ base: new URL('data/', document.baseURI).href, db }), live });
  root.replaceChildren(app.el);
  // A prompt's page needs the engine at once; the catalogue starts it after its own first paint.
  if (/^#\/[^/]/.test(location.hash)) void db.start().catch(() => {});
  app.start();
}
