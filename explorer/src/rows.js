/**
 * Arrow record batches to plain objects.
 *
 * @typedef {Record<string, any>} Row
 * @typedef {{ numRows: number, schema: { fields: { name: string }[] }, getChildAt(index: number): any }} Batch
 */

/** @param {any} value a scalar, or an Arrow vector for a list @returns {any} */
function plain(value) {
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? Number(value) : value;
  if (typeof value.toArray === 'function') return Array.from(value, plain);
  return value;
}

/**
 * @param {Batch[]} batches
 * @returns {Row[]}
 */
export function decode(batches) {
  /** @type {Row[]} */
  const rows = [];
  for (const batch of batches) {
    const start = rows.length;
    for (let i = 0; i < batch.numRows; i += 1) rows.push({});
    batch.schema.fields.forEach((field, column) => {
      const vector = batch.getChildAt(column);
      for (let i = 0; i < batch.numRows; i += 1) rows[start + i][field.name] = plain(vector.get(i));
    });
  }
  return rows;
}
