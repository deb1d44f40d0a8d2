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

/** A value as a cell: what is no scalar is written out. @param {any} value @returns {import('./figure.js').Cell} */
function cell(value) {
  const found = plain(value);
  if (found === null || typeof found !== 'object') return found;
  return found instanceof Date ? found.toISOString() : JSON.stringify(found, (_, one) => (typeof one === 'bigint' ? Number(one) : one));
}

/**
 * The same as a table, for queries whose columns are not known: two may have one name.
 * @param {Batch[]} batches
 * @returns {import('./figure.js').Numbers}
 */
export function tabulate(batches) {
  const columns = batches[0]?.schema.fields.map((field) => field.name) ?? [];
  const rows = batches.flatMap((batch) => {
    const vectors = columns.map((_, at) => batch.getChildAt(at));
    return Array.from({ length: batch.numRows }, (_, i) => vectors.map((vector) => cell(vector.get(i))));
  });
  return { columns, rows };
}
