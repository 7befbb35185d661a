/**
 * Owns a benchmark's command line: long options with a default, a smaller default under `--quick`, and a line of
 * documentation each. Anything unknown, missing or out of range is an error that names what is known.
 */

interface NumberOption {
  readonly kind: 'integer' | 'number';
  readonly default: number;
  /** Default under `--quick`; the plain default where left out. */
  readonly quick?: number;
  readonly min: number;
  readonly max: number;
  readonly doc: string;
}

interface FlagOption {
  readonly kind: 'flag';
  readonly doc: string;
}

interface TextOption {
  readonly kind: 'text';
  readonly default: string;
  readonly doc: string;
}

export type Option = NumberOption | FlagOption | TextOption;
export type OptionTable = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O extends NumberOption ? number : O extends FlagOption ? boolean : string;
/** Values by option name as written on the command line, without the dashes. `quick` is always there. */
export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> } & {
  readonly quick: boolean;
};

export type ParsedOptions<T extends OptionTable> =
  | { readonly outcome: 'values'; readonly values: OptionValues<T> }
  | { readonly outcome: 'help'; readonly text: string }
  | { readonly outcome: 'error'; readonly message: string };

/** Parses `argv` (without program and file). `--name value` and `--name=value` are the same. */
export function parseOptions<T extends OptionTable>(
  table: T,
  argv: readonly string[],
  usage: string,
): ParsedOptions<T> {
  const given = new Map<string, string>();
  let isQuick = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--help' || word === '-h') return { outcome: 'help', text: helpText(table, usage) };
    if (word === '--quick') {
      isQuick = true;
      continue;
    }
    const match = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(word);
    const name = match?.[1];
    const option = name === undefined || !Object.hasOwn(table, name) ? undefined : table[name];
    if (name === undefined || option === undefined) return unknownOption(table, word);
    if (given.has(name)) return failure(`--${name} is given twice`);
    const attached = match?.[2];
    if (option.kind === 'flag') {
      if (attached !== undefined) return failure(`--${name} takes no value`);
      given.set(name, '');
      continue;
    }
    const value = attached ?? argv[++i];
    if (value === undefined || (attached === undefined && value.startsWith('--')))
      return failure(`--${name} needs a value`);
    given.set(name, value);
  }
  return readValues(table, given, isQuick);
}

function readValues<T extends OptionTable>(
  table: T,
  given: ReadonlyMap<string, string>,
  isQuick: boolean,
): ParsedOptions<T> {
  const values: Record<string, number | boolean | string> = { quick: isQuick };
  for (const [name, option] of Object.entries(table)) {
    const text = given.get(name);
    if (option.kind === 'flag') values[name] = text !== undefined;
    else if (option.kind === 'text') values[name] = text ?? option.default;
    else if (text === undefined) values[name] = isQuick ? (option.quick ?? option.default) : option.default;
    else {
      const value = text.trim() === '' ? Number.NaN : Number(text);
      const isValid = option.kind === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (!isValid || value < option.min || value > option.max)
        return failure(`--${name} is ${describeRange(option)}, not '${text}'`);
      values[name] = value;
    }
  }
  return { outcome: 'values', values: values as OptionValues<T> };
}

/** Parses the process's own command line; prints help or the mistake and exits (0 or 2) when there is nothing to run. */
export function readOptions<T extends OptionTable>(table: T, usage: string): OptionValues<T> {
  const parsed = parseOptions(table, process.argv.slice(2), usage);
  if (parsed.outcome === 'values') return parsed.values;
  if (parsed.outcome === 'help') {
    process.stdout.write(parsed.text);
    process.exit(0);
  }
  process.stderr.write(`${parsed.message}\n`);
  process.exit(2);
}

function helpText(table: OptionTable, usage: string): string {
  const rows = Object.entries(table).map(([name, option]): [string, string] => {
    if (option.kind === 'flag') return [`--${name}`, option.doc];
    if (option.kind === 'text')
      return [`--${name} TEXT`, `${option.doc} (default ${option.default || 'none'})`];
    const quick = option.quick === undefined ? '' : `, ${option.quick} with --quick`;
    return [`--${name} N`, `${option.doc} (${describeRange(option)}; default ${option.default}${quick})`];
  });
  rows.push(['--quick', 'a smaller run of the same shape, under 45 s'], ['--help', 'this text']);
  const width = Math.max(...rows.map(([left]) => left.length));
  return `${usage}\n\n${rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('')}`;
}

function describeRange(option: NumberOption): string {
  return `${option.kind === 'integer' ? 'a whole number' : 'a number'} from ${option.min} to ${option.max}`;
}

function unknownOption(table: OptionTable, word: string): { outcome: 'error'; message: string } {
  const known = [...Object.keys(table), 'quick', 'help'].map((name) => `--${name}`).join(', ');
  return failure(`Unknown option '${word}'. Known are ${known}.`);
}

function failure(message: string): { outcome: 'error'; message: string } {
  return { outcome: 'error', message };
}
