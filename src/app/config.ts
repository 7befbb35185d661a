/**
 * Owns configuration: one table of settings, each with a default and a sentence, read from flags, then the environment,
 * then a JSON file, then the default. It is parsed once, frozen and passed down; nothing else reads the environment.
 */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { parseAllowedOrigins } from '#api/origin.ts';
import { AppError } from '#base/errors.ts';
import { createTrust } from '#app/client-address.ts';

type Kind = 'string' | 'number' | 'boolean';

interface Setting<K extends Kind, D> {
  readonly kind: K;
  readonly default: D;
  readonly env: string;
  readonly doc: string;
  /** Shown as `--name <value>` in the help. */
  readonly value?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

const setting = <const K extends Kind, const D>(s: Setting<K, D>): Setting<K, D> => s;

/** Every setting of the server. A row here is a flag, an environment variable, a key of the file and a line of help. */
export const settings = {
  host: setting({
    kind: 'string',
    default: '127.0.0.1',
    env: 'KYMO_HOST',
    value: 'address',
    doc: 'address to listen on',
  }),
  port: setting({
    kind: 'number',
    default: 7900,
    env: 'KYMO_PORT',
    value: 'number',
    minimum: 0,
    maximum: 65_535,
    doc: 'port to listen on; 0 takes a free one',
  }),
  data: setting({
    kind: 'string',
    default: '',
    env: 'KYMO_DATA',
    value: 'folder',
    doc: 'where the embedded database keeps its data; by default in the data folder of the operating system',
  }),
  'database-url': setting({
    kind: 'string',
    default: '',
    env: 'DATABASE_URL',
    value: 'url',
    doc: 'a PostgreSQL 15 or newer to use instead of the embedded one; the role must be able to create roles',
  }),
  'redis-url': setting({
    kind: 'string',
    default: '',
    env: 'REDIS_URL',
    value: 'url',
    doc: 'the Redis that joins several instances: redis://, rediss:// or unix://; one instance needs none',
  }),
  'redis-prefix': setting({
    kind: 'string',
    default: 'kymo:',
    env: 'KYMO_REDIS_PREFIX',
    value: 'text',
    doc: 'in front of every key and channel in Redis; another one for each installation that shares it',
  }),
  demo: setting({
    kind: 'boolean',
    default: false,
    env: 'KYMO_DEMO',
    doc: 'feed two demo sessions: a recorded walk and a synthetic walker',
  }),
  extensions: setting({
    kind: 'string',
    default: '',
    env: 'KYMO_EXTENSIONS',
    value: 'folders',
    doc: 'folders of extensions, separated by commas; with a demo the examples unless this says otherwise',
  }),
  'tls-cert': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TLS_CERT',
    value: 'file',
    doc: 'certificate chain (PEM)',
  }),
  'tls-key': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TLS_KEY',
    value: 'file',
    doc: 'private key (PEM)',
  }),
  'trusted-proxy': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TRUSTED_PROXY',
    value: 'address',
    doc: 'addresses or networks of the proxies that end TLS, separated by commas',
  }),
  insecure: setting({
    kind: 'boolean',
    default: false,
    env: 'KYMO_INSECURE',
    doc: 'listen outside loopback without TLS; health data then travels in clear',
  }),
  analysis: setting({
    kind: 'boolean',
    default: true,
    env: 'KYMO_ANALYSIS',
    doc: 'analyse committed readings here; --no-analysis leaves it to other servers on the same database',
  }),
  'allowed-origins': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_ALLOWED_ORIGINS',
    value: 'origins',
    doc: "web pages of other origins that may connect, such as https://app.example.org, separated by commas; '*' is any",
  }),
  'flush-interval-ms': setting({
    kind: 'number',
    default: 250,
    env: 'KYMO_FLUSH_INTERVAL_MS',
    value: 'ms',
    minimum: 1,
    maximum: 60_000,
    doc: 'readings are committed at least this often',
  }),
  'flush-readings': setting({
    kind: 'number',
    default: 500,
    env: 'KYMO_FLUSH_READINGS',
    value: 'number',
    minimum: 1,
    maximum: 100_000,
    doc: '... or when one stream has this many waiting',
  }),
  'credit-pool-mib': setting({
    kind: 'number',
    default: 256,
    env: 'KYMO_CREDIT_POOL_MIB',
    value: 'MiB',
    minimum: 1,
    maximum: 65_536,
    doc: 'most memory for received readings that are not committed yet',
  }),
  'heartbeat-ms': setting({
    kind: 'number',
    default: 5_000,
    env: 'KYMO_HEARTBEAT_MS',
    value: 'ms',
    minimum: 100,
    maximum: 600_000,
    doc: 'heartbeat of devices and viewers; three missed ones end a connection',
  }),
  'drain-ms': setting({
    kind: 'number',
    default: 10_000,
    env: 'KYMO_DRAIN_MS',
    value: 'ms',
    minimum: 0,
    maximum: 600_000,
    doc: 'how long stopping may wait for the last commit',
  }),
  'drain-spread-ms': setting({
    kind: 'number',
    default: 5_000,
    env: 'KYMO_DRAIN_SPREAD_MS',
    value: 'ms',
    minimum: 0,
    maximum: 600_000,
    doc: 'over how long stopping sends viewers away, at most; others take them at an even rate',
  }),
  'motion-workers': setting({
    kind: 'number',
    default: 1,
    env: 'KYMO_MOTION_WORKERS',
    value: 'number',
    minimum: 0,
    maximum: 64,
    doc: 'threads that recognise motion in live readings, each with up to 512 sessions; 0 recognises none',
  }),
  'token-secret': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TOKEN_SECRET',
    value: 'secret',
    doc: 'shared secret (32 bytes or more) of a back end whose tokens let its users follow channels',
  }),
  'token-keys': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TOKEN_KEYS',
    value: 'url or file',
    doc: 'the same with public keys: a JWKS by address or file, or a PEM file',
  }),
  'token-org': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TOKEN_ORG',
    value: 'id',
    doc: 'the organisation that such tokens are for; "any": each token says it',
  }),
  'token-issuer': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TOKEN_ISSUER',
    value: 'name',
    doc: 'what such tokens must say in `iss`; not looked at by default',
  }),
  'token-audience': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_TOKEN_AUDIENCE',
    value: 'name',
    doc: 'what such tokens must say in `aud`; not looked at by default',
  }),
  'log-level': setting({
    kind: 'string',
    default: 'warn',
    env: 'KYMO_LOG_LEVEL',
    value: 'level',
    doc: 'debug, info, warn, error or silent; JSON lines on standard error',
  }),
} as const;

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
