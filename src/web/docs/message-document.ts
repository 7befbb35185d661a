/** Owns as much of an AsyncAPI 3.0 document as the page shows, and the reading of its schemas into rows. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema | false;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

export interface Message {
  readonly name: string;
  readonly title: string;
  readonly description?: string;
  readonly payload: Schema;
}

export interface MessageChannel {
  readonly address: string;
  readonly title: string;
  readonly description: string;
  readonly parameters?: Readonly<Record<string, { readonly description: string }>>;
  /** By `to-NAME` (what the server receives) and `from-NAME` (what it sends). */
  readonly messages: Readonly<Record<string, Message>>;
}

export interface MessageDocument {
  readonly channels: Readonly<Record<string, MessageChannel>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface FieldRow {
  /** With its parents: `position.offset`, `ranges[]`. */
  readonly path: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly text: string;
}

/** Schemas that refer to themselves end here. */
const DEEPEST = 4;

/** The fields of a payload, parents before children. A payload that is no object is one row named `(value)`. */
export function fieldRows(schema: Schema, schemas: Readonly<Record<string, Schema>>): FieldRow[] {
  const rows: FieldRow[] = [];
  const whole = resolve(schema, schemas);
  if (whole.properties === undefined)
    return [{ path: '(value)', ...describe(whole, schemas), isRequired: true }];
  collect(whole, { prefix: '', depth: 0, schemas, rows });
  return rows;
}

interface Walk {
  readonly prefix: string;
  readonly depth: number;
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly rows: FieldRow[];
}

function collect(schema: Schema, walk: Walk): void {
  const { prefix, depth, schemas, rows } = walk;
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const whole = resolve(field, schemas);
    const path = `${prefix}${name}`;
    rows.push({ path, ...describe(whole, schemas), isRequired: schema.required?.includes(name) ?? false });
    if (depth >= DEEPEST) continue;
    if (whole.properties !== undefined) collect(whole, { ...walk, prefix: `${path}.`, depth: depth + 1 });
    if (typeof whole.items === 'object') {
      const item = resolve(whole.items, schemas);
      if (item.properties !== undefined) collect(item, { ...walk, prefix: `${path}[].`, depth: depth + 1 });
    }
  }
}

function resolve(schema: Schema, schemas: Readonly<Record<string, Schema>>): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : (schemas[name] ?? schema);
}

function describe(schema: Schema, schemas: Readonly<Record<string, Schema>>): { type: string; text: string } {
  const limits = [
    schema.pattern === undefined ? '' : `matches ${schema.pattern}`,
    schema.minimum === undefined ? '' : `from ${schema.minimum}`,
    schema.maximum === undefined ? '' : `to ${schema.maximum}`,
    schema.maxLength === undefined ? '' : `at most ${schema.maxLength} characters`,
  ].filter((limit) => limit !== '');
  const text = [schema.description ?? '', limits.join(', ')].filter((part) => part !== '').join('; ');
  return { type: typeName(schema, schemas), text };
}

function typeName(schema: Schema, schemas: Readonly<Record<string, Schema>>): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.anyOf !== undefined)
    return schema.anyOf.map((one) => typeName(resolve(one, schemas), schemas)).join(' | ');
  if (schema.type === 'array')
    return `${typeof schema.items === 'object' ? typeName(resolve(schema.items, schemas), schemas) : 'any'}[]`;
  return typeof schema.type === 'string' ? schema.type : (schema.type?.join(' | ') ?? 'any');
}
