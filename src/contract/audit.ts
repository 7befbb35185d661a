/**
 * Owns what the audit log says: who did what to whose data, when, by which way and with which outcome. Ids and codes only,
 * never names, texts or addresses of pages, so that erasure need not touch it.
 */

import { Type, type Static } from 'typebox';

import type { Action } from '#contract/permissions.ts';
import type { Principal } from '#contract/principal.ts';
import { Id } from '#contract/rest.ts';

/** What was done: an action of the table of permissions, or one of these. */
export type AuditAction =
  | Action
  | 'channel.subscribe'
  | 'channel.history'
  | 'channel.publish'
  | 'channel.request'
  /** Signing in and out, passwords, second factors. */
  | 'account.sign-in'
  | 'account.change';

export type AuditActor = Pick<Principal, 'role' | 'subject'> & {
  /** `system`: a job, a schedule or a command of whoever runs the server. */
  readonly kind: Principal['kind'] | 'system';
};

export interface AuditEntry {
  readonly orgId: string;
  readonly actor: AuditActor;
  readonly action: AuditAction;
  /** The pattern of the way it was done: `GET /v1/sessions/:id`, `session/{session}/motion`, `job session-report`. */
  readonly route: string;
  /** `x-request-id`; null where there was no request. */
  readonly requestId: string | null;
  /** Whose data; null: nobody's or not known. For a session or stream the log looks it up itself. */
  readonly patientId: string | null;
  /** What it was done to: `session`, `stream`, `notes`, ... `id` is a UUID; anything else is left out. */
  readonly resource: { readonly kind: string; readonly id: string } | null;
  /** Whose data a list showed; absent: no list. At most `auditLimits.listedPatients`. */
  readonly patients?: readonly string[];
  /** HTTP status of the outcome; null: about to be done. */
  readonly status: number | null;
  /** Network address of whoever asked. */
  readonly address: string | null;
}

/** Adds to the log. */
export interface Audit {
  /**
   * Resolves when the entry is committed. Rejects with AppError `overloaded` or `store-unavailable` (both temporary): then
   * nothing may be shown or changed on its behalf.
   */
  record(entry: AuditEntry): Promise<void>;
}

export const auditLimits = {
  /** The longest page of a list (api/session-routes.ts). */
  listedPatients: 100,
  /** The subject of a foreign token is the longest actor. */
  actorCharacters: 200,
  routeCharacters: 200,
  kindCharacters: 40,
  /** An IPv6 address with a zone. */
  addressCharacters: 64,
} as const;

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** One entry as it is read. */
export const AuditRecord = Type.Object(
  {
    /** Grows with every entry of the installation; gaps are usual. */
    id: Type.Integer({ minimum: 1 }),
    at: Type.String({ format: 'date-time' }),
    requestId: Nullable(Id),
    actor: Type.Object({ kind: Type.String(), role: Type.String(), subject: Type.String() }),
    action: Type.String(),
    route: Type.String(),
    patientId: Nullable(Id),
    resource: Nullable(Type.Object({ kind: Type.String(), id: Id })),
    /** Whose data a list showed. */
    patients: Nullable(Type.Array(Id)),
    /** HTTP status of the outcome; null: was about to be done, and the entry of the outcome comes after it. */
    status: Nullable(Type.Integer()),
    address: Nullable(Type.String()),
  },
  { $id: 'AuditRecord' },
);
export type AuditRecord = Static<typeof AuditRecord>;

export const AuditPage = Type.Object(
  {
    entries: Type.Array(AuditRecord),
    /** Give it as `cursor` for the page of older ones. */
    next: Nullable(Type.String()),
    /** The newest block of this organisation's chain: keep it elsewhere, and `kymo verify-audit --expect` proves it. */
    head: Nullable(
      Type.Object({
        block: Type.Integer({ minimum: 1 }),
        hash: Type.String({ description: 'SHA-256, hexadecimal' }),
        sealedAt: Type.String({ format: 'date-time' }),
      }),
    ),
  },
  { $id: 'AuditPage' },
);
export type AuditPage = Static<typeof AuditPage>;
