/**
 * Owns the way of commands from their channel to the connected device and of its answers back. The instance that a device
 * is connected to follows `device/{device}/commands` while it is, and sends what is open; a device that comes back, here
 * or elsewhere, is sent it again until it answers or the time is over. The channel's key makes the first end the only one.
 * Bounds: `deliveryLimits`.
 */

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Broker } from '#bus/broker.ts';
import { addressOf, channelName, type PublishTo } from '#contract/channel-definition.ts';
import type { PublicationBody } from '#contract/live-messages.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { CommandLine, CommandSource, DeviceCommand, Greeting } from '#ingest/gateway-output.ts';
import type { Publication } from '#protocol/publication.ts';
import { followChannel } from '#app/channel-follower.ts';
import {
  commandLimits,
  outcomeKey,
  type DeviceCommands,
  type OnRequested,
  type Requested,
} from '#app/channels/device-commands.ts';
import { notifications } from '#app/channels/notifications.ts';

export const deliveryLimits = {
  /** Commands of one device that wait for their end: what its SDK remembers (sdk/device-dialogue.ts). */
  open: 64,
  /** Ends that are being told: their publishing repeats until the store takes them. */
  ends: 4_096,
  /** Timers of commands that were asked for here: 300 kB. Beyond, only the instance of the device tells the expiry. */
  timers: 1_024,
  /**
   * Between looks at a channel, and at least so much for each connected device: 17 queries a second at most. Only an
   * instance that dies between commit and announcement makes them necessary, and who asked it asks again.
   */
  lookMs: 30_000,
  lookEachMs: 60,
  retryMs: 1_000,
} as const;

export interface DeliveryOptions {
  /** Of the server's channels; made after this, since their handlers call it. */
  readonly channels: () => {
    readonly publishAs: PublishTo;
    readonly commands: DeviceCommands;
    readonly broker: Broker;
  };
  /** The connection of a device ended, and nobody meant it to. */
  readonly lost: (device: Greeting) => void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DeliveryCounters {
  readonly sent: number;
  readonly completed: number;
  readonly refused: number;
  readonly expired: number;
  /** Ends that could not be told: too many at once, or not before long after. The device is asked again. */
  readonly dropped: number;
}

export interface CommandDelivery extends CommandSource {
  readonly requested: OnRequested;
  readonly counters: DeliveryCounters;
  /** Devices whose commands are followed here. */
  readonly followed: number;
  /** Ends what follows and waits. */
  close(): void;
}

type Device = { readonly orgId: string; readonly device: string };
type End = { readonly event: 'completed' | 'refused' | 'expired'; readonly message?: string };

/** A command that has not ended. */
interface Open {
  readonly requested: Requested;
  isSent: boolean;
  isDelivered: boolean;
  cancelExpiry(): void;
}

export function createCommandDelivery(options: DeliveryOptions): CommandDelivery {
  const { clock, log } = options;
  const counters = { sent: 0, completed: 0, refused: 0, expired: 0, dropped: 0 };
  const lines = new Set<CommandLine>();
  const timers = new Set<() => void>();
  let ending = 0;
  let isClosed = false;

  /** True when it stands in the channel, by this or an earlier call. */
  const publishEnd = async (
    of: Device,
    { id, command }: Requested,
    { event, message }: End,
  ): Promise<void> => {
    const { publishAs, commands, broker } = options.channels();
    const target = { orgId: of.orgId, params: { device: of.device } };
    const said = message === undefined ? {} : { message };
    const data = event === 'expired' ? { id } : { id, ...said };
    const position = await publishAs(commands, target, { event, data, key: outcomeKey(id) });
    if (position === null || event === 'completed') return;
    // Another end may have come first.
    const address = addressOf(commands, of.orgId, channelName(commands, target.params));
    const page = await broker.history(address, { after: position.offset - 1, limit: 1 });
    if (bodyOf(page.publications[0])?.event !== event) return;
    const told = { device: of.device, id, command };
    const note =
      event === 'expired'
        ? ({ event: 'command-expired', data: told } as const)
        : ({ event: 'command-refused', data: { ...told, ...said } } as const);
    await publishAs(notifications, { orgId: of.orgId, params: {} }, { ...note, key: `${event} ${id}` });
  };

  /** Tells the end of a command, for as long as the store refuses it and somebody may still wait. */
  const end = async (of: Device, requested: Requested, how: End): Promise<void> => {
    if (ending >= deliveryLimits.ends) return void counters.dropped++;
    ending++;
    const untilUs = Math.max(clock.nowUs(), requested.expiresAtUs) + commandLimits.expiresMaxMs * 1000;
    try {
      for (;;) {
        try {
          await publishEnd(of, requested, how);
          counters[how.event]++;
          return;
        } catch (error) {
          const isTemporary = error instanceof AppError && error.temporary;
          if (isClosed) return;
          log.warn('the end of a command could not be told', { id: requested.id, error: messageOf(error) });
          if (!isTemporary || clock.nowUs() > untilUs) return void counters.dropped++;
          await pause(clock, deliveryLimits.retryMs);
        }
      }
    } finally {
      ending--;
    }
  };

  const expireAt = (requested: Requested, expire: () => void): (() => void) =>
    clock.after(Math.max(0, requested.expiresAtUs - clock.nowUs()) / 1000, expire);

  return {
    counters,
    get followed() {
      return lines.size;
    },
    requested(of, requested) {
      if (timers.size >= deliveryLimits.timers || isClosed) return;
      const cancel = expireAt(requested, () => {
        timers.delete(cancel);
        void end(of, requested, { event: 'expired' });
      });
      timers.add(cancel);
    },
    connected(device, send) {
      const { identity } = device;
      const line = openLine({
        ...options,
        identity,
        lookMs: () => Math.max(deliveryLimits.lookMs, lines.size * deliveryLimits.lookEachMs),
        send(command) {
          counters.sent++;
          send(command);
        },
        end: (requested, how) =>
          void end({ orgId: identity.orgId, device: identity.deviceId }, requested, how),
        expireAt,
        stopped(isLost) {
          lines.delete(line);
          if (isLost && !isClosed) options.lost(device);
        },
      });
      lines.add(line);
      return line;
    },
    close() {
      isClosed = true;
      for (const cancel of timers) cancel();
      timers.clear();
      for (const line of lines) line.stop(false);
    },
  };
}

interface LineOptions extends DeliveryOptions {
  readonly identity: DeviceIdentity;
  readonly lookMs: () => number;
  readonly send: (command: DeviceCommand) => void;
  readonly end: (requested: Requested, how: End) => void;
  readonly expireAt: (requested: Requested, expire: () => void) => () => void;
  readonly stopped: (isLost: boolean) => void;
}

/** The commands of one connected device. */
function openLine(options: LineOptions): CommandLine {
  const { identity, clock, log } = options;
  const { commands, broker, publishAs } = options.channels();
  const params = { device: identity.deviceId };
  const open = new Map<string, Open>();
  let isCaughtUp = false;

  const send = (command: Open): void => {
    const { id, command: name, params: given } = command.requested;
    command.isSent = true;
    options.send({ id, name, ...(given === undefined ? {} : { argument: JSON.stringify(given) }) });
  };
  const forget = (id: string): void => {
    open.get(id)?.cancelExpiry();
    open.delete(id);
  };
  const begin = (requested: Requested): void => {
    if (open.has(requested.id)) return;
    if (open.size >= deliveryLimits.open)
      return options.end(requested, { event: 'refused', message: 'too many commands wait for this device' });
    const command: Open = {
      requested,
      isSent: false,
      isDelivered: false,
      cancelExpiry: options.expireAt(requested, () => {
        // Once the channel says so it is forgotten; until then an answer may still come first.
        options.end(requested, { event: 'expired' });
      }),
    };
    open.set(requested.id, command);
    if (isCaughtUp) send(command);
  };
  const message = (publication: Publication): void => {
    const body = bodyOf(publication);
    if (body === null) return;
    const { id } = body.data as { readonly id: string };
    if (body.event === 'requested') begin(body.data as Requested);
    else if (body.event === 'delivered') {
      const command = open.get(id);
      if (command !== undefined) command.isDelivered = true;
    } else forget(id);
  };

  const stopFollowing = followChannel({
    broker,
    address: addressOf(commands, identity.orgId, channelName(commands, params)),
    clock,
    log,
    // Whatever is older has expired.
    pastUs: commandLimits.expiresMaxMs * 1000,
    lookMs: options.lookMs,
    message,
    caughtUp() {
      isCaughtUp = true;
      const nowUs = clock.nowUs();
      for (const command of open.values())
        if (!command.isSent && command.requested.expiresAtUs > nowUs) send(command);
    },
    reset() {
      isCaughtUp = false;
      for (const id of open.keys()) forget(id);
    },
  });
  return {
    received(id) {
      const command = open.get(id);
      if (command === undefined || command.isDelivered) return;
      command.isDelivered = true;
      const target = { orgId: identity.orgId, params };
      publishAs(commands, target, { event: 'delivered', data: { id }, key: `delivered ${id}` }).catch(
        (error: unknown) => log.warn('a delivery could not be told', { id, error: messageOf(error) }),
      );
    },
    answered({ id, ok, message: said }) {
      const command = open.get(id);
      if (command === undefined) return;
      const spoken = said === undefined ? {} : { message: said };
      options.end(command.requested, { event: ok ? 'completed' : 'refused', ...spoken });
    },
    stop(isLost) {
      stopFollowing();
      for (const id of open.keys()) forget(id);
      options.stopped(isLost);
    },
  };
}

function bodyOf(publication: Publication | undefined): PublicationBody | null {
  if (publication === undefined) return null;
  return JSON.parse(new TextDecoder().decode(publication.payload)) as PublicationBody;
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
