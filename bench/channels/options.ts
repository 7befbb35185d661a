/** Owns the options of the channels benchmark and what they mean for a run. */

import type { OptionTable, OptionValues } from '#bench/support/command-options.ts';

export const channelsUsage = `Usage: npm run bench -- channels [options]

Connections, broadcasts, rooms, Redis between instances, and everybody coming back at once, beside Socket.IO, ws, FastAPI and
Go with gorilla/websocket in the same run.`;

export const steps = ['held', 'reconnect', 'broadcast', 'rooms', 'redis', 'most'] as const;
export type Step = (typeof steps)[number];

export const channelsOptions = {
  connections: {
    kind: 'integer',
    default: 10_000,
    quick: 1_000,
    min: 10,
    max: 60_000,
    doc: 'connections held by one server process',
  },
  processes: {
    kind: 'integer',
    default: 2,
    quick: 0,
    min: 0,
    max: 16,
    doc: 'server processes, and as many of clients, of the step that holds as many connections as their descriptors allow; 0 leaves it out',
  },
  'most-per-process': {
    kind: 'integer',
    default: 19_500,
    min: 100,
    max: 1_000_000,
    doc: 'connections of each process in that step, if its descriptors allow so many',
  },
  seconds: {
    kind: 'number',
    default: 4,
    quick: 0.5,
    min: 0.2,
    max: 600,
    doc: 'measured time of each broadcast in a round',
  },
  'warm-up-seconds': { kind: 'number', default: 3, quick: 0.2, min: 0, max: 60, doc: 'before that' },
  rounds: { kind: 'integer', default: 3, quick: 1, min: 1, max: 20, doc: 'turns that every side takes' },
  'settle-seconds': {
    kind: 'number',
    default: 5,
    quick: 0.2,
    min: 0.1,
    max: 120,
    doc: 'between connecting and looking at memory',
  },
  'idle-seconds': {
    kind: 'number',
    default: 30,
    quick: 0.5,
    min: 0.5,
    max: 600,
    doc: 'for which connections are held while nothing is said',
  },
  'connecting-at-once': { kind: 'integer', default: 128, min: 1, max: 1_024, doc: 'handshakes under way' },
  subscribers: {
    kind: 'integer',
    default: 5_000,
    quick: 1_000,
    min: 500,
    max: 19_000,
    doc: 'of the large broadcast',
  },
  'room-members': {
    kind: 'integer',
    default: 5_000,
    quick: 1_000,
    min: 100,
    max: 19_000,
    doc: 'connections in rooms of 10',
  },
  'in-flight': {
    kind: 'integer',
    default: 6,
    min: 1,
    max: 16,
    doc: 'publications of a broadcast on their way',
  },
  'payload-bytes': {
    kind: 'integer',
    default: 200,
    min: 40,
    max: 8_000,
    doc: 'of the JSON object in a message',
  },
  'redis-rate': {
    kind: 'number',
    default: 200,
    min: 1,
    max: 5_000,
    doc: 'publications a second through Redis',
  },
  'redis-seconds': {
    kind: 'number',
    default: 15,
    quick: 0.8,
    min: 0.5,
    max: 600,
    doc: 'measured time of those',
  },
  sides: {
    kind: 'text',
    default: '',
    doc: 'only these, with commas between: kymo,socketio,ws,fastapi,gorilla',
  },
  steps: { kind: 'text', default: '', doc: `only these, with commas between: ${steps.join(',')}` },
  'without-peers': { kind: 'flag', doc: 'only the server itself' },
  markdown: { kind: 'text', default: '', doc: 'a file for the table in Markdown' },
  'profile-dir': { kind: 'text', default: '', doc: "a folder for the server's CPU profiles" },
  'database-url': {
    kind: 'text',
    default: '',
    doc: "a superuser's address of a PostgreSQL on this machine, instead of the embedded one",
  },
} as const satisfies OptionTable;

export type ChannelsOptions = OptionValues<typeof channelsOptions>;
