/**
 * Owns the reading of line-based streams: text in pieces of any size goes in, whole lines or Server-Sent Events (WHATWG
 * HTML, section 9.2.6) come out. No state but the unfinished rest, which is at most `maxCharacters`.
 */

import { AppError } from '#base/errors.ts';

export interface ServerSentEvent {
  /** `message` where the stream says nothing else. */
  readonly event: string;
  readonly data: string;
  /** The newest id that the stream gave, by this event or one before. */
  readonly id: string;
}

export interface EventStreamReader {
  /** The events that this piece completes. Throws AppError `message-too-large`. */
  push(text: string): ServerSentEvent[];
  /** What the stream asked for as the delay before the next connection; null: nothing. */
  readonly retryMs: number | null;
}

/** Lines without their ends, which are CR LF, LF or CR. */
export function createLineReader(maxCharacters: number): { push(text: string): string[] } {
  let rest = '';
  return {
    push(text) {
      rest += text;
      const lines: string[] = [];
      let start = 0;
      for (const match of rest.matchAll(/\r\n|\n|\r/g)) {
        // The LF of a CR LF may come with the next piece.
        if (match[0] === '\r' && match.index === rest.length - 1) break;
        lines.push(rest.slice(start, match.index));
        start = match.index + match[0].length;
      }
      rest = rest.slice(start);
      if (rest.length > maxCharacters || lines.some((line) => line.length > maxCharacters))
        throw new AppError('message-too-large', `a line has more than ${maxCharacters} characters`);
      return lines;
    },
  };
}

export function createEventStreamReader(maxCharacters: number, lastEventId = ''): EventStreamReader {
  const lines = createLineReader(maxCharacters);
  let isFirst = true;
  let id = lastEventId;
  let event = '';
  let data: string[] = [];
  let characters = 0;
  let retryMs: number | null = null;

  const take = (name: string, value: string): void => {
    if (name === 'data') {
      characters += value.length + 1;
      if (characters > maxCharacters)
        throw new AppError('message-too-large', `an event has more than ${maxCharacters} characters`);
      data.push(value);
    } else if (name === 'event') event = value;
    else if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) retryMs = Number(value);
  };
  return {
    get retryMs() {
      return retryMs;
    },
    push(text) {
      const events: ServerSentEvent[] = [];
      const piece = isFirst ? text.replace(/^\uFEFF/, '') : text;
      if (text !== '') isFirst = false;
      for (const line of lines.push(piece)) {
        if (line === '') {
          if (data.length > 0)
            events.push({ event: event === '' ? 'message' : event, data: data.join('\n'), id });
          event = '';
          data = [];
          characters = 0;
          continue;
        }
        const colon = line.indexOf(':');
        if (colon === 0) continue;
        if (colon < 0) take(line, '');
        else take(line.slice(0, colon), line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1));
      }
      return events;
    },
  };
}
