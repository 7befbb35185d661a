/** Owns what becomes of commands, as the page shows it: one line each, the newest first. */

import type { ChannelMessage } from '#sdk/live-subscribers.ts';

/** The messages of `device/{device}/commands` (docs/commands-and-chat.md). */
export type CommandMessage =
  | ChannelMessage<
      'requested',
      { readonly id: string; readonly command: string; readonly expiresAtUs: number }
    >
  | ChannelMessage<
      'delivered' | 'completed' | 'refused' | 'expired',
      { readonly id: string; readonly message?: string }
    >;

export type CommandState = 'requested' | 'delivered' | 'completed' | 'refused' | 'expired';

export interface ShownCommand {
  readonly id: string;
  readonly command: string;
  readonly state: CommandState;
  /** What the device said. */
  readonly message: string | null;
  readonly timeUs: number;
  readonly expiresAtUs: number;
}

export function commandsOf(messages: readonly CommandMessage[], nowUs: number): readonly ShownCommand[] {
  const commands = new Map<string, ShownCommand>();
  for (const { event, data, timeUs } of messages) {
    if (event === 'requested') {
      const { id, command, expiresAtUs } = data;
      commands.set(id, { id, command, state: 'requested', message: null, timeUs, expiresAtUs });
      continue;
    }
    const known = commands.get(data.id);
    if (known !== undefined)
      commands.set(data.id, { ...known, state: event, message: data.message ?? known.message });
  }
  // Whoever would have told may be gone: the time tells it too.
  return [...commands.values()]
    .map((command) =>
      isOpen(command) && command.expiresAtUs < nowUs ? { ...command, state: 'expired' as const } : command,
    )
    .toReversed();
}

export function isOpen({ state }: Pick<ShownCommand, 'state'>): boolean {
  return state === 'requested' || state === 'delivered';
}

const words: Readonly<Record<CommandState, string>> = {
  requested: 'on its way to the device',
  delivered: 'the device has it',
  completed: 'done',
  refused: 'the device did not do it',
  expired: 'no answer in time',
};

/** `Cue: done (felt)`. */
export function describeCommand({ command, state, message }: ShownCommand): string {
  const name = command[0]!.toUpperCase() + command.slice(1);
  return `${name}: ${words[state]}${message === null ? '' : ` (${message})`}`;
}
