/** The map of prompts: those that use the same components lie together. Groups drawn on it are compared with all others. */

import './map.css';
import { consensusPart } from './consensus.js';
import { createDataTable } from './data-table.js';
import { h } from './dom.js';
import { figureTools } from './figure.js';
import { integer, plural } from './format.js';
import { isInside, readLasso, sidesOf, writeLasso } from './lasso.js';
import { compareColumns, compareFigure, groupWords } from './map-compare.js';
import { clusterList, shapeList, shapesFor } from './map-groups.js';
import { createMapPlot } from './map-plot.js';
import { createStatsPage } from './page-parts.js';
import { answered } from './panel-parts.js';
import { asked, sqlLink } from './sql-link.js';
import compareSql from './sql/map_compare.sql?raw';
import pointsSql from './sql/map_points.sql?raw';
import { promptState } from './state.js';

/** @typedef {import('./state.js').MapState} MapState */
/** @typedef {import('./page-parts.js').PageProps<MapState>} Props */
/** @typedef {import('./map-plot.js').Point} Point */

const NAMES = { prompt_map: 'stats.prompt_map', prompt_vectors: 'stats.prompt_vectors', prompts: 'prompts' };
const BESIDE = 320; // width of the list of clusters
const NARROW = 820;
const MOST_POINTS = 30_000; // that a page draws; of those the map was fitted to none is left out
const MOST_LISTED = 20_000; // prompts of a run whose texts are fetched together: a megabyte or two

/** @param {import('./pages.js').Options} options */
export function createPromptMap({ data, navigate }) {
  /** @type {Props | null} */
  let props = null;
  let drawing = false;
  const plot = createMapPlot({
    onOpen: (id) => props && navigate(promptState(props.state.run, id)),
    onLasso: (corners) => props?.go({ lasso: writeLasso(corners) }),
    onZoom: (zoom) => props?.go({ zoom }, true),
  });
  const differences = createDataTable({ id: 'differences', name: 'components-of-the-group', first: 20 });
  const edges = createDataTable({ id: 'consensus', name: 'edges-that-prompts-share', first: 20 });
  const page = createStatsPage({
    data,
    navigate,
    heading: () => 'Map of prompts',
    lead: 'Prompts that use the same heads and MLPs lie together. Neighbours mean something, far distances do not.',
    render,
  });

  /** @param {MapState} state */
  const clustersOf = ({ clusters }) => clusters.split(',').filter(Boolean).map(Number);

  /** @param {Props} of @param {Point[]} points @param {SVGSVGElement} svg */
  function tools({ state }, points, svg) {
    const columns = ['prompt_id', 'x', 'y', 'cluster', 'placed', 'group', 'text'];
    const table = () => ({ columns, rows: points.map((point) => columns.map((name) => /** @type {any} */ (point)[name])) });
    return figureTools({ name: 'map-of-prompts', svg: () => svg, table, sql: sqlLink(state.run, asked(pointsSql, { most: MOST_POINTS }, { ...NAMES, text: 'left(text, 240)' }), 'the map of prompts') });
  }

  /** @param {Point[]} points @param {Props} of */
  function titleOf({ length }, { stats }) {
    return length < stats.n_prompts ? `${integer(length)} of ${plural(stats.n_prompts, 'prompt')} by cluster` : `${plural(length, 'prompt')} by cluster and group`;
  }

  /** @param {Props} of */
  function controls({ state, go, redraw }) {
    const toggle = () => {
      drawing = !drawing;
      redraw();
    };
    const chosen = state.clusters !== '' || state.lasso !== '';
    return h(
      'div',
      { class: 'map-tools' },
      h('button', { type: 'button', class: 'choice', 'aria-pressed': String(drawing), 'data-go': 'lasso', 'data-testid': 'lasso', title: 'Draw a line around points; or hold Shift and drag', onclick: toggle }, 'Lasso'),
      h('button', { type: 'button', class: 'choice', 'data-go': 'whole', disabled: state.zoom === null, title: 'The whole map  0', onclick: () => go({ zoom: null }, true) }, 'Whole map'),
      h('button', { type: 'button', class: 'choice', 'data-go': 'clear', 'data-testid': 'clear-group', disabled: !chosen, onclick: () => go({ clusters: '', lasso: '' }) }, 'Clear the group'),
    );
  }

  /** The group against the rest. @param {Props} of @param {Point[]} group */
  function comparison({ index, state, ask, width, sorting }, group) {
    const lasso = readLasso(state.lasso) ?? [];
    const values = /** @type {Record<string, any>} */ ({ ...sidesOf(lasso), clusters: clustersOf(state), heads: index.n_heads, layers: index.n_layers });
    const heading = h('h2', {}, 'This group against all others');
    if (!group.length) return [heading, h('p', { class: 'hint' }, 'No prompt lies in it.')];
    const answer = ask(`group ${state.clusters} ${state.lasso}`, () => data.stats.rows(index, compareSql, { prompt_map: {}, prompt_vectors: {} }, values));
    return [
      heading,
      ...answered(answer, 'The comparison', (rows) => {
        const sql = () => sqlLink(state.run, asked(compareSql, values, NAMES), 'the comparison');
        differences.update({ rows, columns: compareColumns(index), sorting, sql: sql() });
        return [...groupWords(state.run, group, rows), h('div', { class: 'beside-table' }, compareFigure({ index, rows, width: Math.min(width, width > NARROW ? width * 0.48 : width), sql: sql() }), differences.el)];
      }, 8),
    ];
  }

  /** @param {Props} of @param {Point[]} points */
  function map(of, points) {
    const { state, width, go } = of;
    const wide = width > NARROW;
    const shapes = shapesFor(points);
    const clusters = clustersOf(state);
    const lasso = readLasso(state.lasso);
    const chosen = (/** @type {Point} */ point) => clusters.includes(point.cluster) || (lasso !== null && isInside(lasso, point.x, point.y));
    const any = clusters.length > 0 || lasso !== null;
    const room = { width: Math.floor(wide ? width - BESIDE - 24 : width), height: Math.round(Math.min(640, wide ? 560 : width * 0.95)) };
    plot.update({ points, shapes, chosen, any, lasso, zoom: state.zoom, drawing, ...room });
    const head = h('div', { class: 'figure-head' }, h('span', { class: 'figure-title', 'data-testid': 'map-title' }, titleOf(points, of)), h('span', { class: 'space' }), controls(of), tools(of, points, /** @type {any} */ (plot.figure())));
    const side = h('div', { class: 'map-side' }, clusterList({ points, ticked: clusters, onTick: (next) => go({ clusters: next.join(',') }) }), shapeList(points, shapes));
    return [h('div', { class: wide ? 'map-split' : '' }, h('section', {}, head, plot.el), side), ...(any ? comparison(of, points.filter(chosen)) : [])];
  }

  /** @param {Props} of */
  function render(of) {
    props = of;
    const { index, ask } = of;
    const texts = (index.counts?.prompts ?? 0) <= MOST_LISTED;
    const listed = texts ? data.listing.files(index) : data.listing.listing(index);
    const points = ask('map', () => data.stats.rows(index, pointsSql, { prompt_map: {} }, { most: MOST_POINTS }, { prompts: listed, text: texts ? 'left(text, 240)' : 'NULL::VARCHAR' }));
    return [
      ...answered(points, 'The map', (rows) => (rows.length ? map(of, /** @type {Point[]} */ (rows)) : [h('p', { class: 'hint' }, 'There are too few prompts for a map.')]), 12),
      ...consensusPart(of, data, edges),
    ];
  }

  return { ...page, onKey: plot.onKey };
}
