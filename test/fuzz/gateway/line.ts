/**
 * Owns what one connection of the fuzzed gateway is told, and holds it against what may be told: valid messages, known
 * codes, credit that never shrinks, acknowledgements of what is committed, and silence after the close.
 */

import { covers, union } from '#base/ranges.ts';
import { createMessageParser } from '#contract/validation.ts';
import type { DeviceIdentity } from '#contract/readings.ts';
import type { DeviceConnection, DeviceTransport } from '#ingest/gateway-output.ts';
import { closeCodes, errorCodes, type CloseReason } from '#protocol/codes.ts';
import { serverMessageSchemas, type Credit, type ServerMessage, type Settled } from '#protocol/messages.ts';
import { parseServerMessage } from '#sdk/device-parse.ts';
import type { EpochModel } from '#test/fuzz/gateway/backend-model.ts';
import { hold, type Notes } from '#test/fuzz/target.ts';

const parse = createMessageParser<ServerMessage>(serverMessageSchemas, 1024 * 1024);

/** What a connection is about: `discarded` references take everything and keep nothing. */
interface OpenRef {
  readonly key: string;
  isDiscarded: boolean;
}

export interface Line {
  readonly transport: DeviceTransport;
  connection: DeviceConnection;
  /** Who it is: proven by the handshake, or by the key of its hello. */
  device: DeviceIdentity | null;
  phase: 'new' | 'greeting' | 'ready' | 'closed';
  /** Set once the server has closed, or the device is gone. */
  closedBy: CloseReason | 'bye' | 'gone' | null;
  readonly refs: Map<number, OpenRef>;
  /** Epochs by reference, from `open` to `opened`. */
  readonly asked: Map<number, string>;
  /** Credit as told, and used by what was sent. */
  readonly told: { durable: number; live: number };
  /** What was asked back and not answered; the line gave it back when it heard that. */
  question: { readonly id: number; readonly durable: number } | null;
  readonly used: { durable: number; live: number };
  /** Errors heard, in all and in this step. */
  errors: number;
  stepErrors: string[];
  /** Notes an answer to `reclaim` before it is said: what it states holds, if it can be meant. */
  answers(text: string): void;
}

export function createLine(epochs: ReadonlyMap<string, EpochModel>, notes: Notes): Line {
  function credited(credit: Credit): void {
    hold(credit.live >= line.told.live, 'a grant never shrinks');
    line.told.live = credit.live;
    // While it waits the server states what it asked for; anything else says that it waits no longer.
    if (credit.durable === line.question?.durable) return;
    line.question = null;
    hold(credit.durable >= line.told.durable, 'a grant shrinks only when it is given back');
    line.told.durable = credit.durable;
  }

  function asked(id: number, durable: number): void {
    hold(durable < line.told.durable, 'what is asked back was granted');
    line.question = { id, durable };
    line.told.durable = Math.max(line.used.durable, durable);
  }

  /** Whatever is stated as settled is committed or declared, unless it was erased. */
  function stated(key: string | undefined, settled: Settled): void {
    const progress = key === undefined ? undefined : epochs.get(key)?.progress;
    hold(progress !== undefined, 'what is acknowledged was opened');
    const really = union(progress.committed, progress.lost);
    hold(covers(really, { from: 0, to: settled.next }), 'what is acknowledged is committed', {
      key,
      next: settled.next,
    });
    for (const [from, to] of settled.ranges)
      hold(from > settled.next && covers(really, { from, to }), 'ranges are committed', { key, from, to });
  }

  function heard(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        hold(line.phase === 'greeting' && line.device !== null, 'who is welcomed has said who it is');
        line.phase = 'ready';
        return credited(message.credit);
      case 'opened': {
        const { ref, discarded = false, settled } = message;
        const key = line.asked.get(ref) ?? line.refs.get(ref)?.key;
        line.asked.delete(ref);
        hold(key !== undefined, 'what is opened was asked for');
        if (!discarded) stated(key, settled);
        line.refs.set(ref, { key, isDiscarded: discarded });
        notes.reached(
          `opened${discarded ? ' discarded' : ''}${message.newest === undefined ? '' : ' newest'}`,
        );
        return;
      }
      case 'ack':
        for (const { ref, ...settled } of message.streams) {
          const open = line.refs.get(ref);
          hold(open !== undefined, 'what is acknowledged is open');
          if (!open.isDiscarded) stated(open.key, settled);
        }
        return credited(message.credit);
      case 'credit':
        return credited(message.credit);
      case 'reclaim':
        return asked(message.id, message.durable);
      case 'closed':
        hold(line.refs.delete(message.ref), 'what is closed was open');
        return;
      case 'rewind':
        hold(line.refs.has(message.ref), 'what is rewound is open');
        return;
      case 'error':
        hold(Object.hasOwn(errorCodes, message.code), 'an error has a known code', message.code);
        line.errors++;
        line.stepErrors.push(message.code);
        notes.refused(message.code);
        if (message.code === 'stream-refused') line.refs.delete(message.ref!);
        return;
      case 'probe':
      case 'heartbeat':
      case 'bye':
      case 'command':
        return;
    }
  }

  const line: Line = {
    transport: {
      address: '192.0.2.1',
      sendText(text) {
        hold(line.closedBy === null, 'nothing is said after the close', text.slice(0, 200));
        const message = parse(text);
        hold(message.ok, 'the server says what its schema says', text.slice(0, 400));
        const asDevice = parseServerMessage(text);
        hold(
          asDevice.ok && asDevice.value !== null,
          'a device understands what the server says',
          text.slice(0, 400),
        );
        heard(message.value);
      },
      close(reason) {
        hold(line.closedBy === null, 'nobody is closed twice, or who has gone');
        hold(reason === null || Object.hasOwn(closeCodes, reason), 'a close has a known code', reason);
        if (reason === 'creditExceeded')
          hold(
            line.used.durable > line.told.durable || line.used.live > line.told.live,
            'who keeps to its credit is not closed for it',
            { used: line.used, told: line.told },
          );
        line.closedBy = reason ?? 'bye';
        notes.reached(`close ${line.phase} ${line.closedBy}`);
        notes.refused(`close ${line.closedBy}`);
        line.phase = 'closed';
      },
      greeted: () => undefined,
    },
    connection: null as unknown as DeviceConnection,
    device: null,
    phase: 'new',
    closedBy: null,
    refs: new Map(),
    asked: new Map(),
    told: { durable: 0, live: 0 },
    used: { durable: 0, live: 0 },
    question: null,
    errors: 0,
    stepErrors: [],
    answers(text) {
      const { id, durable } = JSON.parse(text) as { id?: unknown; durable?: unknown };
      if (line.question === null || id !== line.question.id || typeof durable !== 'number') return;
      if (durable < line.used.durable || durable > line.told.durable) return;
      line.question = null;
      line.told.durable = durable;
      notes.reached('credit given back');
    },
  };
  return line;
}
