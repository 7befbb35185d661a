/**
 * Owns what a back-up reads from PostgreSQL's catalogue: the tables of the schema kymo in an order in which each comes
 * after those that it refers to, their partitions and their sequences. Nothing is listed by name, so that what later
 * migrations add is in a back-up by itself.
 */

import type pg from 'pg';

import { assert } from '#base/assert.ts';
import type { BackupHeader, BackupPartition } from '#store/backup-format.ts';
import { classTable, parsePartitionName } from '#store/partitions.ts';

export interface Column {
  readonly name: string;
  readonly type: string;
}

/** A table without its partitions. */
export interface Table {
  readonly name: string;
  readonly owner: string;
  readonly isPartitioned: boolean;
  readonly columns: readonly Column[];
  /** What holds its rows: itself, or the lowest partitions. */
  readonly leaves: readonly { readonly name: string; readonly bytes: number }[];
}

export interface Catalogue {
  readonly tables: readonly Table[];
  /** Parents before their partitions. */
  readonly partitions: readonly BackupPartition[];
}

interface Relation {
  readonly name: string;
  readonly kind: 'r' | 'p';
  readonly owner: string;
  readonly parent: string | null;
  readonly bound: string | null;
  readonly key: string | null;
  readonly options: string[];
  readonly bytes: string;
  readonly columns: Column[];
}

const relationsText = `
  select c.relname as name, c.relkind as kind, pg_get_userbyid(c.relowner) as owner, p.relname as parent,
         pg_get_expr(c.relpartbound, 0) as bound,
         pg_get_partkeydef(c.oid) as key, coalesce(c.reloptions, '{}') as options,
         pg_table_size(c.oid)::text as bytes,
         (select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod))
                                   order by a.attnum), '[]')
            from pg_attribute a
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
    from pg_class c
    left join pg_inherits i on i.inhrelid = c.oid
    left join pg_class p on p.oid = i.inhparent
   where c.relnamespace = to_regnamespace('kymo') and c.relkind in ('r', 'p')
   order by c.relname collate "C"`;

const referencesText = `
  select t.relname as "from", r.relname as "to" from pg_constraint f
    join pg_class t on t.oid = f.conrelid join pg_class r on r.oid = f.confrelid
   where f.contype = 'f' and f.conrelid <> f.confrelid and t.relnamespace = to_regnamespace('kymo')`;

/** What the schema kymo holds as the transaction of `client` sees it; without tables when there is no such schema. */
export async function readCatalogue(client: pg.ClientBase): Promise<Catalogue> {
  const { rows: found } = await client.query<Relation>(relationsText);
  const relations = found.map((relation) => asPartition(relation, found));
  const { rows: references } = await client.query<{ from: string; to: string }>(referencesText);
  const children = Map.groupBy(
    relations.filter(({ parent }) => parent !== null),
    (relation) => relation.parent!,
  );
  const roots = relations.filter(({ parent }) => parent === null);
  const below = (relation: Relation): Relation[] =>
    (children.get(relation.name) ?? []).flatMap((child) => [child, ...below(child)]);
  const tables = roots.map((root): Table => ({
    name: root.name,
    owner: root.owner,
    isPartitioned: root.kind === 'p',
    columns: root.columns,
    leaves: [root, ...below(root)]
      .filter(({ kind }) => kind === 'r')
      .map(({ name, bytes }) => ({ name, bytes: Number(bytes) })),
  }));
  return {
    tables: inOrder(tables, references),
    partitions: roots.flatMap(below).map(({ name, parent, bound, key, options }) => {
      assert(parent !== null && bound !== null, 'a partition has a parent and a bound');
      return { name, parent, bound, key, options };
    }),
  };
}

// Retention detaches a day before it drops it, and puts it back when a legal hold came in between. Until then its readings
// are in a table of its own, known by its name (store/partitions.ts); a back-up has it in its place.
function asPartition(relation: Relation, relations: readonly Relation[]): Relation {
  const partition = relation.parent === null ? parsePartitionName(relation.name) : null;
  if (partition === null) return relation;
  const parent = classTable(partition.table, partition.retentionClass);
  if (!relations.some(({ name, kind }) => name === parent && kind === 'p')) return relation;
  const next = new Date(Date.parse(partition.day) + DAY_MS).toISOString().slice(0, 10);
  return { ...relation, parent, bound: `FOR VALUES FROM ('${partition.day}') TO ('${next}')` };
}

const DAY_MS = 86_400_000;

/** Tables after those that they refer to. */
function inOrder(tables: readonly Table[], references: readonly { from: string; to: string }[]): Table[] {
  const left = new Set(tables);
  const out: Table[] = [];
  while (left.size > 0) {
    const names = new Set([...left].map((table) => table.name));
    const next = [...left].filter(
      (table) => !references.some(({ from, to }) => from === table.name && names.has(to)),
    );
    assert(next.length > 0, 'tables do not refer to each other in a circle');
    for (const table of next) {
      left.delete(table);
      out.push(table);
    }
  }
  return out;
}

/** Where the counters of the schema kymo stand. */
export async function readSequences(client: pg.ClientBase): Promise<BackupHeader['sequences']> {
  const { rows } = await client.query<{ name: string; owner: string }>(
    `select relname as name, pg_get_userbyid(relowner) as owner from pg_class
      where relnamespace = to_regnamespace('kymo') and relkind = 'S' order by relname collate "C"`,
  );
  const sequences: BackupHeader['sequences'] = [];
  for (const { name, owner } of rows) {
    await actAs(client, owner);
    const { rows: values } = await client.query<{ value: string; isCalled: boolean }>(
      `select last_value::text as value, is_called as "isCalled" from kymo.${client.escapeIdentifier(name)}`,
    );
    sequences.push({ name, ...values[0]! });
  }
  await client.query('set local role none');
  return sequences;
}

/** Everything that follows in this transaction is done as `role`: only its owner sees all rows of a table. */
export async function actAs(client: pg.ClientBase, role: string): Promise<void> {
  await client.query(`set local role ${client.escapeIdentifier(role)}`);
}
