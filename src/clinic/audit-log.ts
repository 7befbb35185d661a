/**
 * Owns the adding to the audit log: entries of all requests are committed together, one commit under way at a time, and
 * whoever recorded waits for the commit with the entry. At most `maxPending` entries wait; the next is refused as
 * `overloaded`, so that what is not recorded is not done.
 */

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { auditLimits, type Audit, type AuditEntry } from '#contract/audit.ts';
import type { AuditStore } from '#store/audit-store.ts';

export const auditLogLimits = {
  /** Three seconds of 5,000 requests/s, at 400 bytes 6 MB: longer than a database that recovers stays away. */
  maxPending: 16_384,
  /** Of one commit: some 800 kB of JSON, 20 ms of the database's time. */
  commitEntries: 2_048,
  /** Between the starts of two commits: what one costs is then shared by ten requests at 2,500/s (docs/audit.md). */
  gatherMs: 4,
  /** ... or as long again as the last commit took, at most so long: a busy database gets fewer and larger ones. */
  maxGatherMs: 10,
} as const;

export interface AuditCounters {
  recorded: number;
  commits: number;
  /** Refused because too many waited. */
  refused: number;
  /** Whose commit failed. */
  failed: number;
}

export interface AuditLog extends Audit {
  readonly counters: Readonly<AuditCounters>;
  readonly pending: number;
  /** Resolves when nothing is pending. */
  flush(): Promise<void>;
}

export interface AuditLogParts {
  readonly store: Pick<AuditStore, 'append'>;
  readonly clock: Clock;
  readonly limits?: Partial<typeof auditLogLimits>;
}

interface Pending {
  readonly row: AuditRow;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

export function createAuditLog({ store, clock, limits: given }: AuditLogParts): AuditLog {
  const limits: { readonly [K in keyof typeof auditLogLimits]: number } = { ...auditLogLimits, ...given };
  const counters: AuditCounters = { recorded: 0, commits: 0, refused: 0, failed: 0 };
  const waiting: Pending[] = [];
  let underWay = 0;
  let isDue = false;
  let startedMs = Number.NEGATIVE_INFINITY;
  let tookMs = 0;

  /** Sees to it that a commit starts: now, or when the last one is long enough ago. */
  function arrange(): void {
    if (isDue || underWay > 0 || waiting.length === 0) return;
    isDue = true;
    const intervalMs = Math.min(limits.maxGatherMs, Math.max(limits.gatherMs, 2 * tookMs));
    const restMs = startedMs + intervalMs - clock.monotonicMs();
    if (restMs > 0) clock.after(restMs, commit);
    // Requests of one turn of the event loop go together.
    else queueMicrotask(commit);
  }

  function commit(): void {
    isDue = false;
    const taken = waiting.splice(0, limits.commitEntries);
    underWay = taken.length;
    startedMs = clock.monotonicMs();
    counters.commits++;
    const ended = (): void => {
      underWay = 0;
      tookMs = clock.monotonicMs() - startedMs;
      arrange();
    };
    store
      .append(JSON.stringify(taken.map(({ row }) => row)))
      .then(
        () => {
          counters.recorded += taken.length;
          for (const { resolve } of taken) resolve();
        },
        (cause: unknown) => {
          counters.failed += taken.length;
          for (const { reject } of taken) reject(cause);
        },
      )
      .then(ended, ended);
  }

  function record(entry: AuditEntry): Promise<void> {
    if (waiting.length + underWay >= limits.maxPending) {
      counters.refused++;
      return Promise.reject(
        new AppError('overloaded', 'too many accesses wait to be recorded', { temporary: true }),
      );
    }
    return new Promise((resolve, reject) => {
      waiting.push({ row: rowOf(entry, clock.nowUs()), resolve, reject });
      arrange();
    });
  }

  return {
    record,
    counters,
    get pending() {
      return waiting.length + underWay;
    },
    async flush() {
      while (waiting.length + underWay > 0)
        await new Promise<void>((resolve) => {
          clock.after(1, resolve);
        });
    },
  };
}

/** What kymo.audit_append takes. */
type AuditRow = Readonly<Record<string, string | number | readonly string[] | null>>;

// One value that PostgreSQL refuses would fail everybody's entry, so that what is no UUID or no text is left out here.
function rowOf(entry: AuditEntry, nowUs: number): AuditRow {
  const { actor, resource, patients } = entry;
  const resourceId = uuidOrNull(resource?.id ?? null);
  return {
    org: entry.orgId,
    at: nowUs,
    request: uuidOrNull(entry.requestId),
    kind: actor.kind,
    role: actor.role,
    actor: plain(actor.subject, auditLimits.actorCharacters),
    action: entry.action,
    route: plain(entry.route, auditLimits.routeCharacters),
    patient: uuidOrNull(entry.patientId),
    of: resource === null ? null : plain(resource.kind, auditLimits.kindCharacters),
    id: resourceId,
    patients: patients === undefined ? null : patients.slice(0, auditLimits.listedPatients).filter(isUuid),
    status: entry.status,
    address: entry.address === null ? null : plain(entry.address, auditLimits.addressCharacters),
  };
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
function isUuid(text: string): boolean {
  return uuidForm.test(text);
}

function uuidOrNull(text: string | null): string | null {
  return text !== null && isUuid(text) ? text : null;
}

/** PostgreSQL takes neither halves of characters nor U+0000. */
function plain(text: string, maxCharacters: number): string {
  return text.slice(0, maxCharacters).toWellFormed().replaceAll('\u0000', '\uFFFD');
}
