/** Owns what the API is given: the parts it answers from, and the limits of what it reads. */

import type { IncomingMessage, Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
} from 'fastify';
import type { Registry } from 'prom-client';

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Audit } from '#contract/audit.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { ReadingsAccepted, ReadingsRequest } from '#contract/rest.ts';
import type { AuditRecords } from '#clinic/audit-records.ts';
import type { Records } from '#clinic/records.ts';
import type { VisitServices } from '#clinic/visit-services.ts';
import type { Accounts } from '#identity/accounts.ts';
import type { Identity } from '#identity/identity.ts';
import type { People } from '#identity/people.ts';
import type { Principals } from '#identity/principals.ts';
import type { Revocation } from '#identity/revocations.ts';
import type { JobService } from '#jobs/job-service.ts';
import type { EnvelopeQueries } from '#store/envelope-queries.ts';
import type { ExportQueries } from '#store/export-queries.ts';
import type { ReadingQueries } from '#store/reading-queries.ts';
import type { RetentionControls } from '#store/retention-controls.ts';
import type { SessionQueries } from '#store/session-queries.ts';
import type { WindowQueries } from '#store/window-queries.ts';
import type { Webhooks } from '#jobs/webhooks/endpoints.ts';
import type { LiveOptions } from '#api/live-options.ts';
import type { ExtensionParts } from '#api/extension-routes.ts';
import type { MotionAnswers } from '#api/motion-routes.ts';
import type { OriginRule } from '#api/origin.ts';
import type { Overload } from '#api/overload.ts';
import type { RequestLimits } from '#api/request-limits.ts';
import type { Roles } from '#api/roles.ts';

export const apiLimits = {
  /** Bodies of all routes but readings: names and options. */
  bodyBytes: 64 * 1024,
  /** 500 readings of 32 axes with names of usual length. */
  readingsBodyBytes: 1024 * 1024,
  /** A request that has not arrived whole by then is cut off (slow loris). */
  requestMs: 30_000,
  /** How often it is looked for such requests; Node's own 30 s would double the time. */
  requestCheckMs: 5_000,
  /** Longer than the minute after which proxies drop idle connections. */
  keepAliveMs: 72_000,
} as const;

/** `ok`, or what is wrong, by the name of what was looked at. */
export type HealthChecks = Readonly<Record<string, string>>;

export interface ApiOptions {
  readonly about: { readonly version: string; readonly demo: boolean };
  /** What this process answers itself, and who answers the rest. Absent: it answers everything. */
  readonly roles?: Roles;
  readonly identity: Identity;
  readonly principals: Principals;
  readonly accounts: Accounts;
  readonly audit: Audit;
  readonly auditRecords: AuditRecords;
  /** Absent: keys are the only way in. */
  readonly people?: People;
  readonly sessions: SessionQueries;
  /** Patients and what is written down of them. */
  readonly records: Records;
  readonly visits: VisitServices;
  readonly retention: RetentionControls;
  readonly readings: ReadingQueries;
  readonly envelopes: EnvelopeQueries;
  readonly exports: ExportQueries;
  readonly windows: WindowQueries;
  readonly motion: MotionAnswers;
  /** Absent: there are none. */
  readonly webhooks?: Webhooks;
  readonly jobs: JobService;
  /** Stores readings that come by HTTP; resolves after COMMIT. */
  readonly submitReadings: (identity: DeviceIdentity, request: ReadingsRequest) => Promise<ReadingsAccepted>;
  /** Closes what a device that was just revoked has open. */
  readonly onDeviceRevoked: (deviceId: string) => void;
  /** Closes, on every instance, what whoever was just revoked has open, and refuses their tokens from now on. */
  readonly onRevoked: (revocation: Revocation) => void;
  /** Channels; null: none are served. */
  readonly live: LiveOptions | null;
  /** A key with scope read for the demo's organisation; null unless a demo runs and the server is bound to loopback. */
  readonly demoKey: (() => Promise<string>) | null;
  /** Whether the server can do its work now. */
  readonly checkReadiness: () => Promise<HealthChecks>;
  readonly metrics: Registry;
  /** The built web page; null: none is served. */
  readonly webDirectory: string | null;
  /** TLS by this process, by the proxy before it, or none (loopback). */
  readonly tls: TlsFiles | 'proxy' | null;
  /** The proxy whose X-Forwarded-For is believed; null: none. */
  readonly trustedProxy: string | null;
  /** Which web pages may connect. */
  readonly origins: OriginRule;
  /** Why a request must not be answered at all (clear text past the proxy), or null. Absent: nothing is refused. */
  readonly refusalOf?: (request: IncomingMessage) => string | null;
  /** Routes of extensions, and what they may use. Absent: none. */
  readonly extensions?: ExtensionParts;
  /** How many requests a minute one address, user, device or organisation may make. Absent: as many as they like. */
  readonly limits?: RequestLimits;
  /** When to send requests away. Absent: never. */
  readonly overload?: Overload;
  readonly log: Log;
  readonly clock: Clock;
}

/** Contents of a certificate chain and its private key, PEM. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Told of every TLS server that is made of them, to keep its certificate current. */
  readonly serve?: (server: TlsServer) => void;
}

export type Api = FastifyInstance<
  Server,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
