/** Where the dataset's answer is expected: the end of the text as given, whatever the model wrote after it. */

/** @typedef {Pick<import('./data.js').PromptData, 'generated'> & { prompt: Pick<import('./data.js').Prompt, 'targets' | 'n_tokens'> }} Asked */

/** The position that is explained first. @param {Asked} data */
export const askedAt = ({ prompt, generated }) => (generated ? generated.n_given - 1 : (prompt.targets.at(-1) ?? prompt.n_tokens - 1));

/** Whether the token at a position is the model's own. @param {Pick<Asked, 'generated'>} data @param {number} pos */
export const isGenerated = ({ generated }, pos) => generated !== null && pos >= generated.n_given;
