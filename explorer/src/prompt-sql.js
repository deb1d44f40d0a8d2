/** "SQL of this figure" for the figures and tables of one prompt's page. */

import { asked, sqlLink, sqlLinkLater } from './sql-link.js';
import answerSql from './sql/answer_by_layer.sql?raw';
import componentsSql from './sql/components.sql?raw';
import dominantSql from './sql/dominant.sql?raw';
import headsSql from './sql/heads_into.sql?raw';
import knockoutsSql from './sql/knockouts.sql?raw';
import lensSql from './sql/lens.sql?raw';
import effectsSql from './sql/logit_effects.sql?raw';
import mapsSql from './sql/maps.sql?raw';
import neuronsSql from './sql/neurons.sql?raw';
import neuronsTopSql from './sql/neurons_top.sql?raw';
import pairSql from './sql/pair_edges.sql?raw';
import routeSql from './sql/route.sql?raw';

/** A bucket's part of the vocabulary is the model's whole one elsewhere. */
const NAMES = { edges: 'edges', nodes: 'nodes', lens: 'lens', tokens: 'model.vocab', logit_effects: 'logit_effects', maps: 'maps', neurons: 'neurons', dominant_neurons: 'dominant_neurons', components: 'components', knockouts: 'knockouts' };

/** What is asked, and what it is called. */
const QUESTIONS = /** @type {const} */ ({
  route: [routeSql, 'the route'],
  answer: [answerSql, 'the answer by layer'],
  lens: [lensSql, 'the lens'],
  effects: [effectsSql, 'the direct effects'],
  knockouts: [knockoutsSql, 'the knock-outs'],
  maps: [mapsSql, 'the maps'],
  heads: [headsSql, 'the heads'],
  components: [componentsSql, 'the heads'],
  neurons: [neuronsSql, 'the neurons'],
  dominant: [dominantSql, 'the dominant neurons'],
  neuronsTop: [neuronsTopSql, 'the neurons'],
  pair: [pairSql, 'the difference'],
});

/**
 * @typedef {{ index: import('./data.js').RunIndex, data: { prompt: import('./data.js').Prompt } }} Of the prompt of a page
 * @typedef {keyof typeof QUESTIONS} Question
 * @typedef {Record<string, string | number | boolean>} Values
 */

/** @param {Of} of @param {Question} question @param {Values} values */
const textOf = ({ data }, question, values) => asked(QUESTIONS[question][0], { id: data.prompt.prompt_id, ...values }, NAMES);

/** @param {Of} of @param {Question} question @param {Values} [values] of the `.sql` file, besides the prompt's number */
export const figureSql = (of, question, values = {}) => sqlLink(of.index.id, textOf(of, question, values), QUESTIONS[question][1]);

/** The same of a figure that changes often: asked for when a reader comes near. @param {Question} question @param {() => [Of, Values] | null} now */
export const laterFigureSql = (question, now) =>
  sqlLinkLater(QUESTIONS[question][1], () => {
    const found = now();
    return found && { run: found[0].index.id, text: textOf(found[0], question, found[1]) };
  });
