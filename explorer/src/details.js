/** What is fetched on click: writes, effects, components, neurons, head maps. One function per question, one `.sql` file each. */

import { hasBucket } from './buckets.js';
import { demand } from './selection.js';
import componentsSql from './sql/components.sql?raw';
import biasSql from './sql/logit_bias.sql?raw';
import knockoutsSql from './sql/knockouts.sql?raw';
import effectsSql from './sql/logit_effects.sql?raw';
import mapsSql from './sql/maps.sql?raw';
import placesSql from './sql/neuron_places.sql?raw';
import dominantSql from './sql/dominant.sql?raw';
import neuronTokensSql from './sql/neuron_tokens.sql?raw';
import neuronsSql from './sql/neurons.sql?raw';
import neuronsTopSql from './sql/neurons_top.sql?raw';
import traceDominantSql from './sql/trace_dominant.sql?raw';
import traceLensSql from './sql/trace_lens.sql?raw';
import traceNeuronsSql from './sql/trace_neurons.sql?raw';
import traceWritesSql from './sql/trace_writes.sql?raw';
import atlasTokensSql from './sql/vocab_neuron_tokens.sql?raw';
import writesSql from './sql/writes.sql?raw';
import { hasAtlas, neuronsIn, tokenFile } from './vocab-data.js';

/**
 * @typedef {import('./data.js').RunIndex} RunIndex
 * @typedef {{ sign: number, rank: number, token_id: number, token: string | null, special: boolean, score: number }} WriteRow
 * @typedef {{ up: WriteRow[], down: WriteRow[] }} Writes strongest first
 * @typedef {{ layer: number, component: 'head' | 'mlp' | 'embed' | 'bias', index: number, effect_answer: number,
 *   effect_foil: number | null }} EffectRow
 * @typedef {{ target: number, layer: number, component: 'head' | 'mlp', index: number, route_tau: number, mean_share: number, target_share: number,
 *   effect_answer: number, effect_foil: number | null, effect_logprob: number, divergence: number, answer_rank: number }} KnockoutRow
 * @typedef {{ layer: number, component: string, index: number, mean_share: number, target_share: number, route_tau: number }} ComponentRow
 * @typedef {{ layer: number, expert: number, neuron: number }} Neuron
 * @typedef {{ expert: number, neuron: number, share: number, activation: number, write_scale: number, strength?: number }} NeuronRow `strength` where they are ranked by it
 * @typedef {NeuronRow & { layer: number, pos: number }} PlacedNeuron
 * @typedef {{ pos: number, share: number, activation: number, write_scale: number }} NeuronPlace
 * @typedef {{ dst: number, src: number, share: number, attention: number | null }} MapCell
 * @typedef {{ layer: number, point: 'mid' | 'post', rank: number, token_id: number, token: string | null, special: boolean,
 *   logit: number, prob: number }} TraceToken
 * @typedef {{ layer: number, component: string, index: number, token_id: number, token: string | null, special: boolean, score: number }} TraceWrite
 * @typedef {NeuronRow & { layer: number, token_id: number | null, token: string | null, special: boolean, score: number | null }} TraceNeuron
 * @typedef {{ tokens: TraceToken[], writes: TraceWrite[], neurons: TraceNeuron[] | null }} Trace `neurons` is null while the run is incomplete and their tokens are not written yet
 */

export const TRACE_TOKENS = 5;
export const TRACE_NEURONS = 4;
const TOP_NEURONS = 30;

/** @param {WriteRow[]} rows @returns {Writes} */
const bySign = (rows) => ({ up: rows.filter((row) => row.sign > 0), down: rows.filter((row) => row.sign < 0) });

/**
 * A neuron's static scores as what it writes in one place: a negative scale swaps what it promotes and suppresses.
 * @param {Writes} scores @param {number} scale @returns {Writes}
 */
export function inContext({ up, down }, scale) {
  const times = (/** @type {WriteRow[]} */ rows) => rows.map((row) => ({ ...row, score: row.score * scale }));
  return scale < 0 ? { up: times(down), down: times(up) } : { up: times(up), down: times(down) };
}

/** Whether a run has head maps, and where they are counted from. @param {RunIndex} index */
export function mapsOf(index) {
  const { stored = false, floor = 0, bucket_size = 1 } = index.maps ?? {};
  return { stored: Boolean(stored), floor, bucket_size };
}

/**
 * @param {{ query: import('./db.js').Db['query'],
 *   rows: (index: RunIndex, sql: string, tables: string[], values: Record<string, any>, others?: Record<string, string[]>) => Promise<any[]>,
 *   address: (index: RunIndex, path: string) => string }} options `rows` reads one prompt's buckets
 */
export function createDetails({ query, rows, address }) {
  /** @param {RunIndex} index */
  const neuronFiles = (index) => ({
    neuron_tokens: [address(index, 'model/neuron_tokens.parquet')],
    vocab: [address(index, 'model/vocab.parquet')],
  });

  /** @param {RunIndex} index @param {number} id @param {{ layer: number, component: 'attn' | 'mlp' | 'head', index: number, pos: number }} of */
  const writes = async (index, id, of) => bySign(await rows(index, writesSql, ['writes', 'tokens'], { id, ...of }));

  /** @param {RunIndex} index @param {number} id @param {number} target @returns {Promise<EffectRow[]>} */
  const effects = (index, id, target) => rows(index, effectsSql, ['logit_effects'], { id, target });

  /** @param {RunIndex} index @param {number} id @param {import('./state.js').Removal} removal @returns {Promise<KnockoutRow[]>} largest effect first */
  const knockouts = (index, id, removal) => rows(index, knockoutsSql, ['knockouts', 'components'], { id, removal });

  /**
   * The constant c of the answer's and the foil's logit, by token id.
   * @param {RunIndex} index @param {number} answer @param {number | null} foil @returns {Promise<Map<number, number>>}
   */
  async function logitBias(index, answer, foil) {
    const files = { vocab: [address(index, 'model/vocab.parquet')] };
    const found = await query(biasSql, { answer, foil: foil ?? answer }, files);
    return new Map(found.map((row) => [row.token_id, row.logit_bias ?? 0]));
  }

  /** @param {RunIndex} index @param {number} id @returns {Promise<ComponentRow[]>} largest share at the last target first */
  const components = (index, id) => rows(index, componentsSql, ['components'], { id });

  /** @param {RunIndex} index @param {number} id @param {{ layer: number, pos: number }} of @returns {Promise<NeuronRow[]>} */
  const neurons = (index, id, of) => rows(index, neuronsSql, ['neurons'], { id, ...of });

  /** @param {RunIndex} index @param {number} id @returns {Promise<PlacedNeuron[]>} */
  const topNeurons = (index, id) => rows(index, neuronsTopSql, ['neurons'], { id, limit: TOP_NEURONS });

  /** Those that write most at a target. @param {RunIndex} index @param {number} id @param {{ pos: number, layer?: number }} of no layer: all of them @returns {Promise<PlacedNeuron[]>} */
  const dominant = (index, id, { pos, layer = -1 }) => rows(index, dominantSql, ['dominant_neurons'], { id, pos, layer, limit: TOP_NEURONS });

  /** @param {RunIndex} index @param {number} id @param {Neuron} of @returns {Promise<NeuronPlace[]>} */
  const neuronPlaces = (index, id, of) => rows(index, placesSql, ['neurons'], { id, ...of });

  /** Static scores. @param {RunIndex} index @param {Neuron} of */
  async function neuronTokens(index, of) {
    if (!hasAtlas(index)) return bySign(/** @type {any} */ (await query(neuronTokensSql, { ...of }, neuronFiles(index))));
    if (of.neuron >= neuronsIn(index, of.layer, of.expert)) return bySign([]);
    const found = await query(atlasTokensSql, { ...of }, { neuron_tokens: [address(index, tokenFile(index, of))] });
    const special = new Set(index.vocab?.special ?? []);
    return bySign(/** @type {any} */ (found.map((row) => ({ ...row, special: special.has(row.token_id) }))));
  }

  /** The stored cells of a head's maps; null where the run has none. @param {RunIndex} index @param {number} id @param {{ layer: number, head: number }} of */
  async function headMap(index, id, of) {
    const { stored, bucket_size } = mapsOf(index);
    if (!stored) return null;
    demand(index, 'maps');
    const bucket = Math.floor(id / bucket_size);
    if (!hasBucket(index.tables.maps?.buckets, bucket)) return [];
    const files = { maps: [address(index, `maps/bucket-${bucket}.parquet`)] };
    return /** @type {Promise<MapCell[]>} */ (query(mapsSql, { id, ...of }, files));
  }

  /** One column, layer by layer. @param {RunIndex} index @param {number} id @param {number} pos @param {import('./tabs.js').NeuronRank} by @returns {Promise<Trace>} */
  async function trace(index, id, pos, by) {
    const [ofNeurons, table] = by === 'share' ? [traceNeuronsSql, 'neurons'] : [traceDominantSql, 'dominant_neurons'];
    const [tokens, found, neurons] = await Promise.all([
      rows(index, traceLensSql, ['lens', 'tokens'], { id, pos, limit: TRACE_TOKENS }),
      rows(index, traceWritesSql, ['writes', 'tokens'], { id, pos }),
      rows(index, ofNeurons, [table], { id, pos, limit: TRACE_NEURONS }, neuronFiles(index)).catch((error) => {
        if (error?.kind === 'missing') return null; // the rest of the column can be read all the same
        throw error;
      }),
    ]);
    return { tokens, writes: found, neurons };
  }

  return { writes, effects, knockouts, logitBias, components, neurons, topNeurons, dominant, neuronPlaces, neuronTokens, headMap, trace };
}
