/**
 * What part of the graph is in the window: zoom and pan by hand, by buttons and by the address.
 *
 * The address holds it as `x,y,k`: the place in the middle of the window as fractions of the graph's width and height, and
 * the magnification against the whole graph in the window, so that it means the same in a window of another size.
 */

import { select } from 'd3-selection';
import { zoom, zoomIdentity } from 'd3-zoom';

const RESTING_MS = 150;
const TIMES = [0.5, 8]; // of the whole, at least as far as
const ROOMY = 100; // pixels between two columns, and
const TALL = 60; // between two layers

/**
 * @typedef {{ width: number, height: number }} Size
 * @typedef {Size & { dx: number, dy: number }} Grid its size, the spacing of its columns and layers
 * @param {{ svg: SVGElement, onMove: () => void, onRest: (place: string | null) => void }} options `onRest` is told what
 *   the address should hold, null for the first view
 */
export function createCamera({ svg, onMove, onRest }) {
  const target = select(/** @type {any} */ (svg));
  let transform = zoomIdentity;
  let moved = false;
  let resting = 0;
  let room = { width: 1, height: 1 };
  let whole = { width: 1, height: 1, dx: 1, dy: 1 };
  let extent = /** @type {[number, number]} */ ([TIMES[0], TIMES[1]]);
  /** @type {string | null} what the address was last told, or said */
  let told = null;

  const zoomer = zoom()
    .scaleExtent(extent)
    // One finger scrolls the page; two zoom and pan. A wheel zooms, a drag pans.
    .filter((event) => (event.touches ? event.touches.length > 1 : !event.button && (!event.ctrlKey || event.type === 'wheel')))
    .on('zoom', (event) => {
      if (event.sourceEvent) moved = true;
      transform = event.transform;
      onMove();
      rest();
    });
  target.call(/** @type {any} */ (zoomer)).on('dblclick.zoom', null);

  function rest() {
    clearTimeout(resting);
    resting = window.setTimeout(() => {
      const place = moved ? write() : null;
      if (place === told) return;
      told = place;
      onRest(place);
    }, RESTING_MS);
  }

  const wholeScale = () => Math.min(1, room.width / whole.width, room.height / whole.height);

  function write() {
    const [x, y] = transform.invert([room.width / 2, room.height / 2]);
    return [x / whole.width, y / whole.height, transform.k / wholeScale()].map((value) => Number(value.toFixed(3))).join(',');
  }

  /** @param {number} x @param {number} y @param {number} k of the graph's own place (0, 0) in the window */
  function to(x, y, k) {
    zoomer.transform(target, zoomIdentity.translate(x, y).scale(k));
  }

  /** @param {string} place as in the address */
  function read(place) {
    const [x, y, times] = place.split(',').map(Number);
    const k = Math.min(extent[1], Math.max(extent[0], times * wholeScale()));
    moved = true;
    to(room.width / 2 - k * x * whole.width, room.height / 2 - k * y * whole.height, k);
  }

  /** Another window or graph; what a reader looked at stays in the middle. @param {Size} window @param {Grid} graph */
  function resize(window, graph) {
    const place = moved ? write() : null;
    [room, whole] = [window, graph];
    const slack = { x: room.width * 0.4, y: room.height * 0.4 };
    extent = [wholeScale() * TIMES[0], Math.max(TIMES[1], ROOMY / graph.dx, TALL / graph.dy)];
    zoomer.scaleExtent(extent).extent([[0, 0], [room.width, room.height]]).translateExtent([[-slack.x, -slack.y], [whole.width + slack.x, whole.height + slack.y]]);
    if (place !== null) read(place);
  }

  return {
    to,
    resize,
    transform: () => transform,
    /** Whether a reader chose what is in the window. */
    moved: () => moved,
    /** What the address holds as far as known here. */
    place: () => told,
    /** Takes what the address says; false where it says nothing, and the first view is wanted. @param {string | null} place */
    show(place) {
      moved = false;
      told = place;
      if (place !== null) read(place);
      return place !== null;
    },
    /** The first view, which needs no address. @param {number} x @param {number} y @param {number} k */
    set(x, y, k) {
      moved = false;
      to(x, y, k);
    },
    /** @param {number} factor @param {[number, number] | null} about a place in the window, else its middle */
    scale(factor, about) {
      moved = true;
      zoomer.scaleBy(target, factor, about ?? undefined);
    },
    /** @param {number} right @param {number} down that the window moves, as parts of itself */
    pan(right, down) {
      moved = true;
      zoomer.translateBy(target, (-right * room.width) / transform.k, (-down * room.height) / transform.k);
    },
    /** @param {number} x @param {number} y the graph's own place that comes into the middle */
    centre(x, y) {
      moved = true;
      zoomer.translateTo(target, x, y);
    },
  };
}
