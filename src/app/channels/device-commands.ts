/**
 * Owns the definition of commands to one device: what was asked, what the device has, and how it ended. `requested` is the
 * beginning of a command and one of `completed`, `refused`, `expired` its end, of which there is exactly one, whichever
 * instance comes first: all three are published under one key (`outcomeKey`). Bounds: `commandLimits`.
 */

import { Type, type Static } from 'typebox';

import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { defineChannel, type HandlerContext, type RuleContext } from '#contract/channel-definition.ts';
import { may } from '#contract/permissions.ts';
import type { ChannelOperation } from '#contract/principal.ts';
import { Id, watches } from '#app/channels/channel-rules.ts';

const strict = { additionalProperties: false } as const;

export const commandLimits = {
  /** A person waits for a cue; beyond ten minutes nobody means it any more. */
  expiresMaxMs: 600_000,
  expiresMinMs: 1_000,
  /** Long enough for a device that reconnects after a server's restart. */
  expiresDefaultMs: 30_000,
  /** Parameters as JSON: what the device's message holds (docs/protocol.md, `command`). */
  paramsCharacters: 4_096,
} as const;

const CommandName = Type.Union([Type.Literal('start'), Type.Literal('stop'), Type.Literal('cue')], {
  description: 'start or stop recording, or a cue that the wearer feels',
});
const Params = Type.Record(
  Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9_]{0,63}$' }),
  Type.Union([Type.Number(), Type.Boolean(), Type.String({ maxLength: 256 })]),
  { maxProperties: 16 },
);
const Message = Type.Optional(Type.String({ maxLength: 1024, description: 'of the device, for people' }));

const Request = Type.Object(
  {
    command: CommandName,
    params: Type.Optional(Params),
    /** How long somebody waits for it. */
    expiresMs: Type.Optional(
      Type.Integer({
        minimum: commandLimits.expiresMinMs,
        maximum: commandLimits.expiresMaxMs,
        default: commandLimits.expiresDefaultMs,
      }),
    ),
    /** Of the command, when its sender wants to know it beforehand; asked for again, it is the same command. */
    id: Type.Optional(Id),
  },
  strict,
);
const Requested = Type.Object(
  { id: Id, command: CommandName, params: Type.Optional(Params), expiresAtUs: Type.Integer() },
  strict,
);
export type Requested = Static<typeof Requested>;

const params = { device: Id };
const out = {
  requested: Requested,
  /** The device has it. */
  delivered: Type.Object({ id: Id }, strict),
  /** The device carried it out. */
  completed: Type.Object({ id: Id, message: Message }, strict),
  /** The device did not carry it out. */
  refused: Type.Object({ id: Id, message: Message }, strict),
  /** No answer came in time. A device that had it, or was about to, may have carried it out. */
  expired: Type.Object({ id: Id }, strict),
};

/** The key of whatever ends a command: the first end counts. */
export const outcomeKey = (id: string): string => `outcome ${id}`;

export type DeviceCommands = ReturnType<typeof createDeviceCommands>;

/** Told of every command as it is asked for, so that somebody ends it in time. */
export type OnRequested = (
  of: { readonly orgId: string; readonly device: string },
  command: Requested,
) => void;

export function createDeviceCommands(onRequested: OnRequested) {
  const request = async (
    { publish, services, identity, params: { device } }: HandlerContext<typeof params, typeof out>,
    { command, params: given, expiresMs = commandLimits.expiresDefaultMs, id }: Static<typeof Request>,
  ): Promise<void> => {
    if (
      command !== 'cue' &&
      identity.kind !== 'server' &&
      identity.kind !== 'token' &&
      !may(identity, 'device.command')
    )
      throw new AppError(
        'forbidden',
        'to start and to stop a recording takes the permission device.command',
        {
          field: '/data/command',
        },
      );
    if (given !== undefined && JSON.stringify(given).length > commandLimits.paramsCharacters)
      throw new AppError('invalid-field', 'the parameters are too large for a command', {
        field: '/data/params',
      });
    const requested: Requested = {
      id: id ?? uuidv7(services.clock),
      command,
      ...(given === undefined ? {} : { params: given }),
      expiresAtUs: services.clock.nowUs() + expiresMs * 1000,
    };
    const published = await publish(
      'requested',
      requested,
      id === undefined ? {} : { key: `requested ${id}` },
    );
    // Sent again under its Idempotency-Key it has an id already, which is not the one that was just drawn.
    if (id === undefined && published?.isDuplicate === true) return;
    onRequested({ orgId: identity.orgId, device }, requested);
  };

  return defineChannel({
    name: 'device/{device}/commands',
    summary: 'Commands to a device, and what became of them',
    params,
    lossClass: 'event',
    durable: true,
    out,
    in: { request: Request },
    allow: mayDo,
    message: { request },
  });
}

/** Those of the organisation see the commands of its devices, a device its own. A foreign token commands only where it says so. */
function mayDo(
  { identity, params: { device }, services }: RuleContext<typeof params>,
  operation: ChannelOperation,
): boolean | Promise<boolean> {
  if (operation === 'presence') return false;
  if (identity.kind === 'device') return operation !== 'publish' && identity.subject === device;
  if (!watches(identity) && !may(identity, 'device.command')) return false;
  if (operation === 'publish' && identity.kind === 'token' && identity.grants === null) return false;
  return services.deviceExists(identity.orgId, device);
}
