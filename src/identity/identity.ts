/**
 * Owns the answer to "who is this?" for device keys, access keys and tickets: it joins the keyrings to the identity
 * tables. Bounds are those of its parts: keyring.ts, tickets.ts, failed-attempts.ts.
 */

import type { Clock } from '#base/clock.ts';
import type { Principal } from '#contract/principal.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { RolePool, Statement } from '#store/pools.ts';
import { permissionsOfKey, type AccessIdentity, type Scope } from '#identity/access.ts';
import { createFailedAttempts } from '#identity/failed-attempts.ts';
import { createKeyring, type IdentityCounters, type Known } from '#identity/keyring.ts';
import type { TicketShelf } from '#identity/ticket-shelf.ts';
import { createTickets, type Tickets } from '#identity/tickets.ts';

export interface DeviceGreeting {
  /** Grows with every call for this device, over all processes. */
  readonly generation: number;
  /** The database's; another after a restore or a promotion. */
  readonly incarnation: string;
}

/** Methods may throw AppError: `store-unavailable`, `overloaded`, or `limit-exceeded` (too many failures); all temporary. */
export interface Identity extends Tickets {
  /** Null when the key is unknown, malformed or revoked. `address`: whose failures are counted. */
  authenticateDevice(key: string, address?: string | null): Promise<DeviceIdentity | null>;
  /** Null when the key is unknown, malformed, revoked or expired. */
  authenticateAccess(key: string, address?: string | null): Promise<AccessIdentity | null>;
  /** Null when the device was revoked meanwhile. */
  nextGeneration(deviceId: string): Promise<DeviceGreeting | null>;
  /**
   * The database's incarnation now. Asked again and again, also a database whose files were put back is found out. `gone`:
   * the one under which commits were seen that are missing now; if it is that still, another is drawn.
   */
  incarnation(gone?: string): Promise<string>;
  /** Makes this process forget what it knows of a device or access key that was just revoked. */
  forget(id: string): void;
  readonly counters: IdentityCounters;
}

export function createIdentity(options: {
  authPool: RolePool;
  clock: Clock;
  /** Where tickets lie; by default here, where no other process finds them. */
  shelf?: TicketShelf;
  /** Whose tickets are worth nothing any more (revocations.ts). */
  isRevoked?: (principal: Principal) => boolean;
}): Identity {
  const { authPool, clock } = options;
  const failed = createFailedAttempts(clock);
  const tickets = createTickets(clock, options.shelf, options.isRevoked);
  const counters: IdentityCounters = { lookups: 0, failures: 0, refused: 0 };
  /** Where the database's log ended when it was last asked for its incarnation. */
  let logPosition: string | null = null;
  const shared = { clock, failed, counters };
  const devices = createKeyring<DeviceIdentity>({
    ...shared,
    kind: 'device',
    lookUp: lookUpDevice,
    idOf: (device) => device.deviceId,
  });
  const access = createKeyring<AccessIdentity>({
    ...shared,
    kind: 'access',
    lookUp: lookUpAccess,
    idOf: (key) => key.keyId,
  });

  async function lookUpDevice(hash: Buffer): Promise<Known<DeviceIdentity>> {
    const [result] = await authPool.run([deviceStatement(hash)]);
    const row = result?.rows[0] as { id: string; org_id: string; until: Date | null } | undefined;
    const identity = row === undefined ? null : { deviceId: row.id, orgId: row.org_id };
    return { identity, expiresAtUs: (row?.until?.getTime() ?? Number.POSITIVE_INFINITY) * 1000 };
  }

  async function lookUpAccess(hash: Buffer): Promise<Known<AccessIdentity>> {
    const [result] = await authPool.run([accessStatement(hash)]);
    const row = result?.rows[0] as AccessRow | undefined;
    if (row === undefined) return { identity: null, expiresAtUs: 0 };
    const expiresAtUs = row.expires_at === null ? Number.POSITIVE_INFINITY : row.expires_at.getTime() * 1000;
    const permissions = permissionsOfKey(row.scope, row.permissions);
    const identity = { orgId: row.org_id, keyId: row.id, scope: row.scope, permissions, expiresAtUs };
    return { identity, expiresAtUs };
  }

  return {
    ...tickets,
    counters,
    authenticateDevice: (key, address = null) => devices.find(key, address),
    authenticateAccess: (key, address = null) => access.find(key, address),
    async nextGeneration(deviceId) {
      const [result] = await authPool.run([generationStatement(deviceId)]);
      return (result?.rows[0] as DeviceGreeting | undefined) ?? null;
    },
    async incarnation(gone) {
      if (gone !== undefined) await authPool.run([renewalStatement(gone)]);
      const [result] = await authPool.run([incarnationStatement(logPosition)]);
      const { incarnation, position } = result!.rows[0] as { incarnation: string; position: string | null };
      logPosition = position;
      return incarnation;
    },
    forget(id) {
      devices.forget(id);
      access.forget(id);
      tickets.forgetTickets(id);
    },
  };
}

interface AccessRow {
  readonly id: string;
  readonly org_id: string;
  readonly scope: Scope;
  readonly permissions: readonly string[] | null;
  readonly expires_at: Date | null;
}

// `last_seen_at` is for people: written at most once a minute, so that reading a key stays cheap. The key before the last
// rotation is as good as the new one until its grace time is over.
function deviceStatement(hash: Buffer): Statement {
  return {
    name: 'device-by-key',
    text: `with found as (
        select id, org_id, null::timestamptz as until from kymo.device where key_hash = $1 and revoked_at is null
        union all
        select id, org_id, previous_key_until from kymo.device
         where previous_key_hash = $1 and previous_key_until > now() and revoked_at is null),
      seen as (
        update kymo.device d set last_seen_at = now() from found
         where d.id = found.id and (d.last_seen_at is null or d.last_seen_at < now() - interval '1 minute'))
      select id, org_id, until from found limit 1`,
    values: [hash],
  };
}

function accessStatement(hash: Buffer): Statement {
  return {
    name: 'access-by-key',
    text: `select id, org_id, scope, permissions, expires_at from kymo.access_key
      where key_hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())`,
    values: [hash],
  };
}

/**
 * Never below the time in milliseconds: after a failover that lost the newest commits, or a restore, counting alone would
 * give a generation again that a connection of the lost time line has, and its frames may still wait in a server.
 */
function generationStatement(deviceId: string): Statement {
  return {
    name: 'next-generation',
    text: `update kymo.device set last_seen_at = now(),
          generation = greatest(generation + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint)
      where id = $1 and revoked_at is null
      returning generation, kymo.incarnation() as incarnation`,
    values: [deviceId],
  };
}

function renewalStatement(known: string): Statement {
  return { name: 'renew-incarnation', text: 'select kymo.renew_incarnation($1::uuid)', values: [known] };
}

function incarnationStatement(seen: string | null): Statement {
  return {
    name: 'incarnation',
    text: 'select kymo.incarnation($1::pg_lsn) as incarnation, kymo.log_position()::text as position',
    values: [seen],
  };
}
