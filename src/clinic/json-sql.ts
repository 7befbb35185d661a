/** Owns how SQL writes JSON: compact, its fields in the order in which they are given. */

/** An expression of type json: an object of `fields`, each a name and an SQL expression. */
export function jsonObject(fields: Readonly<Record<string, string>>): string {
  const columns = Object.entries(fields).map(([name, sql]) => `${sql} as "${name}"`);
  // row_to_json leaves out the spaces that json_build_object writes, and is quicker.
  return `(select row_to_json(j) from (select ${columns.join(', ')}) j)`;
}

/** A date as the API writes it, 2026-01-31. */
export function jsonDay(column: string): string {
  return `to_char(${column}, 'YYYY-MM-DD')`;
}

/** What every revised row says of itself; `r` is the row. */
export const authoredFields = {
  revision: 'r.revision',
  createdAt: 'kymo.iso(r.created_at)',
  createdBy: 'r.created_by',
  updatedAt: 'kymo.iso(r.updated_at)',
  updatedBy: 'r.updated_by',
} as const;
