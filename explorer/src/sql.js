/**
 * Fills the placeholders of a `.sql` file: `$name` with a literal, `{name}` with a list of registered files or with a
 * fragment that the caller took from a fixed list. Values are never pasted unquoted.
 */

/** @typedef {string | number | boolean | null | (string | number)[]} Value */

/**
 * @param {Value} value
 * @returns {string}
 */
export function literal(value) {
  if (value === null) return 'NULL';
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`no SQL literal for the number ${value}`);
    return String(value);
  }
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  // The engine's parser stops at a NUL; no stored text holds one that a search could mean.
  return `'${value.replaceAll('\0', '').replaceAll("'", "''")}'`;
}

/**
 * @param {string} sql
 * @param {Record<string, Value>} values for `$name`
 * @param {Record<string, string[] | string>} [parts] for `{name}`: files (an array), or a trusted fragment
 * @returns {string}
 */
export function bind(sql, values, parts = {}) {
  const text = sql.replace(/--.*$/gm, '');
  return text.replace(/\$([a-z_]+)|\{([a-z_]+)\}/g, (_, value, part) => {
    if (value !== undefined) {
      if (!(value in values)) throw new TypeError(`SQL needs a value for $${value}`);
      return literal(values[value]);
    }
    if (!(part in parts)) throw new TypeError(`SQL needs {${part}}`);
    const given = parts[part];
    return Array.isArray(given) ? `read_parquet(${literal(given)})` : given;
  });
}
