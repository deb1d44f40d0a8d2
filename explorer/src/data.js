/**
 * The site's files as objects: catalogue, run index, list of prompts, one prompt. Knows addresses, schema versions and
 * which file holds what; throws SiteError for whatever is missing or does not fit.
 */

import { hasBucket } from './buckets.js';
import { createDetails } from './details.js';
import { SiteError } from './errors.js';
import { createExpansions } from './expand-data.js';
import answersSql from './sql/answers.sql?raw';
import { fetchJson } from './fetch-json.js';
import { createListing } from './listing.js';
import { createDrafts } from './name-drafts.js';
import { createNames } from './names.js';
import edgesSql from './sql/edges.sql?raw';
import generatedSql from './sql/generated.sql?raw';
import lensSql from './sql/lens.sql?raw';
import nodesSql from './sql/nodes.sql?raw';
import promptSql from './sql/prompt.sql?raw';
import rejectSql from './sql/reject.sql?raw';
import specialSql from './sql/special_tokens.sql?raw';
import targetsSql from './sql/targets.sql?raw';
import topsSql from './sql/tops.sql?raw';
import { nodeKey } from './routes.js';
import { createInterventions } from './interventions-data.js';
import { demand } from './selection.js';
import { createStats } from './stats-data.js';
import { createVocab } from './vocab-data.js';
import { checkWhole } from './whole.js';

/** The schema this page reads (`schema.py`, SCHEMA_VERSION). */
export const SCHEMA_VERSION = 1;
const EAGER = ['prompts', 'targets', 'nodes', 'edges', 'tokens', 'lens', 'generated', 'answers'];
const KINDS = /** @type {const} */ (['attn', 'resid_attn', 'mlp', 'resid_mlp']);

/**
 * @typedef {{ id: string, title: string, model: string, dataset: string, n_prompts: number, n_rejects: number,
 *   created: string, bytes: number, groups: string[], n_groups?: number, complete: boolean, n_selected_from?: number | null, live?: boolean }} CatalogueRun `live`: a prompt that a reader tried
 * @typedef {{ schema_version: number, title: string, front?: import('./front-page.js').Front, runs: CatalogueRun[], compared?: import('./compared.js').Compared[] }} Catalogue
 * @typedef {{ schema_version: number, id: string, title: string, manifest: any, bucket_size: number,
 *   prompt_pages: import('./listing.js').ListPage[], n_layers: number, n_heads: number, parallel: boolean, floor: number,
 *   targets: any, counts: Record<string, number>, groups: Record<string, number>, n_groups?: number, selection?: import('./selection.js').Selection | null,
 *   tables: Record<string, { rows: number, bytes: number, buckets: import('./buckets.js').Ranges }>, version: string,
 *   maps?: { stored: boolean, floor: number, bucket_size: number }, stats?: import('./stats-data.js').StatsMarker | null, vocab?: import('./vocab-data.js').VocabIndex | null, audit?: import('./stats-data.js').AuditMarker | null, interventions?: import('./interventions-data.js').Intervention[], model_tables?: string[], n_names?: number,
 *   names: import('./names.js').Names, compared?: import('./compared.js').Compared[] }} RunIndex
 * @typedef {{ prompt_id: number, source_id: string, text: string, group: string | null, pair_id: string | null,
 *   role: string | null, n_tokens: number, token_ids: number[], tokens: string[], targets: number[],
 *   answer_text: string | null, foil_text: string | null }} Prompt
 * @typedef {{ target: number, predicted_id: number, predicted_prob: number, predicted: string, answer_id: number,
 *   answer_from: string, answer_prob: number, answer_rank: number, answer: string, foil_id: number | null,
 *   foil_prob: number | null, foil_rank: number | null, foil: string | null, logsumexp: number }} Target
 * @typedef {{ layer: number, point: 'mid' | 'post', pos: number, stored_share: number, bias_share: number,
 *   norm: number, entropy: number, logsumexp: number, answer_rank: number | null, answer_logit: number | null,
 *   foil_rank: number | null, foil_logit: number | null }} NodeRow
 * @typedef {{ n_given: number, text: string, ended: boolean }} Generated tokens from `n_given` on are the model's own
 * @typedef {{ number: number, text: string, prob: number, rank: number, explained: boolean }} Accepted
 * @typedef {{ prompt: Prompt, targets: Target[], nodes: Map<string, NodeRow>, edges: import('./routes.js').EdgeRow[],
 *   special: Set<number>, generated: Generated | null, answers: Accepted[] }} PromptData `answers` where several are accepted
 * @typedef {{ rank: number, token_id: number, token: string, special: boolean, logit: number, prob: number,
 *   prev_rank: number | null }} LensRow
 */

/** @param {unknown} version @param {string} address */
function checkSchema(version, address) {
  if (version === SCHEMA_VERSION) return;
  const detail = `${address}: schema_version is ${JSON.stringify(version)}, this page reads ${SCHEMA_VERSION}`;
  const newer = typeof version === 'number' && version > SCHEMA_VERSION;
  throw new SiteError(newer ? 'schema-newer' : 'schema-older', detail, { version });
}

/** Only the newest few prompts are kept decoded. @template T @param {number} limit */
function recent(limit) {
  /** @type {Map<string, Promise<T>>} */
  const kept = new Map();
  /** @param {string} key @param {() => Promise<T>} make */
  const get = (key, make) => {
    const value = kept.get(key) ?? make();
    kept.delete(key);
    kept.set(key, value);
    value.catch(() => kept.delete(key));
    if (kept.size > limit) kept.delete(/** @type {string} */ (kept.keys().next().value));
    return value;
  };
  return Object.assign(get, { forget: (/** @type {string} */ key) => void kept.delete(key) });
}

/** @typedef {ReturnType<typeof createData>} Data */

/** @param {{ base: string, db: import('./db.js').Db }} options `base` is the address of `data/` */
export function createData({ base, db }) {
  const json = /** @type {ReturnType<typeof recent<any>>} */ (recent(32));
  const prompts = /** @type {ReturnType<typeof recent<PromptData>>} */ (recent(8));
  const lenses = /** @type {ReturnType<typeof recent<LensRow[]>>} */ (recent(400));

  /** @returns {Promise<Catalogue>} */
  const catalogue = () =>
    json('catalogue', async () => {
      const found = await fetchJson(`${base}catalogue.json`, 'no-data');
      checkSchema(found?.schema_version, 'catalogue.json');
      if (!Array.isArray(found.runs)) throw new SiteError('damaged', 'catalogue.json: no list of runs');
      return found;
    });

  /** @param {string} id @returns {Promise<RunIndex>} */
  const run = (id) =>
    json(`run ${id}`, async () => {
      const fetching = fetchJson(`${base}${encodeURIComponent(id)}/index.json`, 'missing'); // beside the catalogue
      fetching.catch(() => {});
      const found = await catalogue();
      const listed = found.runs;
      const entry = listed.find((one) => one.id === id);
      if (!entry) throw new SiteError('unknown-run', `${id} is not in the catalogue`, { run: id, runs: listed });
      const index = await fetching;
      checkSchema(index?.schema_version, `${id}/index.json`);
      const compared = (found.compared ?? []).filter((one) => one.a === id || one.b === id);
      const whole = { ...index, id, compared, title: entry.title ?? id, version: String(index.version ?? entry.created ?? '') };
      return { ...whole, names: await names(whole) };
    });

  /** What people call its components; a run can be read without them. @param {RunIndex} index */
  async function names(index) {
    const options = { published: {}, drafts: createDrafts(base + index.id), clustering: index.vocab?.clustering };
    if (!index.n_names) return createNames(options);
    try {
      return createNames({ ...options, published: await fetchJson(address(index, 'names.json'), 'network') });
    } catch (error) {
      return createNames({ ...options, problem: /** @type {Error} */ (error).message });
    }
  }

  /** The version keeps a browser from mixing files of a site that was built again. @param {RunIndex} index @param {string} path */
  function address(index, path) {
    const version = index.version ? `${path.includes('?') ? '&' : '?'}v=${encodeURIComponent(index.version)}` : '';
    return `${base}${encodeURIComponent(index.id)}/${path}${version}`;
  }

  /** @param {RunIndex} index @param {string} table @param {number} promptId */
  function bucket(index, table, promptId) {
    const number = Math.floor(promptId / index.bucket_size);
    return hasBucket(index.tables?.[table]?.buckets, number) ? [address(index, `${table}/bucket-${number}.parquet`)] : null;
  }

  /**
   * Rows of a prompt from one table, none when its bucket is not there because nothing was stored.
   * @param {RunIndex} index @param {string} sql @param {string[]} tables @param {Record<string, any>} values
   * @param {Record<string, string[]>} [others] files that every prompt shares
   */
  async function rows(index, sql, tables, values, others = {}) {
    /** @type {Record<string, string[]>} */
    const files = { ...others };
    for (const table of tables) {
      demand(index, table);
      const file = bucket(index, table, values.id);
      if (!file) return [];
      files[table] = file;
    }
    return db.query(sql, values, files);
  }

  const listing = createListing({ query: db.query, address, rows });
  const { list, neighbours, pair, practise } = listing;

  /** @param {RunIndex} index @param {number} id @returns {Promise<never>} */
  async function refuse(index, id) {
    const { previous, next } = await neighbours(index, id);
    const nearest = previous === null || (next !== null && next - id < id - previous) ? next : previous;
    const [reject] = index.counts?.rejects
      ? await db.query(rejectSql, { id }, { rejects: [address(index, 'rejects.parquet')] }).catch(() => [])
      : [];
    const info = { run: index.id, id, nearest, reject, selected: Boolean(index.selection?.prompts) };
    throw new SiteError(reject ? 'rejected-prompt' : 'unknown-prompt', `no prompt ${id} in ${index.id}`, info);
  }

  /** @param {RunIndex} index @param {number} id @returns {Promise<PromptData>} */
  const prompt = (index, id) =>
    prompts(`${index.id} ${id}`, async () => {
      fetchAhead(index, id);
      const values = { id };
      const [found] = await rows(index, promptSql, ['prompts'], values);
      if (!found) return refuse(index, id);
      const [targets, nodes, edges, special, [generated = null], answers] = await Promise.all([
        rows(index, targetsSql, ['targets', 'tokens'], values),
        rows(index, nodesSql, ['nodes'], values),
        rows(index, edgesSql, ['edges'], values),
        rows(index, specialSql, ['tokens'], values),
        rows(index, generatedSql, ['generated'], values),
        rows(index, answersSql, ['answers'], values),
      ]);
      for (const edge of edges) edge.kind = KINDS[edge.kind];
      checkWhole(index, found, { targets, nodes, edges });
      return /** @type {PromptData} */ ({
        prompt: found,
        targets,
        nodes: new Map(nodes.map((node) => [nodeKey(node.layer, node.point, node.pos), node])),
        edges,
        special: new Set(special.map((row) => row.token_id)),
        generated,
        answers,
      });
    });

  /** Starts the downloads that a prompt needs, without waiting. @param {RunIndex} index @param {number} id */
  function fetchAhead(index, id) {
    for (const table of EAGER) bucket(index, table, id)?.forEach((file) => void db.prefetch(file).catch(() => {}));
  }

  /**
   * @param {RunIndex} index @param {number} id @param {{ layer: number, point: string, pos: number }} node
   * @param {boolean} [raw] without the final norm
   * @returns {Promise<LensRow[]>}
   */
  const lens = (index, id, { layer, point, pos }, raw = false) =>
    lenses(`${index.id} ${id} ${nodeKey(layer, point, pos)} ${raw}`, async () => {
      return /** @type {Promise<LensRow[]>} */ (rows(index, lensSql, ['lens', 'tokens'], { id, layer, point, pos, raw }));
    });

  /** @param {RunIndex} index @param {number} id @returns {Promise<Map<string, { token: string, prob: number }>>} */
  async function tops(index, id) {
    const found = await rows(index, topsSql, ['lens', 'tokens'], { id });
    return new Map(found.map((row) => [nodeKey(row.layer, row.point, row.pos), { token: row.token, prob: row.prob }]));
  }

  /** Starts the engine while a reader still reads the page. */
  const warm = () => void db.start().catch(() => {});

  /** @param {RunIndex} index @returns {Promise<number>} the first prompt of the run */
  async function first(index) {
    const { next } = await neighbours(index, -1);
    if (next === null) throw new SiteError('no-prompts', `${index.id} has no prompt`);
    return next;
  }

  /** Fetches what a search of the list will read. @param {RunIndex} index */
  const fetchWords = (index) => listing.fetchWords(index, db.prefetch);

  /** There are new runs: the catalogue is to be read again. */
  const renew = () => json.forget('catalogue');

  const details = createDetails({ query: db.query, rows, address });
  const expansion = createExpansions({ rows, address });
  const stats = createStats({ query: db.query, address });
  const vocab = createVocab({ query: db.query, address });
  const interventions = createInterventions({ query: db.query, address });
  return { renew, warm, first, catalogue, run, list, neighbours, pair, practise, listing, fetchWords, prompt, fetchAhead, lens, tops, details, expansion, stats, vocab, interventions, ask: db.ask, address };
}
