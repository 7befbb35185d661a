/** Owns the table of settings: a row is a flag, an environment variable, a key of the file and a line of help. */

export type Kind = 'string' | 'number' | 'boolean';

export interface Setting<K extends Kind, D> {
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
  roles: setting({
    kind: 'string',
    default: 'identity,clinic,jobs,streams',
    env: 'KYMO_ROLES',
    value: 'names',
    doc: 'what this process does, of identity, clinic, jobs and streams; several processes join by --redis-url',
  }),
  'role-urls': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_ROLE_URLS',
    value: 'role=url',
    doc: 'where the other roles are answered: requests for them are passed on, once; separated by commas',
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
  cache: setting({
    kind: 'boolean',
    default: true,
    env: 'KYMO_CACHE',
    doc: 'keep answers about patients and sessions until they change; --no-cache asks the database every time',
  }),
  'cache-mib': setting({
    kind: 'number',
    default: 64,
    env: 'KYMO_CACHE_MIB',
    value: 'MiB',
    minimum: 1,
    maximum: 65_536,
    doc: 'most memory for such answers',
  }),
  'audit-days': setting({
    kind: 'number',
    default: 3650,
    env: 'KYMO_AUDIT_DAYS',
    value: 'days',
    minimum: 0,
    maximum: 36_500,
    doc: 'how long entries of the audit log are kept, a year at least; 0: for ever',
  }),
  'master-key': setting({
    kind: 'string',
    default: '',
    env: 'KYMO_MASTER_KEY',
    value: 'keys',
    doc: 'wraps the keys of what names patients, 32 bytes as base64, older ones behind a comma; else a file in the data folder',
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
  'webhooks-private': setting({
    kind: 'boolean',
    default: false,
    env: 'KYMO_WEBHOOKS_PRIVATE',
    doc: 'let webhooks go to private addresses and without TLS too; whoever manages webhooks then reaches this network',
  }),
  'log-level': setting({
    kind: 'string',
    default: 'warn',
    env: 'KYMO_LOG_LEVEL',
    value: 'level',
    doc: 'debug, info, warn, error or silent; JSON lines on standard error',
  }),
} as const;
