/** Owns the arguments of commands that take flags of their own beside the settings of the server. */

import { parseArgs } from 'node:util';

import { AppError } from '#base/errors.ts';
import { settings } from '#app/settings.ts';

export interface OwnArguments<Flag extends string> {
  readonly positionals: readonly string[];
  readonly texts: Readonly<Partial<Record<Flag, string>>>;
  readonly has: (flag: Flag) => boolean;
  /** Settings of the server, for the configuration. */
  readonly rest: readonly string[];
}

/** Throws AppError `invalid-field` that ends with the usage. */
export function parseOwnArguments<Flag extends string>(
  args: readonly string[],
  own: Readonly<Record<Flag, 'string' | 'boolean'>>,
  usage: string,
): OwnArguments<Flag> {
  const options: Record<string, { type: 'string' | 'boolean' }> = { config: { type: 'string' } };
  for (const [name, { kind }] of Object.entries(settings))
    options[name] = { type: kind === 'boolean' ? 'boolean' : 'string' };
  for (const name of Object.keys(own) as Flag[]) options[name] = { type: own[name] };
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      allowNegative: true,
      tokens: true,
    });
  } catch (cause) {
    throw new AppError('invalid-field', `${(cause as Error).message.split('. ')[0]}; it is ${usage}`, {
      cause,
    });
  }
  const { values, positionals, tokens } = parsed;
  const texts: Partial<Record<Flag, string>> = {};
  for (const name of Object.keys(own) as Flag[]) {
    const value = values[name];
    if (typeof value === 'string') texts[name] = value;
  }
  const rest = tokens.flatMap((token) => {
    if (token.kind !== 'option' || Object.hasOwn(own, token.name)) return [];
    return [token.value === undefined ? token.rawName : `--${token.name}=${token.value}`];
  });
  return { positionals, texts, has: (flag) => values[flag] === true, rest };
}
