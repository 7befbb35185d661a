/**
 * Owns the making, listing and revoking of organisations, devices and access keys. Keys are returned once and kept as
 * hashes. An organisation is made as the owner, at set-up; everything else under row-level security.
 */

import type pg from 'pg';

import type { Clock } from '#base/clock.ts';
import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type {
  AccessKeyCreated,
  AccessKeyPage,
  AccessKeySummary,
  DeviceCreated,
  DevicePage,
  DeviceSummary,
} from '#contract/rest.ts';
import type { Scope } from '#identity/access.ts';
import { newKey } from '#identity/keys.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface Accounts {
  createDevice(orgId: string, name: string): Promise<DeviceCreated>;
  /** Newest first. `cursor`: `next` of the page before. Returns null when it is not one. */
  listDevices(orgId: string, page: { cursor: string | null; limit: number }): Promise<DevicePage | null>;
  /** False when the organisation has no such device. Idempotent; what the device sent stays. */
  revokeDevice(orgId: string, deviceId: string): Promise<boolean>;
  createAccessKey(
    orgId: string,
    key: { name: string; scope: Scope; expiresAt?: Date },
  ): Promise<AccessKeyCreated>;
  /** Newest first. `cursor`: `next` of the page before. Returns null when it is not one. */
  listAccessKeys(
    orgId: string,
    page: { cursor: string | null; limit: number },
  ): Promise<AccessKeyPage | null>;
  /** False when the organisation has no such key. Idempotent. */
  revokeAccessKey(orgId: string, keyId: string): Promise<boolean>;
}

/** Makes an organisation with the owner's connection; returns its id. */
export async function createOrganisation(
  owner: Pick<pg.Pool, 'query'>,
  organisation: { name: string; clock: Clock },
): Promise<string> {
  const id = uuidv7(organisation.clock);
  await owner.query('insert into kymo.organisation (id, name) values ($1, $2)', [id, organisation.name]);
  return id;
}

export function createAccounts(options: { appPool: RolePool; clock: Clock }): Accounts {
  const { appPool, clock } = options;
  const change = async (orgId: string, statement: Statement): Promise<pg.QueryResult> => {
    const results = await runAsOrg(appPool, orgId, { statements: [statement], mode: 'change' });
    return results[0]!;
  };
  return {
    async createDevice(orgId, name) {
      const id = uuidv7(clock);
      const { key, hash } = newKey('device');
      await change(orgId, {
        text: 'insert into kymo.device (id, org_id, name, key_hash) values ($1, $2, $3, $4)',
        values: [id, orgId, plainName(name), hash],
      });
      return { id, name, key };
    },
    async listDevices(orgId, { cursor: after, limit }) {
      // Devices are never deleted, so the id of the last one shown tells where to go on.
      if (after !== null && !idPattern.test(after)) return null;
      const [result] = await runAsOrg(appPool, orgId, {
        statements: [pageStatement(after, limit)],
        mode: 'snapshot',
      });
      const rows = (result?.rows ?? []) as DeviceRow[];
      const shown = rows.slice(0, limit);
      return {
        devices: shown.map(summaryOf),
        next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null,
      };
    },
    async revokeDevice(orgId, deviceId) {
      const { rowCount } = await change(orgId, {
        text: 'update kymo.device set revoked_at = coalesce(revoked_at, now()) where id = $1',
        values: [deviceId],
      });
      return rowCount === 1;
    },
    async createAccessKey(orgId, { name, scope, expiresAt }) {
      const id = uuidv7(clock);
      const { key, hash } = newKey('access');
      await change(orgId, {
        text: `insert into kymo.access_key (id, org_id, name, key_hash, scope, expires_at)
          values ($1, $2, $3, $4, $5, $6)`,
        values: [id, orgId, plainName(name), hash, scope, expiresAt ?? null],
      });
      return { id, key };
    },
    async listAccessKeys(orgId, { cursor: after, limit }) {
      // Keys are never deleted either.
      if (after !== null && !idPattern.test(after)) return null;
      const [result] = await runAsOrg(appPool, orgId, {
        statements: [keyPageStatement(after, limit)],
        mode: 'snapshot',
      });
      const rows = (result?.rows ?? []) as KeyRow[];
      const shown = rows.slice(0, limit);
      return { keys: shown.map(keySummaryOf), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
    },
    async revokeAccessKey(orgId, keyId) {
      const { rowCount } = await change(orgId, {
        text: 'update kymo.access_key set revoked_at = coalesce(revoked_at, now()) where id = $1',
        values: [keyId],
      });
      return rowCount === 1;
    },
  };
}

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface DeviceRow {
  readonly id: string;
  readonly name: string;
  readonly created_at: Date;
  readonly revoked_at: Date | null;
  readonly last_seen_at: Date | null;
}

function summaryOf(row: DeviceRow): DeviceSummary {
  return {
    id: row.id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
    revokedAt: row.revoked_at?.toISOString() ?? null,
    lastSeenAt: row.last_seen_at?.toISOString() ?? null,
  };
}

function pageStatement(after: string | null, limit: number): Statement {
  return {
    text: `select id, name, created_at, revoked_at, last_seen_at from kymo.device
      where $1::uuid is null
         or (created_at, id) < (select created_at, id from kymo.device where id = $1::uuid)
      order by created_at desc, id desc limit $2`,
    values: [after, limit + 1],
  };
}

interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly scope: Scope;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
}

function keySummaryOf({ id, name, scope, created_at, expires_at, revoked_at }: KeyRow): AccessKeySummary {
  return {
    id,
    name,
    scope,
    createdAt: created_at.toISOString(),
    expiresAt: expires_at?.toISOString() ?? null,
    revokedAt: revoked_at?.toISOString() ?? null,
  };
}

function keyPageStatement(after: string | null, limit: number): Statement {
  return {
    text: `select id, name, scope, created_at, expires_at, revoked_at from kymo.access_key
      where $1::uuid is null
         or (created_at, id) < (select created_at, id from kymo.access_key where id = $1::uuid)
      order by created_at desc, id desc limit $2`,
    values: [after, limit + 1],
  };
}

// PostgreSQL's text holds neither U+0000 nor half a surrogate pair.
function plainName(name: string): string {
  if (!name.isWellFormed() || name.includes('\u0000') || name.trim() === '')
    throw new AppError('invalid-field', 'a name has at least one visible character', { field: '/name' });
  return name;
}
