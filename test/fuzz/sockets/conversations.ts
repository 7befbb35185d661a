/**
 * Owns what a hostile client says after a handshake: frames of the protocol in any order, and frames that are none. Each
 * conversation knows whether it breaks the framing, in which case the server must end it with a code.
 */

import { packedBytes } from '#store/stream-definition.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { generateText } from '#test/fuzz/gateway/gateway-target.ts';
import { definitions, epochs } from '#test/fuzz/gateway/universe.ts';
import { encodeRaw, rawMessage } from '#test/fuzz/hostile-bytes.ts';
import { bomb, varyText } from '#test/fuzz/hostile-json.ts';
import { encodeFrame, opcodes, type ClientFrame } from '#test/fuzz/sockets/wire-frames.ts';

export interface Conversation {
  readonly name: string;
  /** Said one after the other, each once the one before was answered. */
  readonly stages: readonly Buffer[];
  /** Messages in it. */
  readonly inputs: number;
  /** Whether the server must close. */
  readonly mustEnd: boolean;
}

const text = (value: string): ClientFrame => ({ opcode: opcodes.text, payload: Buffer.from(value) });
const binary = (payload: Uint8Array): ClientFrame => ({ opcode: opcodes.binary, payload });
const hello = text(JSON.stringify({ type: 'hello', version: 1, agent: 'fuzz' }));

/** Frames that no client may send, each alone enough to be closed. */
export const violations: Readonly<Record<string, readonly ClientFrame[]>> = {
  unmasked: [{ ...hello, isMasked: false }],
  'first reserved bit, which compression would use': [{ ...hello, rsv: 4 }],
  'second reserved bit': [{ ...hello, rsv: 2 }],
  'third reserved bit': [{ ...hello, rsv: 1 }],
  'reserved opcode': [{ opcode: 3, payload: Buffer.from('x') }],
  'reserved control opcode': [{ opcode: 11, payload: Buffer.from('x') }],
  'continuation of nothing': [{ opcode: opcodes.continuation, payload: Buffer.from('x') }],
  'message within a message': [{ ...hello, fin: false }, hello],
  'fragmented ping': [{ opcode: opcodes.ping, fin: false, payload: Buffer.from('x') }],
  'ping beyond 125 bytes': [{ opcode: opcodes.ping, payload: Buffer.alloc(126) }],
  'close of one byte': [{ opcode: opcodes.close, payload: Buffer.from([3]) }],
  'close with a reserved code': [{ opcode: opcodes.close, payload: Buffer.from([0x03, 0xed]) }],
  'close with code 0': [{ opcode: opcodes.close, payload: Buffer.from([0, 0]) }],
  'close reason that is no text': [{ opcode: opcodes.close, payload: Buffer.from([0x03, 0xe8, 0xff, 0xfe]) }],
  'text that is no UTF-8': [{ opcode: opcodes.text, payload: Buffer.from([0x22, 0xff, 0xc0, 0x22]) }],
  'half a surrogate': [{ opcode: opcodes.text, payload: Buffer.from([0xed, 0xa0, 0x80]) }],
  'length of 2^31': [{ opcode: opcodes.binary, payload: Buffer.alloc(64), length: 2n ** 31n }],
  'length of 2^53': [{ opcode: opcodes.binary, payload: Buffer.alloc(64), length: 2n ** 53n }],
  'length of 2^63': [{ opcode: opcodes.binary, payload: Buffer.alloc(64), length: 2n ** 63n }],
  'message beyond its limit': [binary(Buffer.alloc(256 * 1024 + 1))],
  'fragments beyond the limit': [
    { opcode: opcodes.binary, fin: false, payload: Buffer.alloc(200_000) },
    { opcode: opcodes.continuation, payload: Buffer.alloc(200_000) },
  ],
  'more fragments than there may be': [
    { opcode: opcodes.text, fin: false, payload: Buffer.from('{') },
    ...Array.from({ length: 20_000 }, () => ({
      opcode: opcodes.continuation,
      fin: false,
      payload: Buffer.from(' '),
    })),
  ],
};

export function conversation(
  name: string,
  stages: readonly (readonly ClientFrame[])[],
  mustEnd: boolean,
): Conversation {
  return {
    name,
    stages: stages.map((frames) => Buffer.concat(frames.map((frame) => encodeFrame(frame)))),
    inputs: messagesIn(stages.flat()),
    mustEnd,
  };
}

/** Fragments are no inputs of their own. */
function messagesIn(frames: readonly ClientFrame[]): number {
  return Math.max(1, frames.filter(({ fin = true }) => fin).length);
}

/** Anything a client may say: mostly frames that are frames. `device`: whose streams it opens, mostly. */
export function hostileConversation(chance: Chance, device: number): Conversation {
  const draw = chance.below(20);
  if (draw < 5) {
    const name = chance.among(Object.keys(violations));
    return conversation(name, [...(chance.is(0.5) ? [[hello]] : []), violations[name]!], true);
  }
  if (draw === 5) {
    const noise = Buffer.from(Array.from({ length: 1 + chance.below(200) }, () => chance.below(256)));
    return { name: 'noise', stages: [noise], inputs: 1, mustEnd: false };
  }
  const stages: ClientFrame[][] = chance.is(0.9)
    ? [[hello], opens(chance, chance.is(0.8) ? device : chance.below(4))]
    : [];
  const frames: ClientFrame[] = [];
  for (let length = 1 + chance.below(20); length > 0; length--) frames.push(...messageFrames(chance));
  return conversation('messages', [...stages, frames], false);
}

/** Streams of a device under the first references, so that readings can come. */
function opens(chance: Chance, device: number): ClientFrame[] {
  const epoch = chance.among(epochs);
  const chosen = definitions.slice(0, 1 + chance.below(4));
  return chosen.map(({ stream, session, ...definition }, ref) => {
    const own = {
      stream: `${stream.slice(0, -3)}${device}0${ref}`,
      session: `${session.slice(0, -3)}${device}00`,
    };
    return text(JSON.stringify({ type: 'open', ref, epoch, definition: { ...own, ...definition } }));
  });
}

/** One message: whole, in pieces, or with a ping between them. */
function messageFrames(chance: Chance): ClientFrame[] {
  const draw = chance.below(20);
  if (draw === 0) return [{ opcode: opcodes.ping, payload: Buffer.alloc(chance.below(126)) }];
  if (draw === 1) return [{ opcode: opcodes.pong, payload: Buffer.alloc(chance.below(126)) }];
  // Text where readings are due, and the other way round.
  const message =
    draw < 10
      ? binary(encodeRaw(rawMessage(chance, (ref) => packedBytes(definitions[ref]!), chance.is(0.4) ? 1 : 0)))
      : text(
          draw === 10
            ? bomb(chance).slice(0, 16_000)
            : draw < 14
              ? varyText(generateText(chance), chance)
              : generateText(chance),
        );
  if (chance.is(0.8)) return [message];
  const pieces: ClientFrame[] = [];
  const size = Math.max(1, Math.ceil(message.payload.length / (1 + chance.below(20))));
  for (let at = 0; at < message.payload.length; at += size) {
    pieces.push({
      opcode: at === 0 ? message.opcode : opcodes.continuation,
      fin: at + size >= message.payload.length,
      payload: message.payload.subarray(at, at + size),
    });
    if (chance.is(0.1)) pieces.push({ opcode: opcodes.ping, payload: Buffer.from('between') });
  }
  return pieces;
}
