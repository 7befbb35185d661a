/**
 * Owns the finding of what an SQL statement of the catalogue, of identity or of erasure does to the modelled tables: by the
 * statement's name or its first words, so that the product's own code runs over the model. A statement that the model
 * does not know fails: whoever changes the SQL changes this.
 */

import { assert } from '#base/assert.ts';
import type { Statement } from '#store/pools.ts';
import { catalogueStatements } from '#test/simulation/database/catalogue-statements.ts';
import { erasureStatements } from '#test/simulation/database/erasure-statements.ts';
import type {
  StatementContext,
  StatementModel,
  StatementResult,
} from '#test/simulation/database/statement-model.ts';

/** By the statement's name, or the words that it begins with. */
const models = new Map<string, StatementModel>([...catalogueStatements, ...erasureStatements]);

export function runStatement(
  context: StatementContext,
  { name, text, values = [] }: Statement,
): StatementResult | Promise<StatementResult> {
  const model = name === undefined ? modelOfText(text) : models.get(name);
  assert(model !== undefined, `the model of the database knows the statement ${name ?? text}`);
  return model(context, values);
}

function modelOfText(text: string): StatementModel | undefined {
  const plain = text.replaceAll(/\s+/g, ' ').trim();
  for (const [words, model] of models) if (plain.startsWith(words)) return model;
  return undefined;
}
