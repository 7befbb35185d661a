/** Owns DuckDB for tests: it reads CSV and Parquet files with code that shares nothing with ours. */

import { DuckDBInstance } from '@duckdb/node-api';

export interface DuckRows {
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

/** The result of one query in a database of its own. int8 comes as bigint, timestamps as they print. */
export async function askDuckDb(sql: string): Promise<DuckRows> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const result = await connection.runAndReadAll(sql);
    return {
      names: result.columnNames(),
      types: result.columnTypes().map(String),
      rows: result
        .getRows()
        .map((row) =>
          row.map((value) => (typeof value === 'object' && value !== null ? String(value) : value)),
        ),
    };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
