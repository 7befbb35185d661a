/**
 * Owns that what people do in the channels of a session or patient is in the audit log, whatever way they come: sockets,
 * event streams, polls and REST all use these `Channels`. Following and reading are recorded before anything is shown, saying
 * something before it is published; who cannot be recorded is refused as temporary. Devices are not recorded: what they
 * send is stored with their id.
 */

import { fail, ok, type Result } from '#base/result.ts';
import type { Audit, AuditAction, AuditEntry } from '#contract/audit.ts';
import type { Principal } from '#contract/principal.ts';
import type { Channels, FoundChannel } from '#live/channels.ts';
import { wireErrorOf } from '#live/wire-error.ts';
import type { WireError } from '#protocol/data-codec.ts';

export interface AuditedChannelsParts {
  readonly audit: Audit;
  /** Told of outcomes that could not be recorded, and of what nobody expected. */
  readonly onFailure: (cause: unknown) => void;
}

export function auditChannels(channels: Channels, { audit, onFailure }: AuditedChannelsParts): Channels {
  /** Null when there is nothing to record. */
  function entryOf(found: FoundChannel, identity: Principal, action: AuditAction): AuditEntry | null {
    const { session, patient } = found.params;
    if (identity.kind === 'device' || (session === undefined && patient === undefined)) return null;
    const { kind, role, subject, orgId } = identity;
    return {
      orgId,
      actor: { kind, role, subject },
      action,
      route: found.definition.name,
      requestId: null,
      patientId: patient ?? null,
      resource: session === undefined ? null : { kind: 'session', id: session },
      status: null,
      address: null,
    };
  }

  async function record(entry: AuditEntry): Promise<Result<null, WireError>> {
    try {
      await audit.record(entry);
      return ok(null);
    } catch (cause) {
      return fail(wireErrorOf(cause, onFailure));
    }
  }

  /** Does it once it is recorded, and records how it ended. */
  async function change<T>(
    entry: AuditEntry | null,
    act: () => Promise<Result<T, WireError>>,
  ): Promise<Result<T, WireError>> {
    if (entry === null) return act();
    const recorded = await record(entry);
    if (!recorded.ok) return recorded;
    const outcome = await act();
    audit.record({ ...entry, status: statusOf(outcome) }).catch(onFailure);
    return outcome;
  }

  return {
    ...channels,
    async join(found, identity) {
      const entry = entryOf(found, identity, 'channel.subscribe');
      if (entry === null) return channels.join(found, identity);
      const recorded = await record({ ...entry, status: 200 });
      return recorded.ok ? channels.join(found, identity) : recorded;
    },
    async history(found, identity, query) {
      const page = await channels.history(found, identity, query);
      const entry = entryOf(found, identity, 'channel.history');
      if (entry === null) return page;
      const recorded = await record({ ...entry, status: statusOf(page) });
      return recorded.ok ? page : recorded;
    },
    publish: (found, identity, message) =>
      change(entryOf(found, identity, 'channel.publish'), () => channels.publish(found, identity, message)),
    request: (found, identity, request) =>
      change(entryOf(found, identity, 'channel.request'), () => channels.request(found, identity, request)),
  };
}

/** What the same outcome is over HTTP, as far as an auditor asks: done, not let in, not there, or something else. */
function statusOf(outcome: Result<unknown, WireError>): number {
  if (outcome.ok) return 200;
  if (outcome.error.code === 'forbidden') return 403;
  return outcome.error.code === 'not-found' ? 404 : 400;
}
