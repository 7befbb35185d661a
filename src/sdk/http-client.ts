/**
 * Owns the typed REST client, for browsers and Node: one call a resource, problem details turned into AppError. It
 * trusts the shape of a success (the server validates what it sends) and checks that of a failure.
 */

import { AppError, messageOf } from '#base/errors.ts';
import { decodeEnvelope } from '#contract/envelope-codec.ts';
import type { EnvelopeData } from '#contract/envelope.ts';
import { readingsHeader, type ExportFormat } from '#contract/export-format.ts';
import type { SessionRecord } from '#contract/export.ts';
import type { AnalysisAsked, MotionAnalysis, SessionBodyModel } from '#contract/motion.ts';
import type {
  About,
  DeviceCreated,
  Problem,
  ReadingPage,
  SessionDetail,
  SessionPage,
  SignedIn,
  Ticket,
} from '#contract/rest.ts';

export interface ReadingQuery {
  readonly streamId: string;
  /** Device time, microseconds, half-open; null for the beginning and the end. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
  readonly limit: number;
  /** `next` of the page before. */
  readonly cursor: string | null;
}

export interface EnvelopeQuery {
  readonly streamId: string;
  /** Device time, microseconds, half-open; null for the beginning and the end. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
  /** Columns that are drawn, 16 to 4096; at most twice as many come. */
  readonly width: number;
}

export interface MotionQuery {
  readonly sessionId: string;
  /** At most so many gait cycles, the newest. */
  readonly cycles: number;
}

export interface ExportQuery {
  readonly streamId: string;
  readonly format: ExportFormat;
  /** Device time, microseconds, half-open; null for the beginning and the end. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
}

export interface ExportDownload {
  /** Readings that come: exactly for a whole stream, at most for a range of time. */
  readonly readings: number;
  readonly body: ReadableStream<Uint8Array>;
}

/** Every call rejects with AppError: the server's code, or `unreachable` (temporary) when there was no answer. */
export interface HttpClient {
  about(): Promise<About>;
  sessions(limit: number, cursor: string | null, signal?: AbortSignal): Promise<SessionPage>;
  session(id: string, signal?: AbortSignal): Promise<SessionDetail>;
  readings(query: ReadingQuery, signal?: AbortSignal): Promise<ReadingPage>;
  /** A stream's least, largest and mean values in a range, at a width. */
  envelope(query: EnvelopeQuery, signal?: AbortSignal): Promise<EnvelopeData>;
  /** What the committed readings of a session tell of motion. */
  motion(query: MotionQuery, signal?: AbortSignal): Promise<MotionAnalysis>;
  /** Which stream is worn where. */
  bodyModel(sessionId: string, signal?: AbortSignal): Promise<SessionBodyModel>;
  /** Needs a key of scope admin. Rejects with `conflict` when the revision it was made from is not the newest. */
  setBodyModel(
    sessionId: string,
    request: Pick<SessionBodyModel, 'bodyModel' | 'revision'>,
  ): Promise<SessionBodyModel>;
  /** Needs a key of scope admin. Has the session analysed again from its beginning. */
  reanalyse(sessionId: string): Promise<AnalysisAsked>;
  /** What is to be known of a session beside its readings. */
  record(sessionId: string, signal?: AbortSignal): Promise<SessionRecord>;
  /** A stream's readings as a file. Its body fails when the server could not send all of it. */
  exportStream(query: ExportQuery, signal?: AbortSignal): Promise<ExportDownload>;
  /** A single-use pass for a WebSocket. */
  ticket(): Promise<Ticket>;
  /** Needs a key of scope admin. */
  createDevice(name: string): Promise<DeviceCreated>;
  revokeDevice(id: string): Promise<void>;
  /** A key for the demo; refused unless the server runs one on loopback. */
  demoSignIn(): Promise<SignedIn>;
  /** Any other JSON route of the contract; its answer is typed by whoever calls. Undefined for an empty answer. */
  call<T>(method: HttpMethod, path: string, options?: HttpCall): Promise<T>;
}

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface HttpCall {
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpClientOptions {
  /** Origin of the server, without a slash at the end; empty for the page's own. */
  readonly origin: string;
  readonly key: () => string | null;
}

/** An answer that takes longer counts as unreachable: the slowest route reads a page of readings (under 1 s). */
const TIMEOUT_MS = 15_000;

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly body?: unknown;
  readonly accept?: string;
  /** Its answer goes on for as long as there is more, so nothing ends it but `signal`. */
  readonly isDownload?: boolean;
}

export function createHttpClient({ origin, key }: HttpClientOptions): HttpClient {
  const ask = async (
    method: HttpMethod,
    path: string,
    { signal, body, accept = 'application/json', isDownload = false }: CallOptions,
  ): Promise<Response> => {
    const current = key();
    const ends = signal === undefined ? [] : [signal];
    if (!isDownload) ends.push(AbortSignal.timeout(TIMEOUT_MS));
    let response: Response;
    try {
      response = await fetch(`${origin}${path}`, {
        method,
        headers: {
          accept,
          ...(current === null ? {} : { authorization: `Bearer ${current}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        cache: 'no-store',
        signal: AbortSignal.any(ends),
      });
    } catch (thrown) {
      if (signal?.aborted === true) throw thrown;
      throw new AppError('unreachable', `the server does not answer: ${messageOf(thrown)}`, {
        temporary: true,
        cause: thrown,
      });
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  };
  const call = async <T>(method: HttpMethod, path: string, options: CallOptions = {}): Promise<T> => {
    const response = await ask(method, path, options);
    return (response.status === 204 ? undefined : await response.json()) as T;
  };
  const segment = encodeURIComponent;
  return {
    about: () => call('GET', '/v1/about'),
    sessions: (limit, cursor, signal) => call('GET', `/v1/sessions?${query({ limit, cursor })}`, { signal }),
    session: (id, signal) => call('GET', `/v1/sessions/${segment(id)}`, { signal }),
    readings: ({ streamId, ...range }, signal) =>
      call('GET', `/v1/streams/${segment(streamId)}/readings?${query({ ...range })}`, { signal }),
    async envelope({ streamId, ...range }, signal) {
      const path = `/v1/streams/${segment(streamId)}/envelope?${query({ ...range })}`;
      const response = await ask('GET', path, { signal, accept: 'application/octet-stream' });
      return decodeEnvelope(await response.arrayBuffer());
    },
    motion: ({ sessionId, cycles }, signal) =>
      call('GET', `/v1/sessions/${segment(sessionId)}/motion?${query({ cycles })}`, { signal }),
    bodyModel: (sessionId, signal) =>
      call('GET', `/v1/sessions/${segment(sessionId)}/body-model`, { signal }),
    setBodyModel: (sessionId, body) => call('PUT', `/v1/sessions/${segment(sessionId)}/body-model`, { body }),
    reanalyse: (sessionId) => call('POST', `/v1/sessions/${segment(sessionId)}/analyses`),
    record: (sessionId, signal) => call('GET', `/v1/sessions/${segment(sessionId)}/record`, { signal }),
    async exportStream({ streamId, ...options }, signal) {
      const path = `/v1/streams/${segment(streamId)}/export?${query({ ...options })}`;
      const { headers, body } = await ask('GET', path, { signal, accept: '*/*', isDownload: true });
      if (body === null) throw new AppError('unreachable', 'the server sent no file', { temporary: true });
      return { readings: Number(headers.get(readingsHeader)), body };
    },
    ticket: () => call('POST', '/v1/tickets'),
    createDevice: (name) => call('POST', '/v1/devices', { body: { name } }),
    revokeDevice: (id) => call('DELETE', `/v1/devices/${segment(id)}`),
    demoSignIn: () => call('POST', '/v1/demo/sign-in'),
    call,
  };
}

/** The fields that have a value, as a query string. */
function query(fields: Record<string, string | number | null>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== null) parameters.set(name, String(value));
  return parameters.toString();
}

/** What a failed answer says, also when it is not from this server. */
export async function problemOf(response: Response): Promise<AppError> {
  const temporary = response.status >= 500 || response.status === 429;
  const body: unknown = await response.json().catch(() => null);
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  const code = typeof problem.code === 'string' ? problem.code : codeOfStatus(response.status);
  const detail =
    typeof problem.detail === 'string' ? problem.detail : `the server answered ${response.status}`;
  const field = typeof problem.field === 'string' ? { field: problem.field } : {};
  return new AppError(code, detail, { temporary, ...field });
}

/** For answers that are not problem details: a proxy's page, an empty body. */
function codeOfStatus(status: number): string {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 503 || status === 429) return 'overloaded';
  return 'internal';
}
