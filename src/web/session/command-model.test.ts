import { expect, test } from 'vitest';

import { commandsOf, describeCommand, isOpen, type CommandMessage } from '#web/session/command-model.ts';

const about = { channel: 'device/1/commands', offset: 1, by: null, skipped: 0 };
const requested = (id: string, timeUs: number): CommandMessage => ({
  ...about,
  event: 'requested',
  data: { id, command: 'cue', expiresAtUs: timeUs + 10 },
  timeUs,
});
const then = (
  event: 'delivered' | 'completed' | 'refused' | 'expired',
  id: string,
  message?: string,
): CommandMessage => ({
  ...about,
  event,
  data: { id, ...(message === undefined ? {} : { message }) },
  timeUs: 0,
});

const shown = (messages: readonly CommandMessage[], nowUs: number): string[] =>
  commandsOf(messages, nowUs).map(describeCommand);

test('a command is one line that says how far it is, the newest first', () => {
  expect(
    shown(
      [
        requested('a', 100),
        then('delivered', 'a'),
        requested('b', 101),
        then('completed', 'a', 'felt'),
        requested('c', 102),
        then('delivered', 'c'),
        requested('d', 103),
        then('refused', 'd', 'no motor'),
      ],
      105,
    ),
  ).toEqual([
    'Cue: the device did not do it (no motor)',
    'Cue: the device has it',
    'Cue: on its way to the device',
    'Cue: done (felt)',
  ]);
});

test('what had its time and no end is over, also when nobody says so', () => {
  const messages = [
    requested('a', 100),
    then('delivered', 'a'),
    requested('b', 108),
    then('expired', 'gone'),
  ];
  expect(shown(messages, 110)).toEqual(['Cue: on its way to the device', 'Cue: the device has it']);
  expect(shown(messages, 111)).toEqual(['Cue: on its way to the device', 'Cue: no answer in time']);
  expect(commandsOf(messages, 111).map(isOpen)).toEqual([true, false]);
  expect(shown([requested('a', 100), then('completed', 'a')], 1_000)).toEqual(['Cue: done']);
});
