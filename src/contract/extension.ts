/**
 * Owns what an extension is: channels, routes, watchers and processors under one name, as data and functions that hold no
 * state. The loader (app) checks each when the server starts and names the field that is wrong.
 */

import { IsSchema, type Static, type TObject, type TSchema } from 'typebox';

import { AppError } from '#base/errors.ts';
import { defineChannel, type AnyChannel, type ChannelServices } from '#contract/channel-definition.ts';
import type { Principal } from '#contract/principal.ts';
import type { WatcherContext } from '#contract/watcher.ts';
import type { SessionWindow } from '#contract/windows.ts';

export type RouteMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** `public`: anyone. `read`: an access key. `admin`: one of scope admin. `device`: a device key. `any`: whoever shows who they are. */
export type RouteAccess = 'public' | 'read' | 'admin' | 'device' | 'any';

export interface RouteContext<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Null on a `public` route. */
  readonly identity: Principal | null;
  readonly services: ChannelServices;
}

type ValueOf<S> = S extends TSchema ? Static<S> : Readonly<Record<string, never>>;

export interface RouteDefinition<
  P extends TObject | undefined = TObject | undefined,
  Q extends TObject | undefined = TObject | undefined,
  B extends TSchema | undefined = TSchema | undefined,
  R extends TSchema = TSchema,
> {
  readonly method: RouteMethod;
  /** Below `/v1/x/NAME`: `/` or segments of text and `:parameter`, such as `/orders/:order`. */
  readonly path: string;
  readonly summary: string;
  readonly access: RouteAccess;
  /** A property for each `:parameter`. */
  readonly params?: P;
  readonly query?: Q;
  /** What is in the body, as JSON. Not for GET and DELETE. */
  readonly body?: B;
  /** What `handle` returns. Left out where `type` is given, and where it returns nothing (204). */
  readonly response?: R;
  /** A media type: `handle` then returns text or bytes of it, such as a page (`text/html`) or its script (`text/javascript`). */
  readonly type?: string;
  /** Returns the answer or a promise of it. Throw AppError to refuse. */
  handle(context: RouteContext<ValueOf<P>, ValueOf<Q>, ValueOf<B>>): unknown;
}

// oxlint-disable-next-line typescript/no-explicit-any -- any parameters, query, body and answer
export type AnyRoute = RouteDefinition<any, any, any, any>;

/** A source that pushes: runs beside the server from start to stop. */
export interface WatcherDefinition {
  readonly name: string;
  readonly summary: string;
  /**
   * Runs until `context.signal` aborts. When it throws it is started again, later each time; when it returns it is done.
   */
  run(context: WatcherContext): Promise<void>;
}

/** Readings of one stream in a window, in the order of their numbers. */
export interface ProcessorStream {
  readonly stream: string;
  readonly segment: string;
  readonly sensor: string;
  readonly rateHz: number;
  readonly axes: readonly { readonly name: string; readonly unit: string }[];
  /** Device times in microseconds, one a reading. */
  readonly timesUs: Float64Array;
  /** Row by row, a value for each axis. */
  readonly values: Float64Array;
}

export interface ProcessorContext {
  readonly orgId: string;
  readonly window: SessionWindow;
  readonly streams: readonly ProcessorStream[];
  readonly services: ChannelServices;
  /** Aborts when the server stops. */
  readonly signal: AbortSignal;
}

/**
 * Derives something from every window of committed readings, again whenever its readings change. Results are stored as
 * those of `EXTENSION.NAME`, one a window; the newest revision wins, and what was computed before is not computed again.
 */
export interface ProcessorDefinition {
  readonly name: string;
  readonly summary: string;
  /** From 1 on; grows whenever the same readings may give another result: all windows are then worked on again. */
  readonly version: number;
  /** Any JSON of at most 64 KiB; undefined: nothing is stored for this window. The same readings give the same result. */
  window(context: ProcessorContext): unknown;
}

export interface ExtensionDefinition {
  /** As its file or folder: lower-case letters, digits and `-`. Its routes are below `/v1/x/NAME`. */
  readonly name: string;
  readonly summary: string;
  readonly channels?: readonly AnyChannel[];
  readonly routes?: readonly AnyRoute[];
  readonly watchers?: readonly WatcherDefinition[];
  readonly processors?: readonly ProcessorDefinition[];
}

const nameText = /^[a-z][a-z0-9-]{0,39}$/;
const pathText = /^\/(?:(?:[a-z0-9][a-z0-9._-]*|:[a-z][a-zA-Z0-9]*)(?:\/(?!$)|$))*$/;
const mediaType = /^[a-z]+\/[a-z0-9.+-]+$/;
const methods: readonly unknown[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const accesses: readonly unknown[] = ['public', 'read', 'admin', 'device', 'any'];

/** Types a route by its schemas: `routes: [defineRoute({...})]`. */
export function defineRoute<
  const P extends TObject | undefined = undefined,
  const Q extends TObject | undefined = undefined,
  const B extends TSchema | undefined = undefined,
  const R extends TSchema = TSchema,
>(
  route: Omit<RouteDefinition<P, Q, B, R>, 'handle'> & {
    handle(
      context: RouteContext<ValueOf<P>, ValueOf<Q>, ValueOf<B>>,
    ): Promise<Static<R> | string | Uint8Array | void> | Static<R> | string | Uint8Array | void;
  },
): RouteDefinition<P, Q, B, R> {
  return route;
}

/** Checks an extension at once. Throws AppError `invalid-field` with the field as a JSON pointer. Returns it as it is. */
export function defineExtension<const E extends ExtensionDefinition>(extension: E): E {
  checkExtension(extension);
  return extension;
}

/** Throws as `defineExtension` does, whatever it is given: an extension's file may be plain JavaScript. */
export function checkExtension(value: unknown): asserts value is ExtensionDefinition {
  const extension = objectAt(value, '');
  const known = ['name', 'summary', 'channels', 'routes', 'watchers', 'processors'];
  const unknown = Object.keys(extension).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(`/${unknown}`, `is not known; an extension has ${known.join(', ')}`);
  textAt(extension['name'], '/name', nameText);
  textAt(extension['summary'], '/summary');
  for (const [at, channel] of listAt(extension['channels'], '/channels')) checkChannel(channel, at);
  for (const [at, route] of listAt(extension['routes'], '/routes')) checkRoute(route, at);
  for (const [at, watcher] of listAt(extension['watchers'], '/watchers')) {
    textAt(watcher['name'], `${at}/name`, nameText);
    textAt(watcher['summary'], `${at}/summary`);
    functionAt(watcher['run'], `${at}/run`);
  }
  checkProcessors(extension['processors']);
}

function checkProcessors(processors: unknown): void {
  const names = new Set<unknown>();
  for (const [at, processor] of listAt(processors, '/processors')) {
    textAt(processor['name'], `${at}/name`, nameText);
    textAt(processor['summary'], `${at}/summary`);
    if (!Number.isInteger(processor['version']) || (processor['version'] as number) < 1)
      throw wrong(`${at}/version`, 'is a whole number from 1 on');
    functionAt(processor['window'], `${at}/window`);
    if (names.has(processor['name'])) throw wrong(`${at}/name`, 'is the name of another processor');
    names.add(processor['name']);
  }
}

function checkChannel(channel: Readonly<Record<string, unknown>>, at: string): void {
  for (const field of ['name', 'summary', 'lossClass']) textAt(channel[field], `${at}/${field}`);
  if (!['live', 'event', 'state'].includes(channel['lossClass'] as string))
    throw wrong(`${at}/lossClass`, 'is live, event or state');
  for (const field of ['params', 'out', 'in']) {
    if (field === 'in' && channel[field] === undefined) continue;
    for (const [name, schema] of Object.entries(objectAt(channel[field], `${at}/${field}`)))
      if (!IsSchema(schema)) throw wrong(`${at}/${field}/${name}`, 'is no TypeBox schema');
  }
  functionAt(channel['allow'], `${at}/allow`);
  try {
    defineChannel(channel as unknown as AnyChannel);
  } catch (cause) {
    throw wrong(at, (cause as Error).message);
  }
}

function checkRoute(route: Readonly<Record<string, unknown>>, at: string): void {
  if (!methods.includes(route['method'])) throw wrong(`${at}/method`, `is one of ${methods.join(', ')}`);
  textAt(route['path'], `${at}/path`, pathText);
  textAt(route['summary'], `${at}/summary`);
  if (!accesses.includes(route['access'])) throw wrong(`${at}/access`, `is one of ${accesses.join(', ')}`);
  functionAt(route['handle'], `${at}/handle`);
  for (const field of ['params', 'query', 'body', 'response'])
    if (route[field] !== undefined && !IsSchema(route[field]))
      throw wrong(`${at}/${field}`, 'is no TypeBox schema');
  if (route['body'] !== undefined && (route['method'] === 'GET' || route['method'] === 'DELETE'))
    throw wrong(`${at}/body`, `a ${route['method']} has none`);
  if (route['type'] !== undefined) textAt(route['type'], `${at}/type`, mediaType);
  if (route['type'] !== undefined && route['response'] !== undefined)
    throw wrong(`${at}/response`, 'stands beside type: one of them says what the answer is');
  const wanted = [...(route['path'] as string).matchAll(/:(\w+)/g)].map((match) => match[1]!);
  const given = Object.keys((route['params'] as { properties?: object } | undefined)?.properties ?? {});
  if (wanted.toSorted().join() !== given.toSorted().join())
    throw wrong(`${at}/params`, `has a property for each of ${wanted.join(', ') || 'none'}, and no other`);
}

function listAt(
  value: unknown,
  at: string,
): (readonly [at: string, item: Readonly<Record<string, unknown>>])[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(at, 'is a list');
  return value.map((item: unknown, i) => [`${at}/${i}`, objectAt(item, `${at}/${i}`)]);
}

function objectAt(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw wrong(at, 'is an object');
}

function textAt(value: unknown, at: string, pattern?: RegExp): void {
  if (typeof value !== 'string' || value === '') throw wrong(at, 'is a text');
  if (pattern?.test(value) === false)
    throw wrong(at, `is "${value}", which does not match ${pattern.source}`);
}

function functionAt(value: unknown, at: string): void {
  if (typeof value !== 'function') throw wrong(at, 'is a function');
}

function wrong(field: string, what: string): AppError {
  return new AppError('invalid-field', `${field === '' ? 'an extension' : field} ${what}`, { field });
}
