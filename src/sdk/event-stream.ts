/**
 * Owns reading server-sent events from text as it comes (HTML standard, section 9.2.6): any line ends, split anywhere.
 * Events without data are none; comments are told, since they show that the server lives. Bound: one event of
 * MAX_EVENT_CHARACTERS, beyond which reading fails.
 */

/** What a message of the live endpoint may have, and its field names. */
export const MAX_EVENT_CHARACTERS = 1024 * 1024 + 1024;

export interface StreamEvent {
  /** `message` where the stream does not say. */
  readonly name: string;
  readonly data: string;
}

export interface EventStreamReader {
  /** Takes the next part of the text. False: an event is too long, and nothing more can be read. */
  read(text: string): boolean;
}

export function createEventStreamReader(told: {
  event(event: StreamEvent): void;
  comment(): void;
}): EventStreamReader {
  let rest = '';
  let name = '';
  let data: string[] = [];
  let dataCharacters = 0;
  // A line feed after it belongs to the line end that is over.
  let endedInReturn = false;

  function line(text: string): void {
    if (text === '') {
      if (data.length > 0) told.event({ name: name === '' ? 'message' : name, data: data.join('\n') });
      name = '';
      data = [];
      dataCharacters = 0;
      return;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return told.comment();
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') name = value;
    if (field === 'data') {
      data.push(value);
      dataCharacters += value.length;
    }
  }
  return {
    read(text) {
      let from = 0;
      if (endedInReturn && text.startsWith('\n')) from = 1;
      if (text !== '') endedInReturn = false;
      for (let at = from; at < text.length; at++) {
        const character = text[at];
        if (character !== '\n' && character !== '\r') continue;
        line(rest + text.slice(from, at));
        rest = '';
        if (character === '\r') {
          if (at + 1 === text.length) endedInReturn = true;
          else if (text[at + 1] === '\n') at++;
        }
        from = at + 1;
      }
      rest += text.slice(from);
      return rest.length + dataCharacters <= MAX_EVENT_CHARACTERS;
    },
  };
}
