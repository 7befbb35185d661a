/**
 * Owns the target `http-channels`: addresses, queries, last ids and bodies of streams, polls, history and publishing, as
 * anyone may send them, against the routes on the real engine and hub. Every request ends: with a body that is what it
 * says, or as a problem with a known code, never 500; and nobody stays behind.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';

import { Compile } from 'typebox/compile';

import { Problem } from '#contract/rest.ts';
import { decodeCursor, encodeCursor } from '#protocol/channel-cursor.ts';
import { errorCodes } from '#protocol/codes.ts';
import { createHub, type Hub } from '#live/hub.ts';
import { createChannelApi } from '#test/support/channel-api.ts';
import { readEvents } from '#test/support/raw-client.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { hostileNumber, hostileString, varyText } from '#test/fuzz/hostile-json.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes, type Target } from '#test/fuzz/target.ts';
import { createWatchedClock } from '#test/fuzz/watched-clock.ts';

export const channelTarget: Target = {
  name: 'http-channels',
  share: 0.3,
  about: 'addresses, queries, last ids and bodies of streams, polls, history and publishing over HTTP',
  generate: (chance) => Array.from({ length: 5 + chance.below(30) }, () => anyStep(chance)),
  run,
};

const names = ['room/one', 'room/private', 'gauge/a', 'pointer/a', 'room/*', '*/*', 'nothing/x', 'room', '*'];
const paths = [
  '/v1/poll',
  '/v1/events',
  ...['poll', 'events', 'messages'].map((face) => `/v1/channels/room/one/${face}`),
];
const problem = Compile(Problem);
/** An answer takes a few turns; a wait ends when its time has come. */
const TURNS = 60;

function anyStep(chance: Chance): Step {
  const draw = chance.below(20);
  if (draw < 6)
    return { do: 'publish', text: chance.is(0.8) ? body(chance) : varyText(body(chance), chance) };
  if (draw < 8) return { do: 'last id', text: chance.is(0.5) ? '' : cursorText(chance) };
  const path = chance.among(paths);
  const face = path.slice(path.lastIndexOf('/') + 1) as keyof typeof queries;
  const query = Array.from({ length: chance.below(4) }, () => parameter(chance, queries[face]));
  if (!path.includes('channels') && chance.is(0.95)) query.push(`channel=${channel(chance)}`);
  const url = `${path}?${[...new Map(query.map((one) => [one.split('=')[0], one])).values()].join('&')}`;
  return { do: 'get', text: chance.is(0.15) ? varyText(url, chance) : url };
}

const queries = {
  poll: ['cursor', 'last', 'wait', 'limit'],
  events: ['cursor', 'last', 'presence', 'ticket'],
  messages: ['after', 'before', 'limit'],
} as const;

function channel(chance: Chance): string {
  return chance.is(0.8)
    ? chance.among(['room/one', 'room/two', 'gauge/a', 'pointer/a', 'room/*'])
    : chance.among(names);
}

function parameter(chance: Chance, known: readonly string[]): string {
  const name = chance.is(0.97)
    ? chance.among(known)
    : encodeURIComponent(hostileString(chance).toWellFormed());
  return `${name}=${chance.is(0.85) ? fittingValue(chance, name) : anyValue(chance)}`;
}

function fittingValue(chance: Chance, name: string): string {
  if (name === 'cursor') return cursorText(chance);
  if (name === 'presence') return chance.among(['true', 'false']);
  return String(chance.below(name === 'wait' ? 31 : 257));
}

function anyValue(chance: Chance): string {
  return chance.among([
    () => String(hostileNumber(chance)),
    () => chance.among(['true', '', '[]', '%', '%00', '%f0', ...names]),
    () => encodeURIComponent(hostileString(chance).toWellFormed()),
  ])();
}

function cursorText(chance: Chance): string {
  const offset = Math.abs(Math.trunc(hostileNumber(chance))) || 0;
  const cursor = encodeCursor([
    [
      chance.among(names),
      { epoch: chance.among(['e', 'e1', 'zz']), offset: Number.isSafeInteger(offset) ? offset : 1 },
    ],
    ['gauge/a', { epoch: 'e', offset: chance.below(5) }],
  ]);
  const text = chance.is(0.2) ? `${cursor}.${hostileString(chance)}` : cursor;
  return chance.is(0.15) ? varyText(text, chance) : text;
}

function body(chance: Chance): string {
  return JSON.stringify({
    event: chance.is(0.8) ? 'said' : hostileString(chance),
    data: chance.is(0.8) ? { text: hostileString(chance) } : hostileNumber(chance),
  });
}

type Asked = { readonly body: string } | { readonly url: string; readonly lastId: string };

async function run(steps: readonly Step[], notes: Notes): Promise<void> {
  const clock = createWatchedClock();
  const failures: unknown[] = [];
  let hub: Hub | undefined;
  const { api } = createChannelApi({
    clock,
    connect: (channels) => {
      hub = createHub({
        channels,
        clock,
        authenticate: async () => null,
        onFailure: (cause) => failures.push(cause),
      });
      return hub.connect;
    },
  });
  // What answers without a network has a socket without options.
  api.addHook(
    'onRequest',
    async ({ raw }) => void Object.assign(raw.socket, { setKeepAlive: () => raw.socket }),
  );
  let lastId = '';
  for (const { do: what, text = '' } of steps) {
    if (what === 'last id') lastId = headerText(text);
    else if (what === 'get' && !text.startsWith('/v1/')) continue;
    else await ask(what === 'publish' ? { body: text } : { url: text, lastId });
    hold(failures.length === 0, 'the hub meets nothing unexpected', String(failures[0]));
    hold(hub?.counters.viewers === 0, 'nobody stays behind', hub?.counters.viewers);
  }
  await api.close();

  async function ask(request: Asked): Promise<void> {
    const isPublish = 'body' in request;
    const authorization = 'Bearer user-bob';
    const answering = api.inject(
      isPublish
        ? {
            method: 'POST',
            url: '/v1/channels/room/one/messages',
            headers: { authorization, 'content-type': 'application/json' },
            payload: request.body,
          }
        : {
            url: request.url,
            headers: { authorization, ...(request.lastId === '' ? {} : { 'last-event-id': request.lastId }) },
          },
    );
    let isDone = false;
    const done = answering.finally(() => {
      isDone = true;
    });
    for (let turn = 0; turn < TURNS && !isDone; turn++) {
      await nextTurn();
      // A stream would go on for ever, a poll for its wait.
      if (turn === 20) hub?.disconnect(() => true);
      if (turn === 40) clock.advance(31_000);
    }
    hold(isDone, 'every request ends', request);
    const answer = await done;
    checkAnswer(answer, request, notes);
  }
}

interface Answer {
  readonly statusCode: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

function checkAnswer({ statusCode, body: text, headers }: Answer, request: Asked, notes: Notes): void {
  hold(statusCode < 500 || statusCode === 503, 'nothing fails unexpectedly', { request, text });
  if (statusCode >= 400) {
    const told: unknown = JSON.parse(text);
    hold(problem.Check(told), 'a refusal is a problem', text);
    hold(Object.hasOwn(errorCodes, told.code), 'a refusal has a known code', told.code);
    return notes.refused(told.code);
  }
  const where = 'url' in request ? (/^[^?]*/.exec(request.url)?.[0] ?? '').slice(0, 40) : 'publish';
  if (!String(headers['content-type']).startsWith('text/event-stream')) {
    const { cursor, messages } = JSON.parse(text) as { cursor?: string; messages?: unknown[] };
    notes.reached(
      `${statusCode} ${messages === undefined ? 'published' : messages.length > 0 ? 'messages' : 'empty'}`,
    );
    hold(cursor === undefined || decodeCursor(cursor) !== null, 'a cursor is one', cursor);
    return;
  }
  const { events } = readEvents(text);
  notes.reached(`${where} of ${[...new Set(events.map(({ event }) => event))].join(', ')}`);
  for (const { id, data } of events) {
    hold(typeof JSON.parse(data) === 'object', 'an event is an object', data);
    hold(id === '' || decodeCursor(id) !== null, 'an id is a cursor', id);
  }
}

/** What a header of HTTP can hold. */
function headerText(text: string): string {
  return Buffer.from(text.replaceAll(/[^\x20-\x7e\x80-\xff]/g, ''), 'latin1')
    .toString('latin1')
    .trim();
}
