/**
 * Owns the sending of several statements as one message to PostgreSQL: one write, one Sync, one answer. What stands between
 * two Syncs is one transaction, which PostgreSQL itself begins and commits (or rolls back whole), so no BEGIN and COMMIT are
 * sent, planned and answered. `pg` sends a Sync, a write and a description with each statement, which costs both sides twice
 * as much. Of a statement with a name the columns are asked for once a connection. No bound of its own: callers send a few.
 */

import pg from 'pg';

import { assert } from '#base/assert.ts';
import type { Statement } from '#store/pools.ts';

/** What of pg's connection is used (pg/lib/connection.js). */
interface Wire {
  readonly stream: { cork(): void; uncork(): void };
  /** Texts of what PostgreSQL knows by name, and of what was sent and not answered yet. */
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements: Record<string, string>;
  parse(message: { text: string; name: string }): void;
  bind(message: { statement: string; values: readonly unknown[] }): void;
  describe(message: { type: 'P'; name: string }): void;
  execute(message: null): void;
  sync(): void;
}

interface RowDescription {
  readonly fields: readonly pg.FieldDef[];
}

/** What of pg's query is used beside its types (pg/lib/query.js). */
interface QueryHandlers {
  callback: (error: Error | null, results?: pg.QueryResult | pg.QueryResult[]) => void;
  handleRowDescription(message: RowDescription): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, wire: Wire): void;
  handleError(error: Error, wire: Wire): void;
}

const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils;
const Query = pg.Query as unknown as new (config: { text: string }) => QueryHandlers;

/** Columns of what a connection knows by name; null: it gives no rows. As many as there are statements with a name. */
const knownColumns = new WeakMap<Wire, Map<string, RowDescription | null>>();

/** Results in the order of `statements`. Rejects with what the first failing one met; nothing of any was done then. */
export function sendBatch(
  client: pg.ClientBase,
  statements: readonly Statement[],
): Promise<pg.QueryResult[]> {
  return new Promise((resolve, reject) => {
    const batch = new StatementBatch(statements);
    batch.callback = (error, results) => {
      if (error === null || error === undefined) resolve(Array.isArray(results) ? results : [results!]);
      else reject(error);
    };
    client.query(batch as unknown as pg.Submittable);
  });
}

class StatementBatch extends Query {
  readonly #statements: readonly Statement[];
  /** Which of them is being answered. */
  #at = 0;
  /** Whether its columns were told, by PostgreSQL or from what is known. */
  #isDescribed = false;
  #columns: Map<string, RowDescription | null> = new Map();

  constructor(statements: readonly Statement[]) {
    super({ text: '' });
    this.#statements = statements;
  }

  // pg notes by these what PostgreSQL has parsed, in the order of the answers; its constructor sets them too.
  get name(): string {
    return this.#current?.name ?? '';
  }
  set name(_name: string) {}
  get text(): string {
    return this.#current?.text ?? '';
  }
  set text(_text: string) {}

  get #current(): Statement | undefined {
    // While the base class makes itself there is nothing here yet.
    return #statements in this ? this.#statements[this.#at] : undefined;
  }

  submit(wire: Wire): Error | null {
    this.#columns = columnsOf(wire);
    let values: unknown[][];
    try {
      values = this.#statements.map((one) => (one.values ?? []).map((value) => prepareValue(value)));
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    wire.stream.cork();
    try {
      for (const [i, statement] of this.#statements.entries()) this.#write(wire, statement, values[i]!);
      wire.sync();
    } finally {
      wire.stream.uncork();
    }
    return null;
  }

  #write(wire: Wire, { name = '', text }: Statement, values: readonly unknown[]): void {
    const known =
      name === '' ? undefined : (wire.parsedStatements[name] ?? wire.submittedNamedStatements[name]);
    assert(known === undefined || known === text, `the statement ${name} has one text`);
    if (known === undefined) {
      wire.parse({ text, name });
      if (name !== '') wire.submittedNamedStatements[name] = text;
    }
    wire.bind({ statement: name, values });
    if (name === '' || !this.#columns.has(name)) wire.describe({ type: 'P', name: '' });
    wire.execute(null);
  }

  override handleRowDescription(message: RowDescription): void {
    this.#isDescribed = true;
    if (this.name !== '') this.#columns.set(this.name, message);
    super.handleRowDescription(message);
  }

  override handleDataRow(message: unknown): void {
    if (!this.#isDescribed) this.#describe();
    super.handleDataRow(message);
  }

  override handleCommandComplete(message: unknown, wire: Wire): void {
    if (!this.#isDescribed) this.#describe();
    super.handleCommandComplete(message, wire);
    this.#at++;
    this.#isDescribed = false;
  }

  /** From what is known of it; else it gives no rows, and PostgreSQL said so. */
  #describe(): void {
    const { name } = this;
    const known = this.#columns.get(name);
    this.#isDescribed = true;
    if (known !== undefined && known !== null) super.handleRowDescription(known);
    else if (name !== '' && known === undefined) this.#columns.set(name, null);
  }

  override handleError(error: Error, wire: Wire): void {
    // PostgreSQL skipped what was behind the failing one, so it knows none of that by name.
    for (const { name = '' } of this.#statements.slice(this.#at)) delete wire.submittedNamedStatements[name];
    super.handleError(error, wire);
  }
}

function columnsOf(wire: Wire): Map<string, RowDescription | null> {
  const known = knownColumns.get(wire) ?? new Map<string, RowDescription | null>();
  knownColumns.set(wire, known);
  return known;
}
