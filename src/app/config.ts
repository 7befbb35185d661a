/**
 * Owns configuration: the settings (settings.ts), each with a default and a sentence, read from flags, then the environment,
 * then a JSON file, then the default. It is parsed once, frozen and passed down; nothing else reads the environment.
 */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { parseAllowedOrigins } from '#api/origin.ts';
import { domains, parseRoles } from '#api/roles.ts';
import { AppError } from '#base/errors.ts';
import { createTrust } from '#app/client-address.ts';
import { settings, type Kind, type Setting } from '#app/settings.ts';

type Value<S> = S extends { kind: 'string' } ? string : S extends { kind: 'number' } ? number : boolean;
export type Config = Readonly<{ [K in keyof typeof settings]: Value<(typeof settings)[K]> }> & {
  /** Settings that were given, by flag, environment or file; the rest are defaults. */
  readonly given: ReadonlySet<string>;
};

export interface ConfigSources {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Parses everything once. Throws AppError `invalid-field` naming the setting and saying what it takes. */
export function readConfig(sources: ConfigSources): Config {
  const flags = parseFlags(sources.args);
  const file = readFile(flags['config'] ?? sources.env['KYMO_CONFIG']);
  for (const name of Object.keys(file))
    if (!Object.hasOwn(settings, name)) throw invalid(name, 'is not a setting', 'kymo --help lists them');
  const given = new Set<string>();
  const values: Record<string, string | number | boolean> = {};
  for (const [name, row] of Object.entries<Setting<Kind, string | number | boolean>>(settings)) {
    // An empty variable is one that was not given: that is what `KYMO_PORT=` in a Compose file means.
    const fromEnvironment = sources.env[row.env] === '' ? undefined : sources.env[row.env];
    const raw = flags[name] ?? fromEnvironment ?? file[name];
    if (raw !== undefined) given.add(name);
    values[name] = raw === undefined ? row.default : parseValue(name, row, raw);
  }
  return Object.freeze({ ...values, given }) as unknown as Config;
}

/** The environment variable names and the process's own values: the one place that reads them. */
export function processSources(args: readonly string[]): ConfigSources {
  return { args, env: process.env };
}

/** True for addresses that only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Health data must not travel in clear: throws unless the address is loopback or TLS is arranged (DESIGN section 6). */
export function assertSafeBinding(config: Config): void {
  const hasTls = config['tls-cert'] !== '' && config['tls-key'] !== '';
  if ((config['tls-cert'] === '') !== (config['tls-key'] === ''))
    throw invalid(config['tls-cert'] === '' ? 'tls-cert' : 'tls-key', 'is missing', 'TLS needs both files');
  if (config['trusted-proxy'] !== '') createTrust(config['trusted-proxy']);
  parseAllowedOrigins(config['allowed-origins']);
  const { own } = parseRoles({ roles: config.roles, urls: config['role-urls'] });
  if (own.size < domains.length && config['redis-url'] === '')
    throw invalid(
      'roles',
      `leaves out ${domains.filter((one) => !own.has(one)).join(', ')}`,
      'give --redis-url too, which joins it to the processes that have them',
    );
  if (isLoopbackHost(config.host) || hasTls || config['trusted-proxy'] !== '' || config.insecure) return;
  throw invalid(
    'host',
    `is ${config.host}, which other machines can reach`,
    'give --tls-cert and --tls-key, or --trusted-proxy, or accept clear text with --insecure',
  );
}

/** Where data belongs on this machine unless `--data` says otherwise (XDG Base Directory Specification 0.8). */
export function dataPlace(): {
  checkout: string;
  home: string;
  xdgDataHome: string | undefined;
  isRoot: boolean;
} {
  return {
    checkout: fileURLToPath(new URL('../..', import.meta.url)),
    home: homeDirectory(),
    xdgDataHome: process.env['XDG_DATA_HOME'],
    isRoot: process.getuid?.() === 0,
  };
}

/** A user without an entry in /etc/passwd and without HOME has none. */
function homeDirectory(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new AppError(
      'invalid-field',
      'this user has no home directory: say with --data FOLDER where the data belongs',
      { field: 'data', cause },
    );
  }
}

/** Lines of help, one a setting. */
export function settingsHelp(): string {
  const rows = Object.entries<Setting<Kind, string | number | boolean>>(settings).map(([name, row]) => {
    const flag = `--${name}${row.kind === 'boolean' ? '' : ` <${row.value ?? 'value'}>`}`;
    const fallback = row.kind === 'boolean' || row.default === '' ? '' : `; default ${row.default}`;
    return `  ${flag.padEnd(30)} ${row.doc}${fallback} (${row.env})`;
  });
  return [
    ...rows,
    `  ${'--config <file>'.padEnd(30)} a JSON file with these settings by name (KYMO_CONFIG)`,
  ].join('\n');
}

function parseFlags(args: readonly string[]): Record<string, string | boolean | undefined> {
  const options: Record<string, { type: 'string' | 'boolean' }> = { config: { type: 'string' } };
  for (const [name, row] of Object.entries(settings))
    options[name] = { type: row.kind === 'boolean' ? 'boolean' : 'string' };
  try {
    return parseArgs({ args: [...args], options, allowNegative: true }).values;
  } catch (cause) {
    throw new AppError(
      'invalid-field',
      `${(cause as Error).message.split('. ')[0]}; kymo --help lists the flags`,
      { cause },
    );
  }
}

function readFile(path: string | boolean | undefined): Record<string, unknown> {
  if (typeof path !== 'string' || path === '') return {};
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new AppError('invalid-field', `the configuration file ${path} cannot be read as JSON`, {
      field: 'config',
      cause,
    });
  }
  if (typeof content === 'object' && content !== null && !Array.isArray(content))
    return content as Record<string, unknown>;
  throw new AppError('invalid-field', `the configuration file ${path} is no JSON object of settings`, {
    field: 'config',
  });
}

function parseValue(name: string, row: Setting<Kind, unknown>, raw: unknown): string | number | boolean {
  if (row.kind === 'boolean') {
    if (raw === true || raw === 'true' || raw === '1') return true;
    if (raw === false || raw === 'false' || raw === '0' || raw === '') return false;
    throw invalid(name, `is ${JSON.stringify(raw)}`, 'it takes true or false');
  }
  if (row.kind === 'string') {
    if (typeof raw === 'string') return raw;
    throw invalid(name, `is ${JSON.stringify(raw)}`, 'it takes a text');
  }
  const value =
    typeof raw === 'number' ? raw : Number(typeof raw === 'string' && raw.trim() !== '' ? raw : Number.NaN);
  if (
    !Number.isInteger(value) ||
    value < (row.minimum ?? 0) ||
    value > (row.maximum ?? Number.MAX_SAFE_INTEGER)
  )
    throw invalid(
      name,
      `is ${JSON.stringify(raw)}`,
      `it takes a whole number from ${row.minimum} to ${row.maximum}`,
    );
  return value;
}

function invalid(name: string, what: string, fix: string): AppError {
  return new AppError('invalid-field', `--${name} ${what}: ${fix}`, { field: name });
}
