/**
 * Owns what the devices of a session are asked: `start` or `stop`, one command a device and segment, appended to the channels of
 * their commands by the statement that decides it, so that all are asked or none, once, without another round trip. At most a
 * command for each placement of a session, or for each of its open streams.
 */

import type { Clock } from '#base/clock.ts';
import type { VisitAsked } from '#contract/visit.ts';
import { appendedOf, type AppendedRow } from '#store/channel-log.ts';

/** What a device is asked. Its outcome is told in the channel of its commands. */
export interface VisitCommand {
  readonly id: string;
  readonly command: 'start' | 'stop';
  readonly params: Readonly<Record<string, string>>;
}

export interface DeviceAsking {
  /** How long somebody waits for the device. */
  readonly expiresMs: number;
  /** A command (`payload`, its message) has been committed to the channel of the device's commands. */
  asked(
    of: { readonly orgId: string; readonly device: string },
    appended: ReturnType<typeof appendedOf>,
    payload: Uint8Array,
  ): void;
}

export function commandExpiryUs({ expiresMs }: DeviceAsking, clock: Clock): number {
  return clock.nowUs() + expiresMs * 1000;
}

/**
 * SQL of rows for `tellAsked`, one a command, made when it is read. `asked`: a query of org_id, device_id and params (json), in
 * the order of devices; `expiresAtUs`: a parameter. Its messages are those of app/channels/device-commands.ts.
 */
export function askedSql(command: VisitCommand['command'], asked: string, expiresAtUs: string): string {
  return `(select o.device_id, o.id, o.payload, a.*
    from (select q.org_id, q.device_id, q.id, convert_to('{"event":"requested","data":' || json_build_object('id', q.id,
                 'command', '${command}', 'params', q.params, 'expiresAtUs', ${expiresAtUs}::bigint) || '}', 'UTF8') as payload
            from (select w.*, gen_random_uuid() as id from (${asked}) w) q) o
   cross join lateral kymo.append_to_channel(o.org_id, 'device/' || o.device_id || '/commands', o.payload, null) a)`;
}

interface AskedRow extends AppendedRow {
  readonly device_id: string;
  readonly id: string;
  readonly payload: Buffer;
}

/** Once it has committed: tells of every command in `rows`, and returns what was asked. Rows without a device are of none. */
export function tellAsked(
  { asked }: DeviceAsking,
  orgId: string,
  rows: readonly unknown[],
): VisitAsked['asked'] {
  const commands = (rows as readonly (AskedRow | { readonly device_id: null })[]).filter(
    (row): row is AskedRow => row.device_id !== null,
  );
  for (const row of commands) asked({ orgId, device: row.device_id }, appendedOf([row]), row.payload);
  return commands.map(({ device_id: deviceId, id }) => ({ deviceId, command: id }));
}
