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
import type { Action } from '#contract/permissions.ts';
import type { Scope } from '#identity/access.ts';
import { newKey } from '#identity/keys.ts';
import { runAsOrg, type RolePool, type Statement } from '#store/pools.ts';

export interface Accounts {
  createDevice(orgId: string, name: string): Promise<DeviceCreated>;
  /** Newest first. `cursor`: `next` of the page before. Returns null when it is not one. */
  listDevices(orgId: string, page: { cursor: string | null; limit: number }): Promise<DevicePage | null>;
  /** False when the organisation has no such device. */
  renameDevice(orgId: string, deviceId: string, name: string): Promise<boolean>;
  /** A new key; the one before goes on for `graceSeconds`, and any before that ends. Null when there is no such device, or it was revoked. */
  rotateDeviceKey(orgId: string, deviceId: string, graceSeconds: number): Promise<DeviceCreated | null>;
  /** False when the organisation has no such device. Idempotent; what the device sent stays. */
  revokeDevice(orgId: string, deviceId: string): Promise<boolean>;
  createAccessKey(
    orgId: string,
    key: {
      name: string;
      scope: Scope;
      /** With scope `custom`, and only then. */
      permissions?: readonly Action[];
      expiresAt?: Date;
      /** `KIND:ID` of whoever makes it. */
      createdBy?: string;
    },
  ): Promise<AccessKeyCreated>;
  /** Newest first. `cursor`: `next` of the page before. Returns null when it is not one. */
  listAccessKeys(
    orgId: string,
    page: { cursor: string | null; limit: number },
  ): Promise<AccessKeyPage | null>;
  /** Its open invitations end too. False when the organisation has no such key. Idempotent. */
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
    async renameDevice(orgId, deviceId, name) {
      const { rowCount } = await change(orgId, {
        text: 'update kymo.device set name = $2 where id = $1',
        values: [deviceId, plainName(name)],
      });
      return rowCount === 1;
    },
    async rotateDeviceKey(orgId, deviceId, graceSeconds) {
      const { key, hash } = newKey('device');
      const { rows } = await change(orgId, {
        text: `update kymo.device set key_hash = $2, rotated_at = now(),
            previous_key_hash = case when $3 > 0 then key_hash end,
            previous_key_until = case when $3 > 0 then now() + make_interval(secs => $3) end
          where id = $1 and revoked_at is null returning name`,
        values: [deviceId, hash, graceSeconds],
      });
      const row = rows[0] as { name: string } | undefined;
      return row === undefined ? null : { id: deviceId, name: row.name, key };
    },
    async revokeDevice(orgId, deviceId) {
      const { rowCount } = await change(orgId, {
        text: 'update kymo.device set revoked_at = coalesce(revoked_at, now()) where id = $1',
        values: [deviceId],
      });
      return rowCount === 1;
    },
    async createAccessKey(orgId, { name, scope, permissions, expiresAt, createdBy = '' }) {
      if ((scope === 'custom') !== (permissions !== undefined))
        throw new AppError('invalid-field', 'scope custom, and no other, lists permissions', {
          field: '/permissions',
        });
      const id = uuidv7(clock);
      const { key, hash } = newKey('access');
      await change(orgId, {
        text: `insert into kymo.access_key (id, org_id, name, key_hash, scope, permissions, expires_at, created_by)
          values ($1, $2, $3, $4, $5, $6, $7, $8)`,
        values: [id, orgId, plainName(name), hash, scope, permissions ?? null, expiresAt ?? null, createdBy],
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
      const [result] = await runAsOrg(appPool, orgId, {
        statements: [
          {
            text: 'update kymo.access_key set revoked_at = coalesce(revoked_at, now()) where id = $1',
            values: [keyId],
          },
          {
            // Whoever has the key may have the tokens of what it invited too.
            text: `update kymo.invitation set revoked_at = now()
              where invited_by in ('access:' || $1::text, 'server:' || $1::text)
                and accepted_at is null and revoked_at is null`,
            values: [keyId],
          },
        ],
        mode: 'change',
      });
      return result!.rowCount === 1;
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
  readonly rotated_at: Date | null;
  readonly previous_until: Date | null;
}

function summaryOf(row: DeviceRow): DeviceSummary {
  return {
    id: row.id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
    revokedAt: row.revoked_at?.toISOString() ?? null,
    lastSeenAt: row.last_seen_at?.toISOString() ?? null,
    rotatedAt: row.rotated_at?.toISOString() ?? null,
    previousKeyUntil: row.previous_until?.toISOString() ?? null,
  };
}

function pageStatement(after: string | null, limit: number): Statement {
  return {
    text: `select id, name, created_at, revoked_at, last_seen_at, rotated_at,
        case when previous_key_until > now() then previous_key_until end as previous_until from kymo.device
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
  readonly permissions: string[] | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
}

function keySummaryOf(row: KeyRow): AccessKeySummary {
  const { id, name, scope, permissions, created_at, expires_at, revoked_at } = row;
  return {
    id,
    name,
    scope,
    permissions,
    createdAt: created_at.toISOString(),
    expiresAt: expires_at?.toISOString() ?? null,
    revokedAt: revoked_at?.toISOString() ?? null,
  };
}

function keyPageStatement(after: string | null, limit: number): Statement {
  return {
    text: `select id, name, scope, permissions, created_at, expires_at, revoked_at from kymo.access_key
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
